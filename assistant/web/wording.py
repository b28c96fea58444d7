"""The product's states, rights, times and failures in words, in the reader's language.

Knows: codes and numbers of other rooms. Does not know: HTTP or the database (it is handed rows).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date as Date
from datetime import datetime, timedelta
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext, pgettext
from django.utils.translation import gettext_lazy as _

from assistant.accounts.roles import Role
from assistant.audit.catalogue import ACTIONS

_STAGES: dict[str, Any] = {
    "parsing": _("Reading the pages"),
    "chunking": _("Finding passages"),
    "screening": _("Checking for hidden instructions"),
    "embedding": _("Learning the meaning of passages"),
    "indexing": _("Adding to the search index"),
}

_KINDS: dict[str, Any] = {
    "application/pdf": "PDF",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "PowerPoint",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel",
    "application/msword": "Word",
    "application/vnd.ms-powerpoint": "PowerPoint",
    "application/vnd.ms-excel": "Excel",
    "application/vnd.ms-outlook": "Outlook",
    "application/vnd.oasis.opendocument.text": "OpenDocument",
    "application/vnd.oasis.opendocument.spreadsheet": "OpenDocument",
    "application/vnd.oasis.opendocument.presentation": "OpenDocument",
    "application/epub+zip": "EPUB",
    "application/rtf": "RTF",
    "text/tab-separated-values": "TSV",
    "text/plain": _("Text"),
    "text/markdown": "Markdown",
    "text/html": "HTML",
    "text/csv": "CSV",
    "application/json": "JSON",
    "message/rfc822": _("E-mail"),
}

_OUTCOMES: dict[str, tuple[str, Any]] = {
    "intent": ("idle", _("begun")),
    "success": ("good", _("done")),
    "refused": ("warn", _("refused")),
    "failed": ("bad", _("failed")),
}

TOKEN_SCOPE_WORDS: dict[str, Any] = {
    "ask": _("Ask questions and search"),
    "read": _("Read collections and documents"),
    "manage": _("Upload and manage"),
    "audit": _("Read the audit log"),
}

TREATMENT_WORDS: dict[str, Any] = {
    "show": _("Show the values"),
    "pseudonymise": _("Pseudonyms in place of the values"),
    "mask": _("Mask the values"),
    "refuse": _("Leave out what holds values"),
}

PERSONAL_DATA_WORDS: dict[str, Any] = {
    "EMAIL": _("E-mail addresses"),
    "PHONE": _("Telephone numbers"),
    "CARD": _("Payment cards"),
    "IBAN": _("Bank accounts (IBAN)"),
    "IP": _("IP addresses"),
    "SSN": _("US social security numbers"),
    "PASSPORT": _("Passport numbers"),
    "CN_ID": _("Chinese identity numbers"),
    "CN_MOBILE": _("Chinese mobile numbers"),
    "CN_USCC": _("Chinese credit codes of organisations"),
    "CN_BANK_CARD": _("Chinese bank cards"),
    "CN_PLATE": _("Chinese number plates"),
}

_PARTS: dict[str, Any] = {
    "database": _("Database"),
    "redis": "Redis",
    "answers": _("Answering"),
    "ingestion": _("Reading documents"),
    "disk": _("Disk"),
}


def state(version: Any) -> dict[str, str]:
    """A document version's state: tone for the mark and a sentence part that says what it waits for."""
    if version.status == "queued":
        ahead = getattr(version, "ahead", 0)
        words = ngettext(
            "Waiting to be read: one file is before it", "Waiting to be read: %(number)s files are before it", ahead
        ) % {"number": ahead}
        return {"tone": "idle", "words": words if ahead else gettext("Waiting to be read")}
    if version.status == "processing":
        if version.stage in {"", "parsing"} and version.pages_total:
            words = gettext("Reading page %(done)s of %(total)s") % {
                "done": min(version.pages_done + 1, version.pages_total),
                "total": version.pages_total,
            }
        else:
            words = str(_STAGES.get(version.stage, _STAGES["parsing"]))
        return {"tone": "busy", "words": words}
    if version.status == "ready":
        return {"tone": "good", "words": gettext("Ready")}
    if version.status == "quarantined":
        return {"tone": "warn", "words": gettext("Held for a curator")}
    return {"tone": "bad", "words": gettext("Could not be read")}


