"""Sentences with made-up personal data whose places are known, to measure the recognizers with. Numbers are drawn, so
they belong to somebody only by chance; whoever holds one is not meant.

Knows: how such numbers are made (check digits computed here, apart from `checksums`, so that a fault there shows), the
ways people write them, and what looks like one and is none. Does not know: how they are found.
"""

# ruff: noqa: E501  (tables of forms)

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

CHECKED = ("CARD", "IBAN", "CN_ID", "CN_USCC", "CN_BANK_CARD")  # classes that carry a check digit

_ENGLISH = (
    "Please charge {} for the March invoice.", "Customer file: {} (verified on 12 May 2026).", "{}", "He wrote {}, then left.",
    "Reference {}; two more are missing.", "The form of page 14 says {} and nothing else.", "- {}\n- nothing\n- 3 pieces",
    "| 17 | {} | open |", "In case 2026-004417 the value is {}.", "See “{}” below.",
)  # fmt: skip
_CHINESE = (
    "客户资料：{}，已核对。", "请于2026年3月12日前确认{}是否正确。", "{}", "登记为{}；其余未填。", "（{}）见附件第3页。",
    "第17条记录{}待处理", "表中写的是“{}”。", "经办人提供了{}，金额为1,250.00元。",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """A text and the one value in it: text[start:end] is of `kind`. With kind "" nothing is to be found; `near` names
    the class that it nearly is."""

    text: str
    start: int
    end: int
    kind: str
    near: str = ""


def examples(kind: str, number: int, *, seed: int = 1) -> Iterator[Example]:
    """`number` sentences with a value of the class, and as many with a near miss of it."""
    dice = random.Random(f"{seed} {kind}")  # noqa: S311  (reproducible sentences, no secret)
    make = MAKERS[kind]
    for _ in range(number):
        word, value = make(dice)
        yield _placed(dice, word, _written(dice, value, kind), kind)
        yield _placed(dice, *NEARLY[kind](dice), "", near=kind)


def _placed(dice: random.Random, word: str, value: str, kind: str, near: str = "") -> Example:
    chinese = dice.random() < 0.5 or kind.startswith("CN_") or near.startswith("CN_")
    before, after = dice.choice(_CHINESE if chinese else _ENGLISH).split("{}")
    before += word
    return Example(f"{before}{value}{after}", len(before), len(before) + len(value), kind, near)


def _written(dice: random.Random, value: str, kind: str) -> str:
    """As it stands, in full width, or in the other case."""
    way = dice.random()
    if way < 0.12 and kind != "PHONE":
        return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in value)
    if way < 0.24 and kind in ("IBAN", "EMAIL", "CN_ID", "CN_USCC", "CN_PLATE"):
        return value.swapcase()
    return value


def _digits(dice: random.Random, count: int) -> str:
    return "".join(str(dice.randrange(10)) for _ in range(count))


def _grouped(dice: random.Random, value: str, sizes: tuple[int, ...], *, plain: float = 0.4) -> str:
    if dice.random() < plain:
        return value
    separator, parts, at = dice.choice("  -\u00a0"), [], 0
    for size in sizes:
        parts.append(value[at : at + size])
        at += size
    return separator.join([*parts, value[at:]] if at < len(value) else parts)


# --- one maker for each class: (the words before it, a value) ---

_SCHEMES = (
    ("4", 16),
    ("51", 16),
    ("55", 16),
    ("2720", 16),
    ("34", 15),
    ("37", 15),
    ("36", 14),
    ("3530", 16),
    ("6011", 16),
)


def _with_luhn(body: str) -> str:
    total = 0
    for place, char in enumerate(reversed(body)):
        doubled = int(char) * 2 if place % 2 == 0 else int(char)
        total += doubled - 9 if doubled > 9 else doubled
    return body + str(-total % 10)


