"""What a person is shown of the personal data in documents: the one place where a policy meets a text.

Knows: the policies of collections, whose role asks, and how a text is shown under a rule. Does not know: who may read a
document at all (`policy`), how values are found (`guardrails.pii`), pages or answers.

Whatever leaves a document for a person passes here before anything else sees it: passages before search results,
evidence, prompts and quotations are made of them, pages before they are shown. What was hidden is then in nothing that
derives from it, however it is streamed or cut. A collection with a policy is *guarded*: its index holds pseudonyms in
place of the values, so that nobody finds or confirms a hidden value by searching for it, and those who may see the
values find them through the same pseudonyms.
"""

from __future__ import annotations

import hmac
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Collection as Container
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connection

from assistant.accounts.models import User
from assistant.backends.prepared import Prepared
from assistant.guardrails import masking, pii
from assistant.guardrails.pii import Span
from assistant.guardrails.sanitize import shadow
from assistant.vault import ring
from assistant.vault.ring import Ref

from .models import Chunk, Document, Page, PersonalDataDictionary, PersonalDataPolicy

NOW = "now"
CONTEXT = 64  # characters around a passage in which a word may say what a number is


class Treatment(StrEnum):
    """From open to closed; where several apply to one text the later one wins."""

    SHOW = "show"
    PSEUDONYMISE = "pseudonymise"
    MASK = "mask"
    REFUSE = "refuse"


_ORDER = list(Treatment)


@dataclass(frozen=True, slots=True)
class Rule:
    """How values of `types` (empty: all) are shown; `collection` is the one whose key makes the pseudonyms."""

    treatment: Treatment = Treatment.SHOW
    types: frozenset[str] = frozenset()
    collection: int = 0
    disguise: bool = False
    reveals: bool = False

    @property
    def shows(self) -> bool:
        return self.treatment == Treatment.SHOW


SHOWN = Rule()


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one person: collections without a policy show everything. With them, read in one look, how the
    indexes of guarded collections are made."""

    by_collection: Mapping[int, Rule] = field(default_factory=dict)
    indexing: Mapping[int, Rule] = field(default_factory=dict)

    def of(self, collection: int) -> Rule:
        return self.by_collection.get(collection, SHOWN)

    def together(self, collections: Iterable[int]) -> Rule:
        """The strictest of several, for what is drawn from all of them."""
        found = [self.of(collection) for collection in sorted(set(collections))]
        strict = [rule for rule in found if not rule.shows]
        disguise = any(rule.disguise for rule in found)
        if not strict:
            keyed = next((rule for rule in found if rule.disguise), SHOWN)
            return replace(keyed, disguise=disguise)
        first = max(strict, key=lambda rule: (_ORDER.index(rule.treatment), -rule.collection))
        types = (
            frozenset[str]()
            if any(not rule.types for rule in strict)
            else frozenset().union(*(rule.types for rule in strict))
        )
        return replace(first, types=types, disguise=disguise)


def rules(user: User | AnonymousUser) -> Rules:
    """The person's rules at this moment. A role that a policy does not name sees the least."""
    role = getattr(user, "role", "")
    rows = [PersonalDataPolicy.from_db(connection.alias, _FIELDS, row) for row in _POLICIES.rows()]
    return Rules({row.collection_id: _rule(row, role) for row in rows}, _guarded(rows))


_FIELDS = [field.attname for field in PersonalDataPolicy._meta.concrete_fields]
_POLICIES = Prepared(lambda: PersonalDataPolicy.objects.order_by().values_list(*_FIELDS))


def guarded() -> dict[int, Rule]:
    """Collections that hide something from somebody, each with the rule its index is made by."""
    return _guarded(PersonalDataPolicy.objects.all())


def _guarded(rows: Iterable[PersonalDataPolicy]) -> dict[int, Rule]:
    return {row.collection_id: _indexing(row) for row in rows if hides(row)}


def hides(row: PersonalDataPolicy) -> bool:
    return any(treatment != Treatment.SHOW for treatment in row.treatments.values())


def changed_since(moment: datetime, collections: Any) -> bool:
    """Whether what is shown of these collections may differ from what was shown then."""
    policies = PersonalDataPolicy.objects.filter(collection__in=collections, changed_at__gt=moment)
    words = PersonalDataDictionary.objects.filter(changed_at__gt=moment)
    return policies.exists() or (words.exists() and bool(guarded()))


