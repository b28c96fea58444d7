import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inference.config import GenerationOptions
from inference.engines.decoding import Sampler, StopFilter, ThinkingSplitter


def split(pieces, **kinds):
    splitter = ThinkingSplitter(**kinds)
    found = {"thinking": "", "text": ""}
    for piece in pieces:
        for delta in splitter.push(piece):
            found[delta.kind] += delta.text
    for delta in splitter.flush():
        found[delta.kind] += delta.text
    return found


CASES = [
    ("let me see</think>\n\nTen days.", {"begins_inside": True, "may_think": True}, "let me see", "Ten days."),
    ("<think>\nhm</think>Ten days.", {"begins_inside": False, "may_think": True}, "\nhm", "Ten days."),
    ("only the closing tag</think>Ten.", {"begins_inside": False, "may_think": True}, "only the closing tag", "Ten."),
    ("No tags at all.", {"begins_inside": False, "may_think": True}, "", "No tags at all."),
    ("a <think> b", {"begins_inside": False, "may_think": False}, "", "a <think> b"),
    ("\n<think>hm</think>\nTen.", {"begins_inside": False, "may_think": False}, "hm", "Ten."),
    (" <thin", {"begins_inside": False, "may_think": False}, "", " <thin"),
    ("cut off while thinking </th", {"begins_inside": True, "may_think": True}, "cut off while thinking </th", ""),
]


@pytest.mark.parametrize(("text", "kinds", "thinking", "answer"), CASES)
@given(data=st.data())
def test_thinking_is_kept_apart_wherever_the_stream_is_cut(text, kinds, thinking, answer, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(pieces, **kinds) == {"thinking": thinking, "text": answer}


def test_what_is_cut_off_before_it_is_known_is_no_answer():
    for cut, kind in ((False, "text"), (True, "thinking")):
        splitter = ThinkingSplitter(begins_inside=False, may_think=True)
        assert not list(splitter.push("Let me see. Perhaps"))
        assert [delta.kind for delta in splitter.flush(cut=cut)] == [kind]


@given(cut=st.integers(0, 8))
def test_a_closing_tag_in_what_was_let_through_is_noticed_wherever_it_is_cut(cut):
    splitter = ThinkingSplitter(begins_inside=False, may_think=False)
    tag = "</think>"
    for piece in ("Let me see", tag[:cut], tag[cut:], "Ten."):
        list(splitter.push(piece))
    assert splitter.unopened
    splitter = ThinkingSplitter(begins_inside=False, may_think=False)
    list(splitter.push("<think>hm</think>Say </think> at the end."))
    assert not splitter.unopened


@given(text=st.text(alphabet="abST", max_size=30), size=st.integers(1, 4))
def test_stop_strings_never_show_wherever_the_stream_is_cut(text, size):
    stop = StopFilter(("STOP", "aS"))
    shown = "".join(stop.push(text[i : i + size]) for i in range(0, len(text), size)) + stop.flush()
    cut = min([at for s in ("STOP", "aS") if (at := text.find(s)) >= 0], default=len(text))
    assert shown == text[:cut]


def test_same_seed_same_tokens_and_zero_temperature_is_greedy():
    logits = torch.randn(50, generator=torch.Generator().manual_seed(1))
    options = GenerationOptions(temperature=1.0, top_p=0.9, seed=7)
    first, second = Sampler(options, "cpu"), Sampler(options, "cpu")
    assert [first(logits) for _ in range(20)] == [second(logits) for _ in range(20)]
    assert Sampler(GenerationOptions(temperature=0.0), "cpu")(logits) == int(logits.argmax())


def test_nucleus_leaves_out_the_tail():
    logits = torch.log(torch.tensor([0.6, 0.3, 0.05, 0.05]))
    sample = Sampler(GenerationOptions(temperature=1.0, top_p=0.8, seed=1), "cpu")
    assert {sample(logits) for _ in range(300)} == {0, 1}
