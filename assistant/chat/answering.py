"""The life of a question inside a worker: search, weigh the evidence, let the engine speak, check, save.

Knows the order of the stages and hands typed values between them. Rights are those of the asking person at the moment
of the search, and once more at the moment of saving. Does not know HTTP, queues, or how search, evidence and engines
work.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from django.conf import settings
from django.db import transaction

from assistant import engines, leases, version
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, has_duty
from assistant.documents.models import Collection
from assistant.documents.search import FoundPassage, SearchReport, searcher
from assistant.guardrails import injection
from inference.config import GenerationOptions
from inference.engines.base import Assessment, Engine, Evidence, GenerationRequest, Message, Passage
from inference.engines.extractive import ExtractiveEngine
from inference.errors import InferenceError
from inference.evidence import EvidenceScorer

from . import citations, followups, history, introducing, prompting, wording
from .ahead import Ahead
from .clock import Clock
from .closing import Quote, Result, close
from .listening import Listener, PromptTold
from .material import Material, disguised, passage_of, quotable, quote, retrieved, source, under_one_rule
from .models import Answer, AnswerStatus, Outcome
from .streaming import Publisher
from .watch import Ticket

logger = logging.getLogger(__name__)

PASSAGES = 10
PER_DOCUMENT = 3
ANSWER_TOKENS = 512


class Searching(Protocol):
    """Where passages come from: `documents.search.Searcher`, or a record of what it found."""

    def search(
        self, *, user: User, text: str, collections: Sequence[str], limit: int, per_document: int
    ) -> SearchReport: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker answers with. `threshold`: below this probability of an answer, the documents do not say."""

    searcher: Searching
    scorer: EvidenceScorer
    engine: Engine
    threshold: float


def tools() -> Tools:
    """This process's tools; loaded on the first call."""
    return Tools(searcher(), engines.scorer(), engines.engine(), settings.EVIDENCE_THRESHOLD)


def run(answer: Answer, *, tools: Tools, ticket: Ticket) -> Answer:
    """Answer the claimed row and save the result under its fence. Raises leases.LeaseLost when it is no longer ours."""
    live = Publisher(answer.pk)
    live.publish("status", {"status": AnswerStatus.PROCESSING, "position": None, "attempt": answer.attempt})
    clock = Clock()
    result = _Work(answer, tools, ticket, live, clock).result()
    if ticket.lost:
        raise leases.LeaseLost(str(answer.pk))
    waited = round((clock.wall - answer.created_at.timestamp()) * 1000)
    timings = {"queue": max(0, waited), **clock.stages, "total": clock.elapsed()}
    with transaction.atomic():
        row = leases.hold(answer)
        row.standalone_question = answer.standalone_question
        close(row, replace(result, timings=timings))
    live.done(row.outcome)
    return row


