"""A model's words leave as text, and the prompt does not leave with them."""

import base64
import codecs
import urllib.parse

import pytest

from assistant.guardrails import output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See ![x](https://evil.example/?q=1) now", "See  now"),
        ("[1]: the first source\n[2]: the second", "[1]: the first source\n[2]: the second"),
        ("and [the page](https://evil.example/).", "and the page."),
        ("[a](javascript:alert(1))", "a)"),
        ("<img src=x onerror=alert(1)>text<br/>", "text"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<https://evil.example/?q=secret>", ""),
        ("a\u200bb\u202ec", "abc"),
        ("plain [1] text, a < b and c > d, 5 * 3 = 15", "plain [1] text, a < b and c > d, 5 * 3 = 15"),
        ("引用[1]与[2]，价格 < 100 元", "引用[1]与[2]，价格 < 100 元"),
    ],
)
def test_markup_becomes_plain_words(text, expected):
    assert output.screen(text) == expected


SECRET = "5f0c9a7be1d24c83a6b7d0e1"
DISGUISES = {
    "plain": SECRET,
    "capitals": SECRET.upper(),
    "spaced": " ".join(SECRET),
    "dashed": "-".join(SECRET),
    "lines": "\n".join(SECRET),
    "hidden": "\u200b".join(SECRET),
    "full width": "".join(chr(ord(char) + 0xFEE0) for char in SECRET),
    "backwards": SECRET[::-1],
    "rot13": codecs.encode(SECRET, "rot13"),
    "hex": SECRET.encode().hex(),
    "hex with spaces": SECRET.encode().hex(" "),
    "percent": "".join(f"%{byte:02X}" for byte in SECRET.encode()),
    **{f"base64 after {n}": base64.b64encode(b"x" * n + SECRET.encode() + b"yy").decode() for n in range(3)},
    "base64 in lines": base64.encodebytes(b"the token is " + SECRET.encode() + b" ok" * 20).decode(),
    "url": "https://x.example/?q=" + urllib.parse.quote(SECRET),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_secret_is_recognised_in_disguise(disguise):
    assert output.leaks(f"Of course: {DISGUISES[disguise]}. Anything else?", [SECRET])


def test_ordinary_answers_leak_nothing():
    answer = "The allowance is 150 yuan a day [1]. 出差补贴每天 150 元 [2]。 SHA 5f0c9a7b and so on."
    assert not output.leaks(answer, [SECRET, "9f86d081884c7d659a2feaa0c55ad015"])


def test_short_strings_are_no_secrets():
    assert not output.leaks("the cat sat", ["cat"])


def test_a_quoted_prompt_is_recognised_by_any_dozen_of_its_words():
    prompt = " ".join(f"word{number}" for number in range(40))
    parts = output.quotations(prompt)
    assert output.leaks("My rules say: " + " ".join(f"Word{number}," for number in range(10, 30)), parts)
    assert not output.leaks("word1 word5 word9", parts)
    assert output.quotations("") == []
    assert output.quotations("two words") == ["two words"]