def _card(dice: random.Random) -> tuple[str, str]:
    prefix, size = dice.choice(_SCHEMES)
    number = _with_luhn(prefix + _digits(dice, size - len(prefix) - 1))
    if dice.random() < 0.05:
        return "", " ".join(number)
    return dice.choice(("", "card ", "Visa ", "卡 ")), _grouped(
        dice, number, {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[size]
    )


def _bank_card(dice: random.Random) -> tuple[str, str]:
    size = dice.choice((16, 17, 18, 19))
    number = _with_luhn("62" + _digits(dice, size - 3))
    return dice.choice(("银行卡号：", "账号", "开户行卡号 ", "储蓄卡")), _grouped(dice, number, (4, 4, 4, 4))


_BANKS = {
    "DE": "n18",
    "FR": "n10a11n2",
    "GB": "u4n14",
    "NL": "u4n10",
    "ES": "n20",
    "IT": "u1n10a12",
    "CH": "n5a12",
    "PL": "n24",
}


def _iban(dice: random.Random) -> tuple[str, str]:
    country = dice.choice(sorted(_BANKS))
    body, layout = "", _BANKS[country]
    while layout:
        kind, count, rest = layout[0], "", layout[1:]
        while rest and rest[0].isdigit():
            count, rest = count + rest[0], rest[1:]
        letters = {"n": "0123456789", "u": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
        body += "".join(dice.choice(letters[kind]) for _ in range(int(count)))
        layout = rest
    spelled = "".join(str("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(char)) for char in f"{body}{country}00")
    whole = f"{country}{98 - int(spelled) % 97:02}{body}"
    if dice.random() < 0.5:
        whole = " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))
    return dice.choice(("", "IBAN ", "IBAN: ", "账户 ")), whole


def _born(dice: random.Random) -> date:
    return date(1930, 1, 1) + timedelta(days=dice.randrange(29_000))


def _chinese_id(dice: random.Random) -> tuple[str, str]:
    region = dice.choice(("110105", "310101", "440305", "510104", "330106", "420111", "610113", "230102", "650102"))
    body = f"{region}{_born(dice):%Y%m%d}{_digits(dice, 3)}"
    weighed = sum(int(char) * (2 ** (17 - place) % 11) for place, char in enumerate(body))
    whole = body + "10X98765432"[weighed % 11]
    return dice.choice(("", "身份证号", "公民身份号码：", "证件 ")), _grouped(dice, whole, (6, 8, 4), plain=0.6)


_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def _credit_code(dice: random.Random) -> tuple[str, str]:
    region = dice.choice(("110105", "310115", "440300", "320500", "510107"))
    body = dice.choice(("91", "92", "11", "51", "12")) + region + "".join(dice.choice(_USCC) for _ in range(9))
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
    total = sum(_USCC.index(char) * weight for char, weight in zip(body, weights, strict=True))
    return dice.choice(("", "统一社会信用代码", "信用代码：")), body + _USCC[(31 - total % 31) % 31]


def _email(dice: random.Random) -> tuple[str, str]:
    name = dice.choice(("anna.schmidt", "li_wei", "j-p.martin+post", "wang88", "o.neill", "x"))
    return dice.choice(("", "mail ", "邮箱：")), f"{name}@{dice.choice(('mail.', '', 'a-b.'))}company.example"


def _mobile(dice: random.Random) -> tuple[str, str]:
    number = "1" + dice.choice("3456789") + _digits(dice, 9)
    country = dice.choice(("", "", "+86 ", "86"))
    return dice.choice(("", "手机", "电话：")), country + _grouped(dice, number, (3, 4, 4), plain=0.7)


def _phone(dice: random.Random) -> tuple[str, str]:
    forms = (
        f"+49 30 {_digits(dice, 6)}1", f"+44 20 7946 0{_digits(dice, 3)}", f"({dice.randrange(201, 989)}) 555-01{_digits(dice, 2)}",
        f"{dice.randrange(201, 989)}-555-01{_digits(dice, 2)}", f"010-6{_digits(dice, 7)}", f"400-810-{_digits(dice, 4)}",
    )  # fmt: skip
    return dice.choice(("", "Tel. ", "call ")), dice.choice(forms)


def _address(dice: random.Random) -> tuple[str, str]:
    v4 = ".".join(str(dice.randrange(1, 255)) for _ in range(4))
    v6 = f"2001:db8:{dice.randrange(1, 65535):x}::{dice.randrange(1, 65535):x}"
    return dice.choice(("", "host ", "来自 ")), dice.choice((v4, v6))


def _passport(dice: random.Random) -> tuple[str, str]:
    return dice.choice(("passport no. ", "护照号码：", "护照")), dice.choice(("E", "G", "EA", "AB")) + _digits(
        dice, 7
    ) + "3"


def _plate(dice: random.Random) -> tuple[str, str]:
    body = dice.choice((_digits(dice, 5), "D" + _digits(dice, 5), "A" + _digits(dice, 4), _digits(dice, 4) + "B"))
    return dice.choice(
        ("", "车牌")
    ), f"{dice.choice('京沪粤浙川鲁')}{dice.choice('ABCDE')}{dice.choice(('', '·'))}{body}"


def _ssn(dice: random.Random) -> tuple[str, str]:
    area = dice.choice([number for number in range(1, 900) if number != 666])
    return dice.choice(("", "SSN ")), f"{area:03}-{dice.randrange(1, 100):02}-{dice.randrange(1, 10_000):04}"


MAKERS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "CARD": _card, "IBAN": _iban, "CN_ID": _chinese_id, "CN_USCC": _credit_code, "CN_BANK_CARD": _bank_card, "EMAIL": _email,
    "CN_MOBILE": _mobile, "PHONE": _phone, "IP": _address, "PASSPORT": _passport, "CN_PLATE": _plate, "SSN": _ssn,
}  # fmt: skip


# --- what is none ---


def _one_off(kind: str) -> Callable[[random.Random], tuple[str, str]]:
    """The same form with another check character: a slip of the hand, or the number of something else."""

    def make(dice: random.Random) -> tuple[str, str]:
        word, value = MAKERS[kind](dice)
        while len(value.split()) > 10:  # one digit a word: the slip would change what it looks like
            word, value = MAKERS[kind](dice)
        at = max(place for place, char in enumerate(value) if char.isdigit())
        return word, value[:at] + str((int(value[at]) + dice.randrange(1, 9)) % 10) + value[at + 1 :]

    return make


def _one_of(*forms: str) -> Callable[[random.Random], tuple[str, str]]:
    """`#` is any digit."""

    def make(dice: random.Random) -> tuple[str, str]:
        form = dice.choice(forms)
        return "", "".join(str(dice.randrange(10)) if char == "#" else char for char in form)

    return make


NEARLY: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    **{kind: _one_off(kind) for kind in CHECKED},
    "EMAIL": _one_of("user@localhost", "@handle##", "a @ b", "price@ 12.##", "x@y"),
    "CN_MOBILE": _one_of("订单1200####001", "1#.38 kg", "编号 2########05", "10##########1"),
    "PHONE": _one_of("2026-03-1#", "order 90####", "12.#.20##", "page 4##-4##", "1,2##,###.50"),
    "IP": _one_of("version 1.2.3.#", "12:30:4#", "9##.1.1.1", "§ 3.2.1", "v#.1.0.2"),
    "PASSPORT": _one_of("Part no. E1234567#", "model AB#######", "编号 G########"),
    "CN_PLATE": _one_of("京A12#", "沪市A股", "川B"),
    "SSN": _one_of("000-12-34##", "666-##-1234", "9##-12-3456", "123-4#-567"),
}