def again(answer: Answer, *, tools: Tools, live: Publisher, boundary: str) -> Result:
    """What comes out when the stages run once more with these tools; nothing is saved."""
    return _Work(answer, tools, Ticket(answer), live, Clock(), boundary).result()


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question as it stands alone, what was found for it, and the answers before it."""

    question: str
    partitions: tuple[int, ...]
    found: tuple[FoundPassage, ...]
    passages: tuple[Passage, ...]
    earlier: Sequence[Answer]


class _Work:
    """One attempt at one answer."""

    def __init__(
        self, answer: Answer, tools: Tools, ticket: Ticket, live: Publisher, clock: Clock, boundary: str = ""
    ) -> None:
        self._answer = answer
        self._user = answer.owner
        self._tools = tools
        self._ticket = ticket
        self._live = live
        self._clock = clock
        self._boundary = boundary  # of the record, in a replay, which shares no work with living answers
        self._forgotten = engines.forgotten()  # before anything was searched
        self._reach = ""  # names the person and what was searched: who may know of each other's prompts
        self._detail: dict[str, Any] = {"code": version.code(), "prompt": prompting.VERSION}
        self._evidence: dict[str, Any] = {}
        self._refused = 0  # passages left out for the personal data in them
        self._assessment: Assessment | None = None

    def result(self) -> Result:
        if not has_duty(self._user, Duty.ASK):
            return Result(Outcome.REFUSED, "account_disabled", detail=self._detail)
        if said := introducing.answer(self._user, self._answer.question, self._answer.collections):
            return said
        earlier = history.earlier(self._answer)
        turns = [*history.given(self._answer), *history.turns(earlier)]
        standalone = followups.contextualize(self._answer.question, turns)
        self._answer.standalone_question = standalone.question
        with self._clock.stage("search"):
            report = wording.searched(
                self._tools.searcher.search,
                standalone.search,
                user=self._user,
                collections=self._answer.collections,
                limit=PASSAGES,
                per_document=PER_DOCUMENT,
            )
        found = self._screened(report)
        if not found or self._ticket.stop():
            self._note_collections(report.partitions)
        if self._ticket.stop():
            return self._stopped(Result(Outcome.CANCELLED))
        if not found and report.refused:
            return self._ended(Outcome.REFUSED, "personal_data")
        if not found:
            return self._ended(Outcome.NOT_FOUND, "no_match" if report.partitions else "nothing_readable")
        self._refused = report.refused
        passages = tuple(passage_of(item) for item in found)
        return self._spoken(_Asked(standalone.question, report.partitions, found, passages, earlier))

    # --- stages ---

    def _screened(self, report: SearchReport) -> tuple[FoundPassage, ...]:
        """The passages that may be used; what was searched and found goes on record either way."""
        usable = [item for item in report.passages if item.chunk.suspicion < injection.THRESHOLD_QUARANTINE]
        self._reach = "" if self._boundary else prompting.reach(self._user.pk, report.partitions)
        self._evidence = {"passages": len(report.passages)}
        self._detail |= {
            "index_seq": report.index_seq,
            "partitions": len(report.partitions),
            "searched_chunks": report.searched_chunks,
            "embedding": report.model,
            "reranker": report.reranker,
            "retrieved": retrieved(report.passages),
            "dropped": [item.chunk.pk for item in report.passages if item not in usable],
        }
        if report.refused:
            self._detail["refused"] = report.refused
        return tuple(usable)

    def _note_collections(self, partitions: tuple[int, ...]) -> None:
        searched = Collection.objects.filter(scopes__in=partitions).distinct()
        self._evidence["collections"] = list(searched.values_list("slug", flat=True))

    def _spoken(self, asked: _Asked) -> Result:
        """A language model begins to read while the evidence is read; it speaks only where there is evidence."""
        engine = self._tools.engine
        if engine.needs_prompt:
            try:
                material = self._prompted(asked)
                with self._begun(engine, asked.question, material) as pieces:
                    if self._evidence_in(asked):
                        return self._say(engine, material, pieces)
                    self._detail["given"] = [item.chunk.pk for item in material.found]  # and none of it shown
            except (InferenceError, PromptTold) as error:
                self._falls_back(engine, error)
                engine = ExtractiveEngine()
        elif absent := engines.stands_in(engine):
            self._detail["fallback"] = {"from": absent.engine, "model": absent.model, "error": absent.error}
            self._evidence["fallback"] = absent.engine
        evidence = self._evidence_in(asked)
        if not evidence:
            return self._ended(Outcome.NOT_FOUND, "personal_data" if self._refused else "no_evidence")
        material, _ = under_one_rule(self._user, quotable(asked.found, asked.passages, evidence))
        with self._begun(engine, asked.question, material) as pieces:
            return self._say(engine, material, pieces)

    def _evidence_in(self, asked: _Asked) -> tuple[Evidence, ...]:
        """The quotations that answer, best first; none when the documents do not say. Read once.

        What else is only for the record is looked up here too: a model is reading meanwhile."""
        if self._assessment is None:
            with self._clock.stage("evidence"):
                self._assessment, also = wording.read(
                    lambda words: self._tools.scorer.assess(words, asked.passages), asked.question, asked.found
                )
            if also:
                self._evidence["also"] = self._detail["also"] = also
            self._note_collections(asked.partitions)
            self._detail["answerable"] = round(self._assessment.answerable, 4)
            self._detail["threshold"] = round(self._tools.threshold, 4)
        return self._assessment.evidence if self._assessment.answerable >= self._tools.threshold else ()

    def _falls_back(self, engine: Engine, error: Exception) -> None:
        logger.warning("engine %s cannot answer %s: %s", engine.name, self._answer.pk, error)
        self._detail["fallback"] = {
            "from": engine.name,
            "model": engine.model,
            "model_files": engines.digest_of(engine),
            "error": type(error).__name__,
            "shown": self._detail.get("shown", []),
        }
        self._evidence["fallback"] = engine.name
        status = {"status": AnswerStatus.PROCESSING, "position": None, "attempt": self._answer.attempt}
        self._live.publish("status", status)

    def _prompted(self, asked: _Asked) -> Material:
        """The passages as the search put them, as many as the model's context holds, and the prompt around them. When
        it does not hold all, those with the best evidence come first, and the model waits until that is read."""
        engine = cast(prompting.PromptEngine, self._tools.engine)
        said, inherited = history.messages(self._user, asked.earlier)
        given = [Message(role, text) for role, text in self._answer.context]
        strict, rule = under_one_rule(self._user, Material(asked.found, asked.passages, ()))
        found, passages = strict.found, strict.passages
        question, turns, read, table = disguised(rule, asked.question, [*given, *said], passages)

        def build(order: Iterable[int]) -> prompting.Prompt:
            return prompting.build(
                question,
                [read[index] for index in order],
                turns,
                count=engine.count_tokens,
                budget=engine.context_tokens - ANSWER_TOKENS,
                boundary=self._boundary or prompting.boundary(self._reach),
            )

        prompt = build(range(len(read)))
        if not prompt.whole:
            best = (item.passage for item in self._evidence_in(asked))
            prompt = build(dict.fromkeys([*best, *range(len(read))]))
        self._detail["boundary"] = prompt.boundary  # drawn at random; a replay needs the same
        places = {passage.id: place for place, passage in enumerate(passages)}
        kept = [places[passage.id] for passage in prompt.passages]
        numbered = tuple(found[place] for place in kept), tuple(passages[place] for place in kept)
        return Material(*numbered, (), prompt.messages, inherited, table, prompt.hidden)

    def _begun(self, engine: Engine, question: str, material: Material) -> Ahead:
        request = GenerationRequest(
            question=question,
            passages=material.passages,
            messages=material.messages,
            evidence=material.evidence,
            options=self._options(engine),
            caller=str(self._user.pk),
            cache_key=self._reach if engines.forgotten() == self._forgotten else "",
        )
        return Ahead(engine, request, cancelled=self._ticket.stop)

    def _options(self, engine: Engine) -> GenerationOptions:
        """How the words are drawn; the seed is the answer's own, so that a replay draws the same."""
        temperature, top_p = prompting.sampling(engine, settings.TEMPERATURE)
        if engine.needs_prompt:
            self._detail["sampling"] = [temperature, top_p]
        return GenerationOptions(
            max_new_tokens=ANSWER_TOKENS,
            temperature=temperature,
            top_p=top_p,
            seed=self._answer.pk.int % 2**63,
            deadline_s=float(settings.ANSWER_DEADLINE_SECONDS),
        )

    def _say(self, engine: Engine, material: Material, pieces: Ahead) -> Result:
        """Take what the engine says, publish what is certain, and check it all at the end."""
        self._detail["shown"] = [item.chunk.pk for item in material.found]
        self._live.publish("sources", [source(number, item) for number, item in enumerate(material.found, start=1)])
        spoken = Listener(material, self._live, self._clock, quoted=not engine.needs_prompt)
        with self._clock.stage("generate"):
            spoken.listen(pieces)
        result = self._checked(engine, material, spoken)
        if self._ticket.stop():
            return self._stopped(result)
        if spoken.finish == "deadline" and not spoken.heard:
            return self._ended(Outcome.FAILED, "deadline", engine)
        if prompting.says_nothing(spoken.heard):
            return self._ended(Outcome.NOT_FOUND, "no_evidence", engine)
        if spoken.withheld and not spoken.text:
            return self._ended(Outcome.NOT_FOUND, "unsupported", engine)
        return result

    def _checked(self, engine: Engine, material: Material, spoken: Listener) -> Result:
        """The whole answer, every sentence held against the passages it cites."""
        text = spoken.text.strip()
        sentences: list[tuple[str, tuple[int, ...], bool, int]] = []
        quotes: dict[tuple[int, int, int], Quote] = {}
        with self._clock.stage("check"):
            for sentence in citations.split(text, quoted=spoken.quoted):
                found = [quote(sentence.text, marker, material) for marker in sentence.markers]
                sentences.append(
                    (sentence.text, sentence.markers, any(item.verified for item in found), sentence.breaks)
                )
                for item in found:
                    key = (item.marker, item.char_start, item.char_end)
                    if key not in quotes or item.verified:
                        quotes[key] = item
        rests_on = {item.document for item in quotes.values()}
        if not spoken.quoted:  # a model may use what it read without saying so
            rests_on |= {found.chunk.document_id for found in material.found} | material.inherited
        self._detail["model_files"] = engines.digest_of(engine)
        self._detail["tokens"] = list(spoken.tokens)
        self._detail["finish"] = spoken.finish
        if spoken.withheld:
            self._evidence["unsupported"] = self._detail["unsupported"] = spoken.withheld
        return Result(
            Outcome.ANSWERED,
            text=text,
            thinking=spoken.thinking.strip(),
            sentences=tuple(sentences),
            quotes=tuple(sorted(quotes.values(), key=lambda item: (item.marker, item.char_start))),
            rests_on=frozenset(rests_on),
            engine=engine.name,
            model=engine.model,
            evidence={**self._evidence, "finish": spoken.finish, "tokens": list(spoken.tokens)},
            detail=self._detail,
        )

    def _stopped(self, result: Result) -> Result:
        """Stopped by its owner: what was said so far is kept. By an administrator: nothing is."""
        if self._ticket.disabled:
            return Result(Outcome.REFUSED, "account_disabled", detail=self._detail, evidence=self._evidence)
        return replace(
            result, outcome=Outcome.CANCELLED, reason="stopped", detail=self._detail, evidence=self._evidence
        )

    def _ended(self, outcome: Outcome, reason: str, engine: Engine | None = None) -> Result:
        engine = engine or self._tools.engine
        self._detail["model_files"] = engines.digest_of(engine)
        return Result(
            outcome, reason, engine=engine.name, model=engine.model, evidence=self._evidence, detail=self._detail
        )
