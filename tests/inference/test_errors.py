"""A fault told in full: each part a sentence of its own."""

import pytest

from inference.errors import InferenceError, ModelCorrupt, in_full


@pytest.mark.parametrize(
    ("message", "hint", "told"),
    [
        ("pipe.md is no plain file", "Take it away.", "pipe.md is no plain file. Take it away."),
        ("No model is there.", "Import one.", "No model is there. Import one."),
        ("It says “no.”", "Ask again.", "It says “no.” Ask again."),
        ("It says “no”", "Ask again.", "It says “no”. Ask again."),
        ("Is it there?", "Look.", "Is it there? Look."),
        ("文件不完整。", "请重新导入。", "文件不完整。 请重新导入。"),
        ("nothing to add", "", "nothing to add"),
        ("", "Look.", "Look."),
        ("", "", ""),
    ],
)
def test_message_and_hint_are_sentences(message, hint, told):
    assert in_full(InferenceError(message, hint=hint)) == told


def test_any_fault_can_be_told():
    assert in_full(ModelCorrupt("a is a link", file="a", hint="Bring a file.")) == "a is a link. Bring a file."
    assert in_full(FileExistsError("It is there")) == "It is there"
