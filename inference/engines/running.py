"""The answers of a running batch: which rows read, which write, and what every caller is told at each step.

A step lets those who left go, reads a piece of the prompts that joined, and gives every running answer its next token,
or several when tokens guessed from the prompt prove right. Only the engine's thread (`batching`) comes here. Knows rows
and token ids. The model's arithmetic is `rows`', the way from ids to text `transcript`'s.
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inference.engines.base import Delta, FinishReason, GenerationRequest
from inference.engines.decoding import Sampler
from inference.engines.lookup import MOST, Lookup
from inference.engines.prefixes import Prefixes
from inference.engines.rows import Runner
from inference.engines.transcript import Transcript
from inference.errors import InferenceError, OutOfMemory

if TYPE_CHECKING:
    import torch


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


@dataclass(frozen=True, slots=True)
class Piece:
    """What a step tells a caller: new deltas, tokens produced so far, and how it ended."""

    deltas: list[Delta]
    produced: int
    reason: FinishReason | None = None
    error: InferenceError | None = None


@dataclass(eq=False, slots=True)
class Job:
    """One request. `pending` are tokens not yet fed to its row; `fed` those that were."""

    request: GenerationRequest
    transcript: Transcript
    deadline: float | None
    sampler: Sampler | None
    pending: list[int]
    lookup: Lookup | None = None
    fed: list[int] = field(default_factory=list)
    out: queue.SimpleQueue[Piece] = field(default_factory=queue.SimpleQueue)
    left: bool = False  # the caller is gone
    keeps: bool = True  # its prompt may be remembered

    def reading(self) -> bool:
        """Still reading its prompt."""
        return not self.transcript.produced and len(self.pending) > 1


def ended(job: Job) -> bool:
    """Whether a job should not go on: its caller left, or its time is over (and it is told so)."""
    if job.left:
        return True
    if job.deadline and time.monotonic() > job.deadline:
        job.out.put(Piece(job.transcript.finish("deadline"), job.transcript.produced, "deadline"))
        return True
    return False


class Batch:
    """The rows under way, only ever touched by the engine's thread. `jobs[i]` runs in row i; answers that are being
    written come before prompts that are being read."""

    def __init__(self, runner: Runner, options: BatchOptions) -> None:
        self._runner = runner
        self._options = options
        self._prefixes = Prefixes(options.prefix_bytes)
        runner.cache.limit = options.cache_bytes
        self.jobs: list[Job] = []

    @property
    def _writing(self) -> int:
        return sum(not job.reading() for job in self.jobs)

    def check(self, job: Job) -> None:
        """Raises OutOfMemory when the request could not run even alone."""
        if self._bytes([job]) > self._options.cache_bytes:
            raise OutOfMemory(
                f"An answer of up to {job.transcript.most} tokens does not fit into the cache.",
                hint="Ask a shorter question, show fewer passages or choose a smaller model.",
            )

    def fits(self, job: Job) -> bool:
        jobs = [*self.jobs, job]
        return len(jobs) <= self._options.rows and self._bytes(jobs) <= self._options.cache_bytes

    def _bytes(self, jobs: list[Job]) -> int:
        return self._runner.cache.room([job.transcript.most + MOST for job in jobs])

    def join(self, job: Job) -> None:
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

        for row in reversed([row for row, job in enumerate(self.jobs) if ended(job)]):
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
            self.jobs[-1].out.put(Piece([], 0, error=error))
            self._leave(len(self.jobs) - 1)

    def expire(self) -> None:
        """Let go of kept prompts whose time is over."""
        self._prefixes.expire()

    def forget(self, waiting: list[Job]) -> None:
        """Let go of all kept prompts, and keep none of those that run or wait already."""
        self._prefixes.clear()
        for job in (*self.jobs, *waiting):
            job.keeps = False

    def close(self) -> None:
        self._prefixes.clear()
        self.jobs.clear()
        self._runner.close()

    def _read(self) -> None:
        """Prompts nearest to their end first, so that a short question does not wait behind a long one."""
        first = self._writing
        order = sorted(self.jobs[first:], key=lambda job: len(job.pending))
        pieces = self._pieces(order)
        chosen = order[: len(pieces)]
        for offset, job in enumerate(chosen):
            self._swap(self.jobs.index(job), first + offset)
        done = [int(len(job.pending) == len(piece)) for job, piece in zip(chosen, pieces, strict=True)]
        logits = self._runner.run(first, pieces, done)
        for job, piece in zip(chosen, pieces, strict=True):
            job.fed += piece
            job.pending = job.pending[len(piece) :]
        whole = [job for job, ended in zip(chosen, done, strict=True) if ended]
        for at, job in enumerate(whole):
            self._keep(self.jobs.index(job))
            self._take(job, [], logits[at : at + 1], None)
        self._settle()

    def _pieces(self, order: list[Job]) -> list[list[int]]:
        """What is read of the first of these prompts in one step."""
        budget, cut = self._options.prefill_tokens, self._runner.cut
        if not cut:  # a rectangle
            size = 1
            while size < len(order) and len(order[size].pending) * (size + 1) <= budget:
                size += 1
            return [job.pending[: min(budget, len(order[size - 1].pending))] for job in order[:size]]
        pieces: list[list[int]] = []
        for job in order:
            piece = job.pending[:budget]
            beyond = (len(job.fed) + len(piece)) % cut
            if len(piece) < len(job.pending) and (pieces or beyond < len(piece)):
                piece = piece[: max(0, len(piece) - beyond)]
            if not piece:
                break
            pieces.append(piece)
            budget -= len(piece)
        return pieces

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

    def _guess(self, job: Job) -> list[int]:
        if job.lookup is None:
            return []
        room = job.transcript.most - len(job.fed) - len(job.pending) - 1
        return job.lookup.guess(max(0, min(MOST, room)))

    def _take(self, job: Job, guess: list[int], logits: torch.Tensor, greedy: list[int] | None) -> int:
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
            job.out.put(Piece(deltas, job.transcript.produced, job.transcript.reason))
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
        if job.request.cache_key and job.keeps:
            self._prefixes.keep(job.request.cache_key, job.fed, self._runner.cache.copy_out(row, len(job.fed)))

    def _swap(self, a: int, b: int) -> None:
        self._runner.cache.swap(a, b)
        self.jobs[a], self.jobs[b] = self.jobs[b], self.jobs[a]