def media_kind(media_type: str) -> str:
    """ "PDF", "Word", …; the subtype for the rest."""
    if not media_type:
        return ""
    if known := _KINDS.get(media_type):
        return str(known)
    if media_type.startswith("image/"):
        return gettext("Picture")
    return media_type.partition("/")[2].removeprefix("x-").removeprefix("vnd.").upper()[:12]


def size_words(size: int) -> str:
    return filesizeformat(size)


def duration(milliseconds: float | None) -> str:
    """ "0.8 s", "42 s", "2 min 5 s"."""
    if milliseconds is None:
        return ""
    seconds = float(milliseconds) / 1000
    if seconds < 10:
        return gettext("%(seconds)s s") % {"seconds": f"{seconds:.1f}"}
    if seconds < 60:
        return gettext("%(seconds)s s") % {"seconds": f"{seconds:.0f}"}
    return gettext("%(minutes)s min %(seconds)s s") % {"minutes": int(seconds // 60), "seconds": int(seconds % 60)}


def age(seconds: float) -> str:
    """ "12 seconds", "3 minutes", "2 hours"."""
    if seconds < 90:
        count = round(seconds)
        return ngettext("%(count)d second", "%(count)d seconds", count) % {"count": count}
    if seconds < 5400:
        count = round(seconds / 60)
        return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}
    count = round(seconds / 3600)
    return ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}


def moment(value: datetime) -> dict[str, str]:
    """A time for people and, as `iso`, for machines."""
    local = timezone.localtime(value)
    today = timezone.localdate()
    values = {"time": local.strftime("%H:%M"), "date": date(local)}
    if local.date() == today:
        words = gettext("today, %(time)s") % values
    elif local.date() == today - timedelta(days=1):
        words = gettext("yesterday, %(time)s") % values
    else:
        words = gettext("%(date)s, %(time)s") % values
    return {"words": words, "iso": local.isoformat(timespec="seconds")}


def date(value: datetime | Date) -> str:
    """ "22 November 2026", in the reader's language."""
    if isinstance(value, datetime):
        value = timezone.localtime(value)
    return date_format(value, pgettext("a date in Django's format characters", "j F Y"))


def day(value: datetime) -> str:
    """The heading of a day in a list."""
    local = timezone.localtime(value).date()
    today = timezone.localdate()
    if local == today:
        return gettext("Today")
    if local == today - timedelta(days=1):
        return gettext("Yesterday")
    return date(local)


def listed(names: Iterable[str]) -> str:
    """ "A", "A and B", "A, B and C"."""
    items = list(names)
    if not items:
        return ""
    if len(items) == 1:
        return items[0]
    first = pgettext("between the names of a list", ", ").join(items[:-1])
    return gettext("%(first)s and %(last)s") % {"first": first, "last": items[-1]}


def readers(grants: Iterable[Any]) -> str:
    """Who can read, in words: "Everyone", "Finance and 2 people", "Nobody yet"."""
    teams, people = [], 0
    for grant in grants:
        if grant.everyone:
            return gettext("Everyone")
        if grant.team:
            teams.append(grant.team.name)
        else:
            people += 1
    parts = teams[:3]
    if len(teams) > 3:
        more = len(teams) - 3
        parts.append(ngettext("%(count)d more team", "%(count)d more teams", more) % {"count": more})
    if people:
        parts.append(ngettext("%(count)d person", "%(count)d people", people) % {"count": people})
    return listed(parts) or gettext("Nobody yet")


def scope_words(scopes: Iterable[str]) -> str:
    return listed(str(TOKEN_SCOPE_WORDS.get(scope, scope)) for scope in scopes)


def reason_words(reason: Any) -> str:
    """Why a person can open something, from a `documents.services.Reason`."""
    values = {"name": reason.called or reason.name}
    curates = reason.access == "curator"
    if reason.kind == "everyone":
        return gettext("everyone curates it") if curates else gettext("everyone reads it")
    if reason.kind == "team":
        if curates:
            return gettext("curates as a member of %(name)s") % values
        return gettext("reads as a member of %(name)s") % values
    if reason.kind == "user":
        return gettext("curates by a grant of their own") if curates else gettext("reads by a grant of their own")
    return gettext("manages it; it does not reach their answers")


