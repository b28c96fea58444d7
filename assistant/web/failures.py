"""What went wrong or was not answered, in words that say what to do, in the reader's language.

Knows: statuses and codes of other rooms. Does not know: HTTP or the database.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from assistant import errors

_ERROR_PAGES: dict[int, tuple[Any, Any]] = {
    400: (_("This request cannot be understood"), _("Go back and try again from the page you came from.")),
    401: (_("Sign in first"), _("Your session may have ended.")),
    403: (_("Your role does not include this"), _("Ask an administrator if you need it for your work.")),
    404: (
        _("There is nothing here that you can see"),
        _("The address may be wrong, the thing may have been deleted, or you may not have access to it."),
    ),
    409: (_("The present state does not allow this"), _("Reload the page to see how things stand now.")),
    413: (_("The upload is too large"), _("Split the file, or ask an administrator to raise the limit.")),
    415: (_("This kind of file cannot be read"), _("Save it as PDF, Word, text or one of the other supported kinds.")),
    429: (_("Too many requests"), _("Wait a moment, then try again.")),
    500: (
        _("Something went wrong on our side"),
        _("Nothing was lost. Try again, and tell an administrator if it stays."),
    ),
    503: (_("A part of the system is not available"), _("Nothing was lost. Try again in a few moments.")),
}

# Why a file could not be read, by the parser's code: one sentence that says what to do.
_UNREADABLE: dict[str, Any] = {
    "unsupported_format": _("This kind of file cannot be read. Save it as PDF, Word or text and upload it again."),
    "encrypted_document": _("The file is protected by a password. Remove the protection and upload it again."),
    "corrupt_document": _(
        "The file is damaged. Open it in the program it was made with, save it again, and upload that."
    ),
    "empty_document": _("There is no text in this file. If it is a scan, upload a version with readable pictures."),
    "limit_exceeded": _("The file is larger or more complex than the limits allow. Split it and upload the parts."),
    "parser_crashed": _(
        "Reading the file ended unexpectedly. Try again; if it happens twice, save it in another format."
    ),
    "parse_error": _("The file could not be read. Save it in another format and upload it again."),
    "cancelled": _("Reading was stopped. Try again or delete the document."),
    "suspicious_content": _("Some passages try to instruct the assistant. Look at them before they may answer."),
}

_NOT_ANSWERED: dict[str, tuple[Any, Any]] = {
    "not_found": (
        _("The documents you can read do not say"),
        _(
            "Try other words, in the language that the documents are written in, or name the document. If it should be "
            "there, ask the curators of the collection."
        ),
    ),
    "refused": (
        _("This question was not answered"),
        _("It reads like an instruction to the assistant, not like a question about documents. Put it as a question."),
    ),
    "cancelled": (_("Stopped"), _("You stopped this answer. Ask again when you like.")),
    "failed": (
        _("The answer could not be written"),
        _("A part of the system failed. Your question is kept; ask it again."),
    ),
}

_REASONS: dict[str, tuple[Any, Any]] = {
    "nothing_readable": (
        _("There is nothing yet that you can read"),
        _("Nobody has given you access to a collection. Ask a curator or an administrator."),
    ),
    "unsupported": (
        _("The model’s answer is not shown"),
        _("The passages it cites support no sentence of it. Put the question in other words, or more precisely."),
    ),
    "deadline": (_("The answer took too long"), _("Your question is kept. Ask it again, or ask for less at once.")),
    "account_disabled": (_("This question was not answered"), _("Your account was disabled meanwhile.")),
    "deleted": (
        _("This answer is no longer shown"),
        _("A document that it quoted was deleted, so its words are erased here too. You can ask again."),
    ),
    "personal_data": (
        _("What may answer this holds personal data"),
        _("The policy of the collection does not let your role see it. Ask the curators of the collection."),
    ),
    "access_changed": (
        _("This answer is not shown"),
        _("It quotes a document that you can no longer read. You can ask again."),
    ),
}


def error_page(status: int) -> tuple[str, str]:
    heading, advice = _ERROR_PAGES.get(status, _ERROR_PAGES[500])
    return str(heading), str(advice)


def error_detail(error: errors.AssistantError) -> str:
    """The error's own sentence; in another language than English the general one, where that is not translated."""
    if isinstance(error, errors.PermissionRefused) and "“" in error.detail:  # names a duty by its code
        return error_page(error.status)[0]
    if error.code == "events_held":
        return gettext("Legal hold %(hold)s keeps events among these. Nothing was removed.") % {
            "hold": error.fields["hold"][0]
        }
    detail = gettext(error.detail)
    if detail == error.detail and not (get_language() or "en").startswith("en") and detail.isascii():
        return error_page(error.status)[0]
    return detail


def unreadable(code: str, sentence: str) -> str:
    """Why a version could not be read: our sentence for a known code, else the recorded one."""
    known = _UNREADABLE.get(code)
    return str(known) if known else gettext(sentence) if sentence else gettext("The file could not be read.")


def why_unread(state: Any) -> str:
    """The same for a document's state: empty unless it failed or is held."""
    return unreadable(state.error_code, state.error) if state.status in {"failed", "quarantined"} else ""


def not_answered(outcome: str, reason: str = "") -> tuple[str, str]:
    """(heading, what to try next) for an answer without text, by its reason where that says more."""
    heading, advice = _REASONS.get(reason) or _NOT_ANSWERED.get(outcome, _NOT_ANSWERED["failed"])
    return str(heading), str(advice)
