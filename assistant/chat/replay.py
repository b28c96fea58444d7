"""Answering once more from the record: the same question, passages and engine. Nothing is saved but the verdict.

Knows: what an answer's event says was retrieved, and how to run an answer's stages over exactly that. Does not know:
pages. A verdict holds numbers, never words, so that whoever may not see the answer may see whether it stands.

    same        engine, passages and code give the recorded answer, word for word
    differs     they give another one; `differing` are the sentences, counted from 1, and `reason` is what changed
                since: the engine, else the prompt that it is given, else unknown ("outcome" or "text" is what differs)
    altered     the stored answer is not the one that was recorded
    erased      the question, the answer or a passage it saw is gone: there is nothing to replay it from
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from assistant import version
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import keys
from assistant.audit import services as audit
from assistant.documents import personal
from assistant.documents.models import Chunk
from assistant.documents.search import FoundPassage, SearchReport

from . import answering, introducing, prompting
from .closing import Result
from .models import Answer, Outcome
from .replay_requests import closing_event
from .streaming import Publisher


@dataclass(frozen=True, slots=True)
class Replay:
    """`recorded` and `now` name engine, model and code of both runs."""

    answer: str
    verdict: str
    event: int
    reason: str = ""
    sentences: int = 0
    differing: tuple[int, ...] = ()
    missing: int = 0
    recorded: tuple[str, str, str] = ("", "", "")
    now: tuple[str, str, str] = ("", "", "")


class Unheard(Publisher):
    """Nobody follows: a replay, a question of the golden set."""

    def publish(self, event: str, data: Any, *, expire: int = 0) -> None:
        return


class _Recorded:
    """In place of search: the passages the record names, in their order, with their scores."""

    def __init__(self, owner: User, detail: dict[str, Any], rows: dict[int, Chunk]) -> None:
        self._owner, self._detail, self._rows = owner, detail, rows

    def search(self, **_: Any) -> SearchReport:
        rules = personal.rules(self._owner)
        shown = personal.passages(self._rows.values(), lambda row: rules.of(row.document.collection_id))
        found = [
            FoundPassage(self._rows[item["chunk"]], shown[item["chunk"]], item["score"], 0.0, 0.0)
            for item in self._detail["retrieved"]
        ]
        return SearchReport(found, (0,) * self._detail["partitions"], 0, 0, self._detail["embedding"])


def recorded(*, actor: User, answer_id: UUID | str) -> Replay:
    """Replay an answer here and put the verdict on record. Raises NotFound, PermissionRefused."""
    require(actor, Duty.REVIEW_AUDIT)
    found = replay(answer_id)
    detail = {name: value for name, value in asdict(found).items() if name != "answer"}
    audit.record(
        action="answer.replayed",
        outcome="success" if found.verdict == "same" else "failed",
        target=("answer", found.answer),
        detail=detail,
    )
    return found


def replay(answer_id: UUID | str, *, tools: answering.Tools | None = None) -> Replay:
    """Raises NotFound when no such answer was recorded."""
    event = closing_event(answer_id)
    detail: dict[str, Any] = event.detail
    then = (detail.get("engine", ""), detail.get("model", ""), detail.get("code", ""))
    told = Replay(event.target_id, "erased", event.seq, recorded=then)
    row = Answer.objects.select_related("owner").filter(pk=event.target_id).first()
    if row is None or row.withheld_at:
        return replace(told, reason="answer_erased")
    if not _is_recorded(row, detail):
        return replace(told, verdict="altered", reason="text")
    if row.reason == introducing.REASON:  # fixed words: no passages, no engine
        result = introducing.answer(row.owner, row.question, row.collections)
        return _compared(row, result or Result(Outcome.FAILED), replace(told, now=then))
    if "retrieved" not in detail:
        return replace(told, verdict="differs", reason="nothing_was_searched")
    wanted = [item["chunk"] for item in detail["retrieved"]]
    rows = Chunk.objects.select_related("document__collection", "version").in_bulk(wanted)
    if missing := len(set(wanted) - set(rows)):
        return replace(told, reason="passages_erased", missing=missing)
    tools = tools or answering.tools()
    row.owner.is_active = True  # in memory: whoever has left meanwhile asked it all the same
    recorded = _Recorded(row.owner, detail, rows)
    again = replace(tools, searcher=recorded, threshold=detail.get("threshold", tools.threshold))
    result = answering.again(row, tools=again, live=Unheard(row.pk), boundary=detail.get("boundary", ""))
    # only a prompted engine is given what stands between boundaries
    old_prompt = "boundary" in detail and detail.get("prompt") != prompting.VERSION
    told = replace(told, now=(result.engine, result.model, version.code()))
    return _compared(row, result, told, changed="prompt" if old_prompt else "")


def _compared(row: Answer, result: Result, told: Replay, changed: str = "") -> Replay:
    """`changed`: what is known to be another than it was, beside the engine."""
    then = [tuple(map(_plain, sentence)) for sentence in row.sentences]
    now = [tuple(map(_plain, sentence)) for sentence in result.sentences]
    longest = max(len(then), len(now))
    differing = tuple(number + 1 for number in range(longest) if then[number : number + 1] != now[number : number + 1])
    if (row.outcome, row.text) == (result.outcome, result.text) and not differing:
        return replace(told, verdict="same", sentences=len(then))
    reason = changed or ("outcome" if row.outcome != result.outcome else "text")
    if told.recorded[:2] != told.now[:2]:
        reason = "engine"
    return replace(told, verdict="differs", reason=reason, sentences=len(then), differing=differing)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value


def _is_recorded(row: Answer, detail: dict[str, Any]) -> bool:
    """Whether the stored text is the one the event committed to; an event from before commitments says nothing."""
    commitment = detail.get("text", "")
    return not commitment or keys.commit({"text": row.text}, row.text_salt) == commitment
