"""Who and what the demo company consists of: people, collections, and the documents listed by their source files.

Knows names and rights only, as plain values; it writes nothing and knows no database. A grant is a pair
(principal, access) with principal `everyone`, `team:SLUG` or `user:EMAIL` and access `reader` or `curator`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assistant.demo.blocks import Source, load_source

Grant = tuple[str, str]

DOMAIN = "tarnwald.example"
CONTENT = Path(__file__).parent / "content"


@dataclass(frozen=True, slots=True)
class Person:
    email: str
    name: str
    role: str
    teams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    slug: str
    name: str
    description: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class DocumentSpec:
    """One document: `restricted_to` is empty unless fewer people may read it than its collection says;
    `replaces` is the filename of the older version that this one supersedes."""

    filename: str
    collection: str
    title: str
    restricted_to: tuple[Grant, ...]
    language: str
    replaces: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    people: tuple[Person, ...]
    collections: tuple[CollectionSpec, ...]
    documents: tuple[DocumentSpec, ...]


PEOPLE = (
    Person(f"jonas.keller@{DOMAIN}", "Jonas Keller", "employee", ("finance",)),
    Person(f"anna.brandt@{DOMAIN}", "Anna Brandt", "curator", ("hr",)),
    Person(f"li.wei@{DOMAIN}", "Li Wei 李伟", "curator", ("engineering",)),
    Person(f"margarethe.voss@{DOMAIN}", "Margarethe Voss", "auditor", ("board",)),
    Person(f"tomas.novak@{DOMAIN}", "Tomas Novak", "administrator", ("it",)),
)

COLLECTIONS = (
    CollectionSpec(
        "handbook",
        "Handbook",
        "Rules and practical information for everyone at every site.",
        (("everyone", "reader"), (f"user:anna.brandt@{DOMAIN}", "curator")),
    ),
    CollectionSpec(
        "engineering",
        "Engineering",
        "Product manuals, procedures, changes and minutes of the engineering teams.",
        (("team:engineering", "reader"), (f"user:li.wei@{DOMAIN}", "curator")),
    ),
    CollectionSpec(
        "hr",
        "HR",
        "Pay, recruiting and personnel matters.",
        (("team:hr", "reader"), (f"user:anna.brandt@{DOMAIN}", "curator")),
    ),
    CollectionSpec(
        "finance",
        "Finance",
        "Price lists, contracts and reports.",
        (("team:finance", "reader"), ("team:board", "reader")),
    ),
    CollectionSpec(
        "board",
        "Board",
        "Papers of the supervisory board.",
        (("team:board", "reader"),),
    ),
)

_SUGGESTED = {
    "handbook": [
        "How many days of holiday do I get each year?",
        "Which meal allowance applies on a business trip in Germany?",
        "What must I do when my laptop is stolen?",
        "How long may I work from another EU country?",
        "去上海出差的住宿标准是多少？",
        "年假可以结转到第二年吗？",
        "出差结束后多久之内要提交报销申请？",
    ],
    "engineering": [
        "Which torque do the casing bolts of the TFC 100 need?",
        "What caused the seal failure in March 2026?",
        "What does alarm A14 on the TFC controller mean?",
        "D3计量泵的隔膜多久需要更换？",
    ],
    "hr": [
        "What is the salary range for band E4?",
        "How large is the referral bonus?",
        "苏州工厂的住房公积金缴存比例是多少？",
    ],
    "finance": [
        "What does a TFC 65 in duplex steel cost?",
        "Who approves an investment of 80,000 euros?",
        "苏州采购合同的付款期限是多少天？",
    ],
    "board": [
        "What did the board decide about Project Lark?",
        "When does the chief executive's contract end?",
    ],
}


def suggested_questions(collection_slug: str) -> list[str]:
    """Example questions to offer a reader of the collection, in both languages; none for an unknown slug."""
    return list(_SUGGESTED.get(collection_slug, ()))


@cache
def sources() -> dict[str, Source]:
    """Every source file by the filename that it becomes, in a fixed order."""
    loaded = [load_source(path) for path in sorted(CONTENT.glob("*/*.md"))]
    return {source.meta["filename"]: source for source in loaded}


def manifest() -> Manifest:
    """The whole company as values; an older version always stands before the document that replaces it."""
    documents = [
        DocumentSpec(
            filename=filename,
            collection=source.meta["collection"],
            title=source.meta["title"],
            restricted_to=tuple((grant[0], grant[1]) for grant in source.meta.get("restricted_to", ())),
            language=source.meta["language"],
            replaces=source.meta.get("replaces"),
        )
        for filename, source in sources().items()
    ]
    order = {spec.slug: position for position, spec in enumerate(COLLECTIONS)}
    documents.sort(key=lambda spec: (order[spec.collection], spec.replaces is not None, spec.filename))
    return Manifest(PEOPLE, COLLECTIONS, tuple(documents))