def action_words(action: str) -> str:
    known = ACTIONS.get(action)
    return gettext(known.words) if known else action


def action_choices() -> list[tuple[str, str]]:
    return [(name, gettext(action.words)) for name, action in ACTIONS.items()]


def outcome_words(outcome: str) -> dict[str, str]:
    """An audit outcome as a state: tone and words."""
    tone, words = _OUTCOMES.get(outcome, ("idle", outcome))
    return {"tone": tone, "words": str(words)}


def outcome_name(outcome: str) -> str:
    return outcome_words(outcome)["words"]


def actor_words(actor: str) -> str:
    """An acting party of the log: an address as it is, the others in words."""
    known = {"system": gettext("the system"), "anonymous": gettext("somebody not signed in")}
    if actor.startswith("user:"):
        return gettext("a person who is gone (%(actor)s)") % {"actor": actor}
    return known.get(actor, actor)


def role_words(role: str) -> str:
    return str(dict(Role.choices).get(role, role))


def model_state(state: str) -> dict[str, str]:
    """A model's state: tone and words."""
    return {
        "active": {"tone": "good", "words": gettext("active")},
        "chosen": {"tone": "busy", "words": gettext("chosen; being loaded")},
        "failed": {"tone": "bad", "words": gettext("could not be loaded; answers are quotations")},
    }.get(state, {"tone": "idle", "words": gettext("installed")})


def part_words(name: str, facts: dict[str, Any], *, ok: bool) -> str:
    """A health part's sentence, in the reader's language, from its facts."""
    if name == "database":
        return gettext("It answers.") if ok else gettext("It does not answer. Nothing works until it does.")
    if name == "redis":
        return gettext("It answers.") if ok else gettext("It does not answer. Questions wait; nothing is lost.")
    if name == "disk":
        values = {
            "free": filesizeformat(facts.get("free_bytes", 0)),
            "percent": round(100 * facts.get("free_bytes", 0) / max(1, facts.get("total_bytes", 1))),
        }
        return gettext("%(free)s free (%(percent)s %%) where data lies.") % values
    workers = facts.get("workers", ())
    if ok:
        words = ngettext("%(count)d worker process is alive.", "%(count)d worker processes are alive.", len(workers))
        return words % {"count": len(workers)}
    if workers:
        return gettext("The worker is loading its search index.")
    return gettext("No worker is alive. Start one; waiting work is not lost.")


def part_name(name: str) -> str:
    return str(_PARTS.get(name, name))


def _waiting(count: int) -> str:
    """Singular or plural, still with its %(number)s: the script counts."""
    return ngettext("Waiting: one question is before yours", "Waiting: %(number)s questions are before yours", count)


def _chosen(count: int) -> str:
    return ngettext("%(number)s chosen", "%(number)s are chosen", count)


def waiting_nobody() -> str:
    return gettext(
        "The part that answers is not running at this moment. Your question is kept, and answered as soon as it is "
        "back."
    )


def script_words() -> dict[str, str]:
    """What scripts may say. %(name)s is filled in by the script."""
    return {
        "waiting": _waiting(2),
        "waiting_one": _waiting(1),
        "waiting_none": gettext("Waiting for a free place"),
        "waiting_nobody": waiting_nobody(),
        "reading": gettext("Searching the documents you can read"),
        "writing": gettext("Writing the answer"),
        "stopping": gettext("Stopping"),
        "page": gettext("page %(page)s"),
        "copied": gettext("Copied"),
        "upload_waiting": gettext("waiting"),
        "upload_sending": gettext("sending, %(percent)s %%"),
        "upload_taken": gettext("received; it will be read now"),
        "upload_same": gettext("already here: the same file is in this collection"),
        "upload_lost": gettext("The connection was lost. Drop the file again."),
        "upload_refused": gettext("The file was not accepted."),
        "chosen": _chosen(2),
        "chosen_one": _chosen(1),
    }
