"""Many answers from one model at once: requests join and leave a running batch at every step.

One thread owns the model. At each step it lets waiting requests in (fairly between callers, and only when the cache
has room for all they may need), reads a piece of the prompts that joined, and gives every running answer its next
token, or several when tokens guessed from the prompt prove right. Knows scheduling. The model's arithmetic is `rows`',
the way from ids to text `transcript`'s. Greedy answers are those of a run alone.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inference.engines.base import Delta, Finish, FinishReason, GenerationRequest, Message
from inference.engines.decoding import Sampler
from inference.engines.lookup import MOST, Lookup
from inference.engines.prefixes import Prefixes
from inference.engines.rows import RowRunner, Runner
from inference.engines.transcript import Codec, HubCodec, Transcript
from inference.errors import EngineUnavailable, InferenceError, OutOfMemory

if TYPE_CHECKING:
    import torch

    from inference.loading import LoadedModel

_POLL_SECONDS = 0.05  # how often a waiting caller looks whether it was cancelled
_GRAPH_TOKENS = 2048  # room per row that a CUDA device reserves at once; longer answers enlarge it
_REMEMBERED = 1000  # callers whose last turn is remembered


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Limits of the running batch.

    `cache_bytes` holds keys and values of all rows, `prefix_bytes` those of prompts kept for reuse; `prefill_tokens` is
    how much of new prompts one step reads; with up to `lookup_rows` answers running, tokens are guessed from the prompt
    (with more, guessing costs more than it saves).
    """

    rows: int = 16
    prefill_tokens: int = 256
    cache_bytes: int = 2 * 2**30
    prefix_bytes: int = 2**29
    lookup_rows: int = 4

    def __post_init__(self) -> None:
        if min(self.rows, self.prefill_tokens) < 1 or min(self.cache_bytes, self.prefix_bytes, self.lookup_rows) < 0:
            raise ValueError("a batch needs rows and tokens per step; no limit may be negative")