def _rule(row: PersonalDataPolicy, role: str) -> Rule:
    treatment = Treatment(row.treatments.get(role, Treatment.REFUSE))
    return Rule(treatment, frozenset(row.types), row.collection_id, row.disguise, role in row.reveal)


def _indexing(row: PersonalDataPolicy) -> Rule:
    return Rule(Treatment.PSEUDONYMISE, frozenset(row.types), row.collection_id)


def embedding_rule(collection: int) -> Rule | None:
    """How a guarded collection's passages are embedded; None: as they stand. Masks, since a pseudonym means nothing."""
    rule = guarded().get(collection)
    return replace(rule, treatment=Treatment.MASK) if rule else None


# --- finding ---

_known: tuple[datetime | None, pii.Dictionary | None] = (None, None)


def dictionary() -> pii.Dictionary | None:
    """The customer's own words, compiled once for each state of them."""
    global _known
    changed = PersonalDataDictionary.objects.values_list("changed_at", flat=True).first()
    if changed is None:
        return None
    if _known[0] != changed:
        row = PersonalDataDictionary.objects.first()
        _known = (changed, pii.Dictionary(row.terms if row else {}))
    return _known[1]


def spans(text: str, rule: Rule, own: pii.Dictionary | str | None = NOW) -> list[Span]:
    """The values in a text that the rule concerns; `own` is `dictionary()`, for callers with many texts."""
    words = dictionary() if isinstance(own, str) else own
    found = pii.find(text, dictionary=words)
    return [span for span in found if not rule.types or span.type in rule.types]


def count(texts: Iterable[str]) -> dict[str, int]:
    """How many values of each class there are."""
    own, counts = dictionary(), Counter[str]()
    for text in texts:
        counts.update(span.type for span in pii.find(text, dictionary=own))
    return dict(sorted(counts.items()))


# --- showing ---


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as it may be shown, with the way between its places and those of the text it came from."""

    text: str
    edits: tuple[tuple[int, int, int, int], ...] = ()  # (start, end) there, (start, end) here

    def here(self, there: int, *, end: bool = False) -> int:
        """A place of the original in the shown text; inside a value, its beginning or its end."""
        return _moved(there, [(a, b, c, d) for a, b, c, d in self.edits], end)

    def there(self, here: int, *, end: bool = False) -> int:
        """A place of the shown text in the original."""
        return _moved(here, [(c, d, a, b) for a, b, c, d in self.edits], end)


def _moved(place: int, edits: list[tuple[int, int, int, int]], end: bool) -> int:
    at = bisect_right([start for start, *_ in edits], place - end) - 1
    if at < 0:
        return place
    _, stop, other_start, other_stop = edits[at]
    if place < stop or (end and place == stop):
        return other_stop if end else other_start
    return place - stop + other_stop


def treated(text: str, rule: Rule, found: Iterable[Span] | None = None) -> Shown:
    """The text under the rule. Under `refuse` values are masked: whether it is shown at all is the caller's affair."""
    if rule.shows:
        return Shown(text)
    key = _key(rule.collection) if rule.treatment == Treatment.PSEUDONYMISE else b""
    parts: list[str] = []
    edits: list[tuple[int, int, int, int]] = []
    position = length = 0
    for span in spans(text, rule) if found is None else found:
        name = masking.pseudonym(text[span.start : span.end], span.type, key=key) if key else f"⟨{span.type}⟩"
        parts += [text[position : span.start], name]
        length += span.start - position
        edits.append((span.start, span.end, length, length + len(name)))
        length += len(name)
        position = span.end
    return Shown("".join([*parts, text[position:]]), tuple(edits))


def label(text: str, rule: Rule) -> str:
    """A title, heading or file name under the rule."""
    return text if rule.shows else treated(text, rule).text


def screened(text: str, rule: Rule, known: pii.Dictionary | None = None) -> str:
    """A text written from documents earlier, under the rule of now. `known`: values of its sources, that would not be
    recognised out of their sentences. Pseudonyms in it stay, or become masks where the rule says mask."""
    if rule.shows:
        return text
    found = spans(text, rule)
    if known is not None:
        taken = [(span.start, span.end) for span in found]
        more = known.find(shadow(text))
        found += [span for span in more if all(span.end <= a or b <= span.start for a, b in taken)]
        found.sort(key=lambda span: span.start)
    shown = treated(text, rule, found).text
    return shown if rule.treatment == Treatment.PSEUDONYMISE else masking.coarse(shown)


def holds(text: str, rule: Rule) -> bool:
    """Whether there is something in it that the rule concerns, pseudonyms included."""
    return bool(masking.PLACEHOLDER.search(text)) or bool(spans(text, rule))


