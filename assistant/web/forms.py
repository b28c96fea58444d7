"""What people type, checked for shape only: rules are the services'. Knows fields and words, no domain object."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from assistant.accounts.roles import Role
from assistant.accounts.services import TOKEN_SCOPES
from assistant.documents.models import Access, HoldKind
from assistant.quality.models import Every

from .wording import TOKEN_SCOPE_WORDS, TREATMENT_WORDS

_DOCUMENT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def document_id(typed: str) -> str:
    """The id in what was typed: an id, or the address of a document's page; "" without one."""
    found = _DOCUMENT.search(typed)
    return found[0].lower() if found else ""


class Form(forms.Form):
    """A form of this room: no colon after labels, errors are printed by the `field` part."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One or more files; `clean` gives a list."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        one = super().clean
        items = data if isinstance(data, list | tuple) else [data]
        return [one(item, initial) for item in items] or [one(None, initial)]


class DateInput(forms.DateInput):
    input_type = "date"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%Y-%m-%d", **kwargs)


class AskForm(Form):
    question = forms.CharField(label=_("Your question"), strip=True, widget=forms.Textarea(attrs={"rows": 1}))
    collections = forms.MultipleChoiceField(
        label=_("Only in these collections"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, collections: list[tuple[str, str]] = [], **kwargs: Any) -> None:  # noqa: B006
        super().__init__(*args, **kwargs)
        field = self.fields["collections"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = collections


class RenameForm(Form):
    title = forms.CharField(label=_("Title"), max_length=200)


class FeedbackForm(Form):
    good = forms.TypedChoiceField(
        choices=[("yes", _("Good")), ("no", _("Not good"))], coerce=lambda value: value == "yes"
    )
    reason = forms.CharField(label=_("What was wrong or missing?"), required=False, max_length=500)


class RevealForm(Form):
    pseudonym = forms.CharField(label=_("Pseudonym"), max_length=60, help_text=_("As it stands in the text: ⟨CARD-…⟩"))
    reason = forms.CharField(
        label=_("Why the value is needed"), max_length=500, help_text=_("Goes on record together with your name.")
    )


class PrivacyForm(Form):
    """One treatment for each role; `types` are the classes concerned."""

    types = forms.MultipleChoiceField(
        label=_("Only these classes"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: all of them."),
    )
    disguise = forms.BooleanField(
        label=_("Language models read pseudonyms in place of the values"),
        required=False,
        help_text=_("Those who may see the values get them back in the answer."),
    )
    reveal = forms.MultipleChoiceField(
        label=_("Who may turn a pseudonym back, with a reason"),
        required=False,
        choices=Role.choices,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, classes: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["types"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = classes
        roles = {
            f"role_{role}": forms.ChoiceField(label=label, choices=list(TREATMENT_WORDS.items()))
            for role, label in Role.choices
        }
        self.fields = {**roles, **self.fields}

    def policy(self) -> dict[str, Any]:
        """The arguments of the service."""
        data = self.cleaned_data
        treatments = {role: data[f"role_{role}"] for role in Role.values}
        return {"treatments": treatments, **{name: data[name] for name in ("types", "disguise", "reveal")}}


class DictionaryForm(Form):
    terms = forms.CharField(
        label=_("Terms"),
        required=False,
        max_length=500_000,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false"}),
        help_text=_("One line for each term: its class in capital letters, a colon, the term. PROJECT: Nightingale"),
    )

    def clean_terms(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for number, line in enumerate(self.cleaned_data["terms"].splitlines(), start=1):
            kind, colon, term = line.partition(":")
            if not line.strip():
                continue
            if not colon or not term.strip():
                raise forms.ValidationError(
                    _("Line %(number)s has no class and colon before the term."), params={"number": number}
                )
            found.setdefault(kind.strip(), []).append(term.strip())
        return found


class CollectionForm(Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    slug = forms.CharField(
        label=_("Short name"),
        required=False,
        max_length=60,
        help_text=_(
            "For addresses and tools: small letters, digits and hyphens. Left empty, it is made from the name. It "
            "cannot be changed later."
        ),
    )
    description = forms.CharField(
        label=_("Description"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )


class CollectionDetailsForm(Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    description = forms.CharField(
        label=_("Description"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )


class UploadForm(Form):
    file = FilesField(label=_("Files"))


class VersionForm(Form):
    file = forms.FileField(label=_("File"))


_NAMED = [("team", _("A team")), ("user", _("A person"))]


class GrantForm(Form):
    """`principal` is typed the way the API names it, or chosen by kind and name."""

    kind = forms.ChoiceField(
        label=_("Who"),
        choices=[("everyone", _("Everyone")), *_NAMED],
        initial="team",
    )
    who = forms.CharField(
        label=_("Team or e-mail"),
        required=False,
        max_length=254,
        help_text=_("The team's name, or the person's e-mail address."),
    )
    access = forms.ChoiceField(label=_("May"), choices=[])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        access = self.fields["access"]
        assert isinstance(access, forms.ChoiceField)
        access.choices = [(Access.READER.value, _("read")), (Access.CURATOR.value, _("read and curate"))]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind, who = cleaned.get("kind"), (cleaned.get("who") or "").strip()
        if kind in {"team", "user"} and not who:
            self.add_error("who", _("Say which team or person."))
        if kind == "everyone" and who:
            self.add_error("who", _("“Everyone” is chosen: choose a team or a person, or leave this empty."))
        cleaned["principal"] = "everyone" if kind == "everyone" else f"{kind}:{who}"
        return cleaned


class RestrictForm(GrantForm):
    """For one document: "everyone" would open it to more people than its collection, so it is not offered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = self.fields["kind"]
        assert isinstance(kind, forms.ChoiceField)
        kind.choices = _NAMED


