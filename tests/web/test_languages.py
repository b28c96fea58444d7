"""Both languages are complete: every sentence has a translation, and no template prints words that cannot have one."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from assistant import errors

ROOT = Path(settings.BASE_DIR)
CATALOGUE = ROOT / "assistant" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
ENTRY = re.compile(
    r'((?:^#.*\n)*)(?:^msgctxt .*\n(?:^".*\n)*)?^msgid (".*\n(?:^".*\n)*)((?:^msg.*\n(?:^".*\n)*)+)', re.M
)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
ROOMS = ("documents", "chat", "guardrails", "audit", "accounts", "quality")


def joined(lines: str) -> str:
    return "".join(str(ast.literal_eval(line)) for line in re.findall(r'".*"', lines))


def entries() -> Iterator[tuple[str, str, str]]:
    """(comments, msgid with its plural, msgstr) of the Chinese catalogue, its header left out."""
    for comments, source, rest in ENTRY.findall(CATALOGUE.read_text(encoding="utf-8") + "\n"):
        plural, _, target = rest.rpartition("msgstr")
        if joined(source):
            yield comments, joined(source) + joined(plural), joined(target)


def test_every_sentence_is_translated_and_none_is_doubtful():
    found = list(entries())
    assert len(found) > 600
    assert [source for comments, source, target in found if not target or "fuzzy" in comments] == []


def test_translations_keep_every_placeholder_and_tag():
    wrong = []
    for _, source, target in entries():
        for pattern in (r"%\(\w+\)[sd]", r"</?\w+>"):
            if set(re.findall(pattern, target)) != set(re.findall(pattern, source)):
                wrong.append((source, target))
    assert wrong == []


def test_compiled_catalogue_is_the_written_one(tmp_path):
    """The compiled file is committed, since a bare machine has no gettext; it must not lag behind."""
    compiled = CATALOGUE.with_suffix(".mo").read_bytes()
    assert [source for _, source, target in entries() if target.encode() not in compiled] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_print_no_words_outside_the_catalogue(template):
    text = template.read_text(encoding="utf-8")
    text = re.sub(r"{% blocktranslate.*?{% endblocktranslate %}", "", text, flags=re.S)
    text = re.sub(r"{% block main_class %}.*?{% endblock %}", "", text)
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", text, flags=re.S)
    text = re.sub(r"<(code|kbd|pre|style)\b.*?</\1>", "", text, flags=re.S)
    spoken = re.findall(r'(?:aria-label|placeholder|title|alt)="([^"]*)"', text)
    text = re.sub(r"<[^>]*>", "", text, flags=re.S)
    words = [word for word in re.findall(r"[A-Za-z]{2,}", " ".join([text, *spoken])) if word not in {"amp", "hellip"}]
    assert words == []


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_scripts_get_words_for_everything_they_say(language):
    from assistant.web import wording

    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "assistant/web/static/web/js").glob("*.js"))
    said = set(re.findall(r'say\((?:[^()]*\? )?"(\w+)"', scripts)) | set(re.findall(r': "(\w+)", \{ number', scripts))
    with translation.override(language):
        known = wording.script_words()
    assert said <= set(known)
    assert all(known.values())


def fixed_sentences() -> Iterator[tuple[str, str]]:
    """(file, sentence) of every error that a domain room raises with a fixed sentence."""
    names = {name for name, value in vars(errors).items() if isinstance(value, type)}
    for room in ROOMS:
        for path in sorted((ROOT / "assistant" / room).rglob("*.py")):
            if path.name == "evaluation.py" or "management" in path.parts:
                continue  # told to who runs a command, not on a page
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    call = node.exc
                    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                    first = call.args[0] if call.args else None
                    if name in names and isinstance(first, ast.Constant) and isinstance(first.value, str):
                        yield path.name, first.value


def test_what_the_domain_says_to_people_is_translated_too():
    with translation.override("zh-hans"):
        missing = {
            (file, sentence)
            for file, sentence in fixed_sentences()
            if translation.gettext(sentence) == sentence and any(c in string.ascii_letters for c in sentence)
        }
    assert missing == set()
