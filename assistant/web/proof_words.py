"""What `documents.proof` looked at, in words: for the page of health. Knows: its names and facts."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext, ngettext, pgettext

from . import wording


def name_of(name: str) -> str:
    return {
        "guard": gettext("Way out"),
        "refusals": gettext("Attempts"),
        "forwarding": gettext("Collector of the audit log"),
        "offline": gettext("Libraries"),
        "keys": pgettext("of encryption", "Keys"),
        "originals": gettext("Originals"),
    }[name]


def words_of(name: str, facts: dict[str, Any], *, ok: bool) -> str:
    """What was looked at and what was seen, from its facts."""
    if name == "guard":
        if not ok:
            return gettext("This process is not guarded.")
        if facts["hosts"]:
            return gettext("Every process refuses connections to other machines, except to %(hosts)s.") % facts
        return gettext("Every process refuses connections to other machines.")
    if name == "refusals":
        if ok:
            return gettext("No process has tried to connect elsewhere.")
        words = ngettext(
            "%(count)d connection elsewhere was tried and refused; the last to %(last)s.",
            "%(count)d connections elsewhere were tried and refused; the last to %(last)s.",
            facts["count"],
        )
        return words % {"last": gettext("an unknown place"), **facts}
    if name == "forwarding":
        return _forwarding_words(facts, ok=ok)
    if name == "offline":
        if ok:
            return gettext("Told to fetch nothing; no package that fetches code is there.")
        return gettext("Not as it should be: %(wrong)s.") % facts
    if name == "keys":
        if ok:
            return (
                gettext("The master key opens the keys of what is kept: %(living)d living, %(destroyed)d destroyed.")
                % facts
            )
        return gettext("The master key does not open the keys of what is kept. Nothing can be read.")
    if ok:
        return gettext("Every original is sealed on the disk.")
    return (
        ngettext(
            "%(count)d original is readable on the disk; run manage.py vault seal.",
            "%(count)d originals are readable on the disk; run manage.py vault seal.",
            facts["count"],
        )
        % facts
    )


def _forwarding_words(facts: dict[str, Any], *, ok: bool) -> str:
    if not facts["address"]:
        return gettext("Events of the audit log are not sent on to a collector.")
    values = {**facts, "when": wording.moment(facts["when"])["words"] if facts["when"] else gettext("never")}
    if ok:
        words = ngettext(
            "The collector at %(address)s gets every event; %(waiting)d waits, last served: %(when)s.",
            "The collector at %(address)s gets every event; %(waiting)d wait, last served: %(when)s.",
            facts["waiting"],
        )
        return words % values
    words = ngettext(
        "%(waiting)d event waits for the collector at %(address)s; last served: %(when)s. Nothing is lost.",
        "%(waiting)d events wait for the collector at %(address)s; last served: %(when)s. Nothing is lost.",
        facts["waiting"],
    )
    if facts["problem"]:
        return f"{words % values} " + gettext("Last error: %(problem)s") % values
    return words % values