def searchable(text: str, mine: Rules) -> str:
    """A query as guarded indexes know its values, for the collections whose values the person may see."""
    names = []
    for collection, rule in mine.indexing.items():
        if mine.of(collection).shows:
            key = _key(collection)
            names += [masking.pseudonym(text[span.start : span.end], span.type, key=key) for span in spans(text, rule)]
    return " ".join([text, *names]) if names else text


# --- passages ---


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as it may be shown; `hidden` counts the values in its text that the rule concerns."""

    shown: Shown
    title: str
    headings: tuple[str, ...]
    hidden: int = 0


def passages(chunks: Iterable[Chunk], rule_of: Callable[[Chunk], Rule]) -> dict[int, Passage]:
    """Each chunk under its rule, by primary key. (`document` must be loaded with them.)"""
    rows = list(chunks)
    ruled = {row.pk: rule_of(row) for row in rows}
    strict = [row for row in rows if not ruled[row.pk].shows]
    around = windows((row.version_id, row.page) for row in strict)
    own = dictionary() if strict else None
    made = {}
    for row in rows:
        rule = ruled[row.pk]
        page = around.get((row.version_id, row.page), "")
        found = [] if rule.shows else within(row.text, page, row.char_start, row.char_end, rule, own)
        made[row.pk] = Passage(
            treated(row.text, rule, found),
            label(row.document.title, rule),
            tuple(label(heading, rule) for heading in row.headings),
            len(found),
        )
    return made


def windows(wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """The texts of pages, by version and number."""
    pairs = set(wanted)
    if not pairs:
        return {}
    rows = Page.objects.filter(
        version__in={version for version, _ in pairs}, number__in={number for _, number in pairs}
    )
    return {(row.version_id, row.number): row.text for row in rows if (row.version_id, row.number) in pairs}


def within(
    text: str, page: str, start: int, end: int, rule: Rule, own: pii.Dictionary | str | None = NOW
) -> list[Span]:
    """The values in page[start:end], which is `text`, recognised with the words around it; cut to it."""
    if page[start:end] != text:
        return spans(text, rule, own)
    left = max(0, start - CONTEXT)
    found = spans(page[left : end + CONTEXT], rule, own)
    offset = left - start
    cut = [
        Span(max(0, span.start + offset), min(len(text), span.end + offset), span.type, span.score) for span in found
    ]
    return [span for span in cut if span.start < span.end]


def veil(user: User | AnonymousUser, documents: Iterable[Document]) -> None:
    """Titles as the person may see them, in these instances (which nobody saves: services load rows of their own)."""
    rows = list(documents)
    mine = rules(user) if rows else Rules()
    for row in rows:
        rule = mine.of(row.collection_id)
        if not rule.shows:
            row.title = label(row.title, rule)


# --- keys ---


def key_of(collection: int) -> Ref:
    """Made with the first policy, under the collection's key, and destroyed with it."""
    return Ref("pseudonyms", str(collection), root=("collection", str(collection)))


def _key(collection: int) -> bytes:
    return hmac.digest(ring.secret(key_of(collection)), b"pseudonyms of personal data", "sha256")


def disguised(texts: Mapping[str, str], rule: Rule) -> tuple[dict[str, str], dict[str, str]]:
    """The texts with pseudonyms for a language model, and the table that turns its words back."""
    table: dict[str, str] = {}
    own, key, done = dictionary(), _key(rule.collection), {}
    for name, text in texts.items():
        done[name], more = masking.pseudonymise(text, spans(text, rule, own), key=key)
        table.update(more)
    return done, table


def originals(texts: Iterable[str], rule: Rule, wanted: Container[str]) -> dict[str, str]:
    """Which value each of the wanted pseudonyms stands for in these texts."""
    own, key = dictionary(), _key(rule.collection)
    known: dict[str, str] = {}
    for text in texts:
        for span in spans(text, rule, own):
            name = masking.pseudonym(text[span.start : span.end], span.type, key=key)
            if name in wanted:
                known.setdefault(name, text[span.start : span.end])
    return known


def known_values(texts: Iterable[str], rule: Rule) -> pii.Dictionary:
    """The values in these texts, as words to look for elsewhere."""
    values: dict[str, Any] = {}
    own = dictionary()
    for text in texts:
        for span in spans(text, rule, own):
            values.setdefault(span.type, set()).add(text[span.start : span.end])
    return pii.Dictionary(values)