def options_for(device: str) -> BatchOptions:
    """What suits the hardware, given the memory that is free once the model is loaded."""
    from inference.loading import free_bytes

    free = free_bytes(device)
    if device.startswith("cuda"):
        return BatchOptions(128, 4096, int(free * 0.6), int(free * 0.1))
    return BatchOptions(16, 256, min(free // 4, 4 * 2**30), min(free // 16, 2**29))


def _runner(loaded: LoadedModel, options: BatchOptions) -> RowRunner:
    """Recorded steps on a CUDA device; elsewhere, and where a layer cannot be recorded (int8), steps as they come."""
    if not loaded.device.startswith("cuda") or loaded.quantization == "int8":
        return RowRunner(loaded)
    from inference.engines.graphs import GraphRunner

    return GraphRunner(loaded, rows=options.rows, tokens=min(loaded.context, _GRAPH_TOKENS))


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a step tells a caller: new deltas, tokens produced so far, and how it ended."""

    deltas: list[Delta]
    produced: int
    reason: FinishReason | None = None
    error: InferenceError | None = None


@dataclass(eq=False, slots=True)
class _Job:
    """One request. `pending` are tokens not yet fed to its row; `fed` those that were."""

    request: GenerationRequest
    transcript: Transcript
    deadline: float | None
    sampler: Sampler | None
    pending: list[int]
    lookup: Lookup | None = None
    fed: list[int] = field(default_factory=list)
    out: queue.SimpleQueue[_Piece] = field(default_factory=queue.SimpleQueue)
    left: bool = False  # the caller is gone

    def reading(self) -> bool:
        """Still reading its prompt."""
        return not self.transcript.produced and len(self.pending) > 1


class BatchingEngine:
    """Streams answers of a loaded model to many threads at once. `close` ends the thread and frees the model."""

    name = "transformers"
    needs_prompt = True

    def __init__(self, loaded: LoadedModel, options: BatchOptions | None = None) -> None:
        options = options or options_for(loaded.device)
        self._begin(f"{loaded.name} ({loaded.quantization})", HubCodec(loaded), _runner(loaded, options), options)

    def _begin(self, model: str, codec: Codec, runner: Runner, options: BatchOptions) -> None:
        self.model = model
        self._codec: Codec | None = codec
        self._device = runner.device
        self._changed = threading.Condition()
        self._waiting: list[_Job] = []
        self._turn = 0
        self._turns: dict[str, int] = {}  # caller -> number of the last turn, oldest first
        self._batch = _Batch(runner, options)
        self._thread = threading.Thread(target=self._serve, name=f"model {codec.name}", daemon=True)
        self._thread.start()

    @property
    def context_tokens(self) -> int:
        """Longest sequence in tokens, prompt and answer together."""
        return self._live().context

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

    def close(self) -> None:
        with self._changed:
            self._codec = None
            self._changed.notify_all()
        self._thread.join()

    def _live(self) -> Codec:
        if self._codec is None:
            raise EngineUnavailable("The model was unloaded.", hint="Ask again; the active model answers.")
        return self._codec

    def _submit(self, request: GenerationRequest) -> _Job:
        began = time.monotonic()
        options = request.options
        transcript = Transcript(self._live(), request.messages, options)
        greedy = options.temperature == 0.0
        job = _Job(
            request,
            transcript,
            began + options.deadline_s if options.deadline_s else None,
            None if greedy else Sampler(options, self._device),
            list(transcript.prompt),
            Lookup(transcript.prompt) if greedy else None,
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
                    job.out.put(_Piece([], 0, error=EngineUnavailable("The model was unloaded.", hint="Ask again.")))
                self._waiting.clear()
            self._batch.close()

    def _admit(self) -> bool:
        """Wait until there is work, and let in what fits; False when the engine was closed."""
        with self._changed:
            while self._codec is not None:
                self._waiting = [job for job in self._waiting if not _ended(job)]
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
                self._changed.wait()
            return False

    def _fairest(self) -> _Job:
        """Of the callers with the fewest answers running, the one whose last turn is longest ago; of that caller's
        requests, the one that has waited longest."""
        running = [job.request.caller for job in self._batch.jobs]

        def rank(job: _Job) -> tuple[int, int]:
            return running.count(job.request.caller), self._turns.get(job.request.caller, 0)

        return min(self._waiting, key=rank)


def _ended(job: _Job) -> bool:
    """Whether a job should not go on: its caller left, or its time is over (and it is told so)."""
    if job.left:
        return True
    if job.deadline and time.monotonic() > job.deadline:
        job.out.put(_Piece(job.transcript.finish("deadline"), job.transcript.produced, "deadline"))
        return True
    return False


class _Batch:
    """The rows under way, only ever touched by the engine's thread. `jobs[i]` runs in row i; answers that are being
    written come before prompts that are being read."""

    def __init__(self, runner: Runner, options: BatchOptions) -> None:
        self._runner = runner
        self._options = options
        self._prefixes = Prefixes(options.prefix_bytes)
        runner.cache.limit = options.cache_bytes
        self.jobs: list[_Job] = []

    @property
    def _writing(self) -> int:
        return sum(not job.reading() for job in self.jobs)

    def check(self, job: _Job) -> None:
        """Raises OutOfMemory when the request could not run even alone."""
        if self._bytes([job]) > self._options.cache_bytes:
            raise OutOfMemory(
                f"An answer of up to {job.transcript.most} tokens does not fit into the cache.",
                hint="Ask a shorter question, show fewer passages or choose a smaller model.",
            )

    def fits(self, job: _Job) -> bool:
        jobs = [*self.jobs, job]
        return len(jobs) <= self._options.rows and self._bytes(jobs) <= self._options.cache_bytes

    def _bytes(self, jobs: list[_Job]) -> int:
        return self._runner.cache.room([job.transcript.most + MOST for job in jobs])

    def join(self, job: _Job) -> None:
        cache = self._runner.cache
        rows = len(self.jobs) + 1
        if rows > cache.shape[0]:
            cache.reserve(min(2 * rows, self._options.rows), 1)
        row = cache.add()
        self.jobs.append(job)
        if found := self._prefixes.find(job.request.cache_key, job.pending):
            kept, tokens = found
            cache.reserve(row + 1, tokens)
            if cache.copy_in(row, kept, tokens):
                job.fed, job.pending = job.pending[:tokens], job.pending[tokens:]
        self._sort(row)

    def step(self) -> None:
        """One piece of prompt for those who read, then the next tokens of all who write."""
        from torch import OutOfMemoryError, cuda

        for row in reversed([row for row, job in enumerate(self.jobs) if _ended(job)]):
            self._leave(row)
        try:
            if self._writing < len(self.jobs):
                self._read()
            if self._writing:
                self._write()
        except (OutOfMemoryError, OutOfMemory):
            cuda.empty_cache()
            # the newest gives way; what it had is asked for again by the product, the others go on
            error = OutOfMemory("The answer does not fit into memory.", hint="Ask again.")
            self.jobs[-1].out.put(_Piece([], 0, error=error))
            self._leave(len(self.jobs) - 1)

    def close(self) -> None:
        self._prefixes.clear()
        self.jobs.clear()
        self._runner.close()

    def _read(self) -> None:
        """Prompts nearest to their end first, so that a short question does not wait behind a long one."""
        first, budget = self._writing, self._options.prefill_tokens
        order = sorted(self.jobs[first:], key=lambda job: len(job.pending))
        size = 1
        while size < len(order) and len(order[size].pending) * (size + 1) <= budget:
            size += 1
        chosen = order[:size]
        width = min(budget, len(chosen[-1].pending))
        for offset, job in enumerate(chosen):
            self._swap(self.jobs.index(job), first + offset)
        pieces = [job.pending[:width] for job in chosen]
        done = [int(len(job.pending) <= width) for job in chosen]
        logits = self._runner.run(first, pieces, done)
        for job, piece in zip(chosen, pieces, strict=True):
            job.fed += piece
            job.pending = job.pending[len(piece) :]
        whole = [job for job, ended in zip(chosen, done, strict=True) if ended]
        for at, job in enumerate(whole):
            self._keep(self.jobs.index(job))
            self._take(job, [], logits[at : at + 1], None)
        self._settle()

    def _write(self) -> None:
        """The next token of every answer; with few answers, guessed ones after it in the same step."""
        count = self._writing
        jobs = self.jobs[:count]
        guessing = count <= self._options.lookup_rows
        guesses = [self._guess(job) if guessing else [] for job in jobs]
        fed = [job.pending + guess for job, guess in zip(jobs, guesses, strict=True)]
        want = [len(guess) + 1 for guess in guesses]
        logits = self._runner.run(0, fed, want)
        greedy = logits.argmax(-1).tolist()
        at = 0
        for row, (job, guess, size) in enumerate(zip(jobs, guesses, want, strict=True)):
            job.fed += job.pending
            job.pending = []
            right = self._take(job, guess, logits[at : at + size], greedy[at : at + size])
            self._runner.cache.lengths[row] -= len(guess) - right
            at += size
        self._settle()

    def _guess(self, job: _Job) -> list[int]:
        if job.lookup is None:
            return []
        room = job.transcript.most - len(job.fed) - len(job.pending) - 1
        return job.lookup.guess(max(0, min(MOST, room)))

    def _take(self, job: _Job, guess: list[int], logits: torch.Tensor, greedy: list[int] | None) -> int:
        """Say the tokens that follow; how many of the guessed ones were right and stay in the row."""
        deltas: list[Delta] = []
        right = 0
        for at in range(len(guess) + 1):
            if job.sampler is not None:
                token = job.sampler(logits[at])
            else:
                token = greedy[at] if greedy is not None else int(logits[at].argmax())
            shown, following = job.transcript.push(token)
            deltas += shown
            if job.lookup is not None:
                job.lookup.extend(following)
            if len(following) == 1 and at < len(guess) and guess[at] == token:
                job.fed.append(token)
                right += 1
                continue
            job.pending = following
            break
        if job.lookup is not None:
            job.lookup.told(len(guess), right)
        if deltas or job.transcript.reason:
            job.out.put(_Piece(deltas, job.transcript.produced, job.transcript.reason))
        return right

    def _settle(self) -> None:
        """Let those who have ended go, and put those who now write before those who still read."""
        for row in reversed(range(len(self.jobs))):
            if self.jobs[row].transcript.reason is not None:
                self._leave(row)
        for row in range(len(self.jobs)):
            self._sort(row)

    def _sort(self, row: int) -> None:
        """Move a row that writes before every row that reads."""
        if not self.jobs[row].reading():
            first = next((i for i, job in enumerate(self.jobs) if job.reading()), row)
            if first < row:
                self._swap(first, row)

    def _leave(self, row: int) -> None:
        """Free the row; the last rows of those who write and of those who read move up."""
        job, last = self.jobs[row], len(self.jobs) - 1
        if job.transcript.reason == "stop":
            # the conversation's next prompt begins with this one and its answer
            self._keep(row)
        if not job.reading():
            border = self._writing - 1
            self._swap(row, border)
            row = border
        self._swap(row, last)
        self.jobs.pop()
        self._runner.cache.drop_last()

    def _keep(self, row: int) -> None:
        """Remember what the row holds for later prompts of the same key."""
        job = self.jobs[row]
        if job.request.cache_key:
            self._prefixes.keep(job.request.cache_key, job.fed, self._runner.cache.copy_out(row, len(job.fed)))

    def _swap(self, a: int, b: int) -> None:
        self._runner.cache.swap(a, b)
        self.jobs[a], self.jobs[b] = self.jobs[b], self.jobs[a]