class DocumentForm(Form):
    title = forms.CharField(label=_("Title"), max_length=300)
    valid_from = forms.DateField(label=_("Valid from"), required=False, widget=DateInput())
    valid_until = forms.DateField(
        label=_("Valid until"),
        required=False,
        widget=DateInput(),
        help_text=_("Outside these days the document stays here but does not answer questions."),
    )


class MoveForm(Form):
    collection = forms.ChoiceField(label=_("Move to"))

    def __init__(self, *args: Any, collections: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["collection"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = collections


class PersonForm(Form):
    email = forms.EmailField(label=_("E-mail"), max_length=254)
    name = forms.CharField(label=_("Name"), required=False, max_length=150)
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class PersonDetailsForm(Form):
    name = forms.CharField(label=_("Name"), required=False, max_length=150)
    role = forms.ChoiceField(
        label=_("Role"), choices=Role.choices, help_text=_("A new role ends the sessions this person has open.")
    )


class TeamForm(Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    slug = forms.CharField(
        label=_("Short name"),
        required=False,
        max_length=60,
        help_text=_(
            "Small letters, digits and hyphens. Left empty, it is made from the name. It cannot be changed later."
        ),
    )


class TeamNameForm(Form):
    name = forms.CharField(label=_("Name"), max_length=120)


class MemberForm(Form):
    email = forms.EmailField(label=_("E-mail of the person"), max_length=254)


class TokenForm(Form):
    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("What uses it, so that you recognise it later.")
    )
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=[(scope, TOKEN_SCOPE_WORDS.get(scope, scope)) for scope in TOKEN_SCOPES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Nothing ticked: everything you may do yourself."),
    )
    days = forms.TypedChoiceField(
        label=_("Valid for"),
        coerce=int,
        choices=[(30, _("30 days")), (90, _("90 days")), (365, _("One year")), (0, _("Until revoked"))],
        initial=90,
    )


class AuditFilterForm(Form):
    """Filters live in the address; all are optional and unknown values are told, not ignored."""

    person = forms.CharField(label=_("Person (e-mail)"), required=False, max_length=254)
    action = forms.CharField(label=_("What"), required=False, max_length=64)
    outcome = forms.CharField(label=_("Outcome"), required=False, max_length=20)
    target = forms.CharField(label=_("About (document or other id)"), required=False, max_length=100)
    since = forms.DateField(label=_("From"), required=False, widget=DateInput())
    until = forms.DateField(label=_("To"), required=False, widget=DateInput())


class GoldenForm(Form):
    """The golden questions, typed or brought as a file; a file wins."""

    text = forms.CharField(
        label=_("Questions, one JSON object a line"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "class": "mono"}),
    )
    file = forms.FileField(label=_("Or a file (JSON lines)"), required=False)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if file := given.get("file"):
            try:
                given["text"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                self.add_error("file", _("The file is not UTF-8 text."))
        return given


class ScheduleForm(Form):
    every = forms.ChoiceField(label=_("Ask them"), choices=Every.choices)
    conversations = forms.BooleanField(
        label=_("Good answers of people's conversations may be used for training (recorded)"), required=False
    )


class HoldForm(Form):
    kind = forms.ChoiceField(label=_("What must be kept"), choices=HoldKind.choices)
    target = forms.CharField(
        label=_("Which one"),
        max_length=254,
        help_text=_("A collection's short name, the address of a document's page, or a person's e-mail address."),
    )
    reason = forms.CharField(
        label=_("Why"), max_length=500, help_text=_("At least 10 characters. It is shown here and kept on record.")
    )

    def clean_target(self) -> str:
        """A document is named by the number in the address of its page."""
        typed = str(self.cleaned_data["target"]).strip()
        return document_id(typed) or typed


class SavedSearchForm(Form):
    """`query` comes from the timeline's address."""

    name = forms.CharField(label=_("Name of the search"), max_length=80)
    query = forms.CharField(max_length=2000, widget=forms.HiddenInput())


class PruningForm(Form):
    last = forms.TypedChoiceField(label=_("Remove up to the end of"), coerce=int)
    reason = forms.CharField(
        label=_("Why"),
        min_length=10,
        max_length=500,
        help_text=_("Another reviewer reads this and decides."),
    )

    def __init__(self, *args: Any, segments: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["last"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = segments


class ErasePersonForm(forms.Form):
    """The address once more: nobody is erased by a slip of the hand."""

    confirm = forms.CharField(label=_("Type their e-mail address"), max_length=254)

    def __init__(self, *args: Any, email: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._email = email

    def clean_confirm(self) -> str:
        typed = str(self.cleaned_data["confirm"]).strip().lower()
        if typed != self._email.lower():
            raise forms.ValidationError(_("This is not the address of the person."))
        return typed
