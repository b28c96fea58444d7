"""Words for what reviewers see: how somebody saw a document, a week, requests in pairs, replays, saved searches.

Knows: counts, codes and states of other rooms. Does not know: HTTP or the database.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from assistant.audit.models import AuditSegment

from . import wording

_WAYS: dict[str, Any] = {
    "cited": _("quoted in answers: %(count)d"),
    "used": _("used for answers, not quoted: %(count)d"),
    "found": _("found and kept back: %(count)d"),
    "search": _("in search results: %(count)d"),
    "page": _("pages opened: %(count)d"),
    "download": _("downloads: %(count)d"),
}
_DIGEST: dict[str, Any] = {
    "questions": _("Questions asked"),
    "answered": _("Questions answered"),
    "not_found": _("The documents did not say"),
    "answers_refused": _("Questions refused"),
    "answers_failed": _("Answers failed"),
    "searches": _("Searches"),
    "pages": _("Pages opened"),
    "downloads": _("Originals downloaded"),
    "uploads": _("Documents uploaded or replaced"),
    "deletions": _("Documents or collections deleted"),
    "sign_ins": _("Sign-ins"),
    "sign_ins_refused": _("Sign-ins refused"),
    "denied": _("Access denied"),
    "rights": _("Changes of access"),
    "people": _("Changes of people"),
    "openings": _("Texts opened"),
    "exports": _("Exports of the log"),
    "golden_runs": _("Runs of the golden set"),
    "drifted": _("Alarms: answers became worse"),
    "verified": _("Verifications that held"),
    "verified_badly": _("Verifications that did not hold"),
}


def ways(counts: dict[str, int]) -> str:
    """How somebody saw a document, in words with counts."""
    return wording.listed(str(words) % {"count": counts[way]} for way, words in _WAYS.items() if counts.get(way))


def digest_words(name: str) -> str:
    return str(_DIGEST.get(name, name))


def permit_state(approved: bool | None, *, alive: bool) -> dict[str, str]:
    """A request between reviewers: tone and words."""
    if approved is False:
        return {"tone": "idle", "words": gettext("declined")}
    if not alive:
        return {"tone": "idle", "words": gettext("its time is over")}
    if approved:
        return {"tone": "good", "words": gettext("agreed")}
    return {"tone": "warn", "words": gettext("waits for another reviewer")}


_REPLAYS: dict[str, tuple[str, Any]] = {
    "same": ("good", _("The same passages, engine and code give the recorded answer, word for word.")),
    "engine": ("warn", _("Another engine or model answers now, and it says something else.")),
    "prompt": (
        "warn",
        _("A model is asked in another way now (rules, order of passages), and it says something else."),
    ),
    "outcome": ("warn", _("From the same passages the question would end otherwise today.")),
    "text": ("warn", _("From the same passages some sentences come out otherwise today.")),
    "nothing_was_searched": ("idle", _("Nothing was searched for this answer, so there is nothing to compare.")),
    "altered": ("bad", _("The stored answer is not the one that was recorded. Verify the log.")),
    "answer_erased": ("idle", _("The answer was erased. There is nothing to replay it from.")),
    "passages_erased": ("idle", _("Passages that it saw were erased. There is nothing to replay it from.")),
}


def replay_verdict(detail: dict[str, Any]) -> dict[str, str]:
    """What a replay showed: tone and words."""
    verdict, reason = str(detail.get("verdict", "")), str(detail.get("reason", ""))
    tone, words = _REPLAYS.get(verdict) or _REPLAYS.get(reason) or ("idle", verdict)
    return {"tone": tone, "words": str(words)}


def segment(row: AuditSegment) -> str:
    """A sealed run of old events, for choosing one."""
    facts = {"first": row.first_seq, "last": row.last_seq, "day": wording.day(row.sealed_at)}
    return gettext("events %(first)s to %(last)s, sealed %(day)s") % facts


def filters(query: str) -> list[str]:
    """A saved search in words, one of its filters each."""
    given = dict(parse_qsl(query))
    known = {
        "person": gettext("person: %s"),
        "action": gettext("what: %s"),
        "outcome": gettext("outcome: %s"),
        "target": gettext("about: %s"),
        "since": gettext("from %s"),
        "until": gettext("to %s"),
    }
    spoken = {"action": wording.action_words, "outcome": wording.outcome_name}
    return [words % spoken.get(name, str)(given[name]) for name, words in known.items() if given.get(name)]


def detail(value: Any) -> list[str]:
    """A value on record as lines to read: an entry of a list with names has one of its own. Codes stay codes."""
    if isinstance(value, dict):
        return [", ".join(f"{name} {_plain(item)}" for name, item in value.items())]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [line for item in value for line in detail(item)]
    return [_plain(value)]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "[]"
    return json.dumps(value) if value is None or isinstance(value, bool | dict) else str(value)
