"""Fixed sentences of other rooms, gathered for translators: those rooms know no language, pages show them in two.

Nothing here is called; `tests/web/test_languages.py` holds the list to the code.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop

ERRORS = (
    gettext_noop("The request is not valid"),
    gettext_noop("There is nothing here"),
    gettext_noop("The current state does not allow this"),
    gettext_noop("The audit log cannot be written, so nothing is answered"),
    gettext_noop("Taken."),
    gettext_noop("The answer is not finished yet."),
    gettext_noop("An Idempotency-Key has at most 100 printable characters."),
    gettext_noop("This Idempotency-Key was used for another request."),
    gettext_noop("Many people are asking. Try again in a moment."),
    gettext_noop("Many people are asking just now. Try again in a moment."),
    gettext_noop("Wait until some of your own questions are answered."),
    gettext_noop("The database does not answer."),
    gettext_noop("Nobody can be given access by that name."),
    gettext_noop("Use “user:EMAIL”, “team:SLUG” or “everyone”."),
    gettext_noop("Use “user:EMAIL”, “team:SLUG” or “everyone”, naming somebody known here."),
    gettext_noop("The access is not known."),
    gettext_noop("Use “reader” or “curator”."),
    gettext_noop("There is nobody of that name to give access to."),
    gettext_noop("No search worker answered. Try again in a moment."),
    gettext_noop("Search is not available for the moment."),
    gettext_noop("The slug cannot be used."),
    gettext_noop("Use 1 to 60 small letters, digits and single hyphens between them."),
    gettext_noop("The name cannot be used."),
    gettext_noop("Use 1 to 120 characters."),
    gettext_noop("The description is too long."),
    gettext_noop("Use at most 2000 characters."),
    gettext_noop("Delete or move the documents of this collection first."),
    gettext_noop("Only a document that could not be read can be tried again."),
    gettext_noop("This document is not being read now."),
    gettext_noop("Only a document in quarantine can be released."),
    gettext_noop("The last day lies before the first."),
    gettext_noop("That collection already holds this file."),
    gettext_noop("The title cannot be used."),
    gettext_noop("Use at least one visible character."),
    gettext_noop("The width is not offered."),
    gettext_noop("Too many or too long quotes."),
    gettext_noop("At most 20 quotes of 4000 characters."),
    gettext_noop("Many pages are being drawn now. Try again in a moment."),
    gettext_noop("This page cannot be drawn. Read its text instead."),
    gettext_noop("This collection already holds that file as another document."),
    gettext_noop("The file is empty."),
    gettext_noop("The disk is full, so the file was not stored. Tell the administrator."),
    gettext_noop("Type a question."),
)

READING = (
    gettext_noop("invisible characters"),
    gettext_noop("hidden text"),
    gettext_noop("hidden style"),
    gettext_noop("hidden paragraph"),
    gettext_noop("hidden slide"),
    gettext_noop("Some characters of the file could not be read."),
    gettext_noop("The file contains macros; they were not run and not read."),
    gettext_noop("Some scanned pages were left out: there are too many of them."),
    gettext_noop("Some attachments were left out: there are too many of them."),
)
