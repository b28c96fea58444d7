"""Check digits and structure of the numbers that identify people. Knows arithmetic; knows no text around them.

Sources: Luhn (ISO/IEC 7812-1 annex B), IBAN (ISO 13616, ISO 7064 mod 97-10, registry lengths), resident identity
number (GB 11643-1999, ISO 7064 mod 11-2), unified social credit code (GB 32100-2015, mod 31), social security number
(SSA, randomised since 2011).
Every function takes the compact form: no separators, lower case, ASCII.
"""

from __future__ import annotations

import re
from datetime import date

_IBAN_COUNTRIES = """
ad24 ae23 al28 at20 az28 ba20 be16 bg22 bh22 bi27 br29 by28 ch21 cr22 cy28 cz24 de22 dj27 dk18 do28 ee20
eg29 es24 fi18 fk18 fo18 fr27 gb22 ge22 gi23 gl18 gr27 gt28 hn28 hr21 hu28 ie22 il23 iq23 is26 it27 jo30
kw30 kz20 lb28 lc32 li21 lt20 lu20 lv21 ly25 mc27 md24 me22 mk19 mn20 mr27 mt31 mu30 ni28 nl18 no15 om23
pk24 pl28 ps29 pt25 qa29 ro24 rs22 ru33 sa24 sc31 sd18 se24 si19 sk24 sm27 so23 st25 sv28 tl23 tn24 tr26
ua29 va22 vg24 xk20 ye30
"""
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_COUNTRIES.split()}
_PROVINCES = frozenset(
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83))
    for code in range(first, last + 1)
)
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_USCC_ALPHABET = "0123456789abcdefghjklmnpqrtuwxy"


_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
_SCHEMES = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:[689][0-9]|0[0-5])[0-9]{11}"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    r"|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12,15}"  # Discover
    r"|(?:62|81)[0-9]{14,17}"  # UnionPay
    r"|(?:5[0678]|6[37])[0-9]{11,17}"  # Maestro
)


def luhn(digits: str) -> bool:
    codes = digits.encode("ascii")
    total = sum(codes[-1::-2]) + sum(codes[-2::-2].translate(_DOUBLED)) - 48 * len(codes)
    return total % 10 == 0 and len(set(codes)) > 1


def scheme(digits: str) -> bool:
    """First digits and length are those of a payment card of a known scheme, whatever the check digit."""
    return _SCHEMES.fullmatch(digits) is not None


def card(digits: str) -> bool:
    """A payment card of a known scheme, with its length and check digit."""
    return scheme(digits) and luhn(digits)


def iban_length(country: str) -> int:
    """Characters of an IBAN of that country; 0 for a country without."""
    return _IBAN_LENGTHS.get(country, 0)


def iban(compact: str) -> bool:
    if len(compact) != iban_length(compact[:2]) or not compact.isalnum():
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def chinese_id_form(compact: str) -> bool:
    """Region and date of birth stand where a resident identity number has them, whatever the check character."""
    return len(compact) == 18 and compact[:2] in _PROVINCES and _date(compact[6:14])


def chinese_id(compact: str) -> bool:
    """Eighteen characters: region, date of birth, sequence, check character."""
    if not chinese_id_form(compact):
        return False
    total = sum(int(char) * weight for char, weight in zip(compact, _ID_WEIGHTS, strict=False))
    return "10x98765432"[total % 11] == compact[17]


def chinese_id_old(digits: str) -> bool:
    """Fifteen digits, issued until 1999; without a check digit."""
    return digits[:2] in _PROVINCES and _date("19" + digits[6:12])


def uscc(compact: str) -> bool:
    """Unified social credit code of a Chinese organisation."""
    if len(compact) != 18 or compact[0] not in "123456789any" or compact[2:4] not in _PROVINCES | {"10", "91"}:
        return False
    if not compact[2:8].isdigit() or any(char not in _USCC_ALPHABET for char in compact):
        return False
    total = sum(_USCC_ALPHABET.index(char) * pow(3, position, 31) for position, char in enumerate(compact[:17]))
    return _USCC_ALPHABET[-total % 31] == compact[17]


def ssn(digits: str) -> bool:
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def _date(text: str) -> bool:
    try:
        born = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return False
    return born.year >= 1900 and born <= date.today()  # noqa: DTZ011  (a birthday has no time zone)
