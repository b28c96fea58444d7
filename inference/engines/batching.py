"""Many answers from one model at once: requests join and leave a running batch at every step.

One thread owns the model. Before each step it lets waiting requests in, fairly between callers, and only when the cache
has room for all they may need; the step itself is `running`'s. Knows callers and turns. Greedy answers are those of a
run alone.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from inference.engines.base import Delta, Finish, GenerationRequest, Message
from inference.engines.decoding import Sampler
from inference.engines.lookup import Lookup
from inference.engines.rows import RowRunner, Runner
from inference.engines.running import Batch, BatchOptions, Job, Piece, ended
from inference.engines.transcript import Codec, HubCodec, Transcript
from inference.errors import EngineUnavailable
from inference.spreading import layer_devices

if TYPE_CHECKING:
    from inference.loading import LoadedModel

_POLL_SECONDS = 0.05  # how often a waiting caller looks whether it was cancelled
_GRAPH_TOKENS = 2048  # room per row that a CUDA device reserves at once; longer answers enlarge it
_IDLE_SECONDS = 60.0  # how often an engine with nothing to do looks whether prompts it keeps are too old
_REMEMBERED = 1000  # callers whose last turn is remembered


def options_for(loaded: LoadedModel) -> BatchOptions:
    """What suits the hardware, given the memory that is free once the model is loaded; of several cards, the one with
    the least for its share of the layers decides."""
    from inference.loading import free_bytes

    device, devices = loaded.device, layer_devices(loaded.model)
    free = min(int(free_bytes(each) * len(devices) / devices.count(each)) for each in {*devices})
    if device.startswith("cuda"):
        return BatchOptions(128, 4096, int(free * 0.6), int(free * 0.1))
    return BatchOptions(16, 256, min(free // 4, 4 * 2**30), min(free // 16, 2**29))


def _runner(loaded: LoadedModel, options: BatchOptions) -> RowRunner:
    """Recorded steps on a CUDA device; dynamic8's own way on the processor; else (and int8 cannot be recorded) steps as
    they come."""
    if loaded.quantization == "dynamic8":
        from inference.engines import direct

        if direct.fits(loaded.model):
            return direct.DirectRunner(loaded)
    if not loaded.device.startswith("cuda") or loaded.quantization == "int8" or loaded.spread:
        return RowRunner(loaded)
    from inference.engines.graphs import GraphRunner

    return GraphRunner(loaded, rows=options.rows, tokens=min(loaded.context, _GRAPH_TOKENS))


class BatchingEngine:
    """Streams answers of a loaded model to many threads at once. `close` ends the thread and frees the model."""

    name = "transformers"
    needs_prompt = True

    def __init__(self, loaded: LoadedModel, options: BatchOptions | None = None) -> None:
        options = options or options_for(loaded)
        self._begin(f"{loaded.name} ({loaded.quantization})", HubCodec(loaded), _runner(loaded, options), options)

    def _begin(self, model: str, codec: Codec, runner: Runner, options: BatchOptions) -> None:
        self.model = model
        self._codec: Codec | None = codec
        self._device = runner.device
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._forgetting = False
        self._turn = 0
        self._turns: dict[str, int] = {}  # caller -> number of the last turn, oldest first
        self._batch = Batch(runner, options)
        self._thread = threading.Thread(target=self._serve, name=f"model {codec.name}", daemon=True)
        self._thread.start()

    @property
    def context_tokens(self) -> int:
        """Longest sequence in tokens, prompt and answer together."""
        return self._live().context

    @property
    def reasons(self) -> bool:
        return self._live().may_think

    @property
    def load(self) -> tuple[int, int]:
        """(answers running, requests waiting)."""
        return len(self._batch.jobs), len(self._waiting)

    def count_tokens(self, text: str) -> int:
        return len(self._live().encode(text))

    def prompt(self, messages: tuple[Message, ...]) -> str:
        return self._live().render(messages)

    def stream(self, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> Iterator[Delta | Finish]:
        """Yield deltas, then one Finish. Raises PromptTooLong, OutOfMemory, EngineUnavailable (closed)."""
        job = self._submit(request)
        prompt, produced = len(job.transcript.prompt), 0
        try:
            while True:
                if cancelled():
                    yield Finish("cancelled", prompt, produced)
                    return
                try:
                    piece = job.out.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue
                if piece.error is not None:
                    raise piece.error
                produced = piece.produced
                for delta in piece.deltas:
                    if piece.reason is None and cancelled():
                        break
                    yield delta
                if piece.reason is not None:
                    yield Finish(piece.reason, prompt, produced)
                    return
        finally:
            job.left = True

    def forget(self) -> None:
        """Let go of every prompt that was kept for reuse, before anything else is read; those being answered are not
        kept either."""
        with self._changed:
            self._forgetting = True
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._codec = None
            self._changed.notify_all()
        self._thread.join()

    def _live(self) -> Codec:
        if self._codec is None:
            raise EngineUnavailable("The model was unloaded.", hint="Ask again; the active model answers.")
        return self._codec

    def _submit(self, request: GenerationRequest) -> Job:
        began = time.monotonic()
        options = request.options
        transcript = Transcript(self._live(), request.messages, options)
        job = Job(
            request,
            transcript,
            began + options.deadline_s if options.deadline_s else None,
            Sampler(options, self._device) if options.temperature else None,
            list(transcript.prompt),
            Lookup(transcript.prompt),
        )
        self._batch.check(job)
        with self._changed:
            self._live()  # closed in between?
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def _serve(self) -> None:
        """The thread's whole life. Whatever ends it, nobody is left waiting."""
        import torch

        try:
            with torch.inference_mode():
                while self._admit():
                    self._batch.step()
        finally:
            with self._changed:
                self._codec = None
                for job in (*self._waiting, *self._batch.jobs):
                    job.out.put(Piece([], 0, error=EngineUnavailable("The model was unloaded.", hint="Ask again.")))
                self._waiting.clear()
            self._batch.close()

    def _admit(self) -> bool:
        """Wait until there is work, and let in what fits; False when the engine was closed."""
        with self._changed:
            while self._codec is not None:
                if self._forgetting:
                    self._forgetting = False
                    self._batch.forget(self._waiting)
                self._waiting = [job for job in self._waiting if not ended(job)]
                while self._waiting and self._batch.fits(job := self._fairest()):
                    self._waiting.remove(job)
                    self._turn += 1
                    self._turns.pop(job.request.caller, None)
                    self._turns[job.request.caller] = self._turn
                    if len(self._turns) > _REMEMBERED:
                        self._turns.pop(next(iter(self._turns)))
                    self._batch.join(job)
                if self._batch.jobs:
                    return True
                # with nothing running whatever waits fits, or was refused when it came
                self._changed.wait(_IDLE_SECONDS)
                self._batch.expire()
            return False

    def _fairest(self) -> Job:
        """Of the callers with the fewest answers running, the one whose last turn is longest ago; of that caller's
        requests, the one that has waited longest."""
        running = [job.request.caller for job in self._batch.jobs]

        def rank(job: Job) -> tuple[int, int]:
            return running.count(job.request.caller), self._turns.get(job.request.caller, 0)

        return min(self._waiting, key=rank)
