"""The arithmetic: canonical bytes, links, trees."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.audit import chain, keys

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abcdefghij_", max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_canonical_form_is_that_of_rfc_8785():
    value = {"numbers": [333333333, 4.5, 0.002], "string": '€$\u000f\nA\'B"\\\\"/', "literals": [None, True, False]}
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333,4.5,0.002],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert chain.canonical(value) == expected.encode()


@given(json_values)
def test_normalised_values_survive_json_and_normalising_again(value):
    once = chain.normalise(value)
    assert chain.normalise(once) == once
    assert chain.canonical(json.loads(json.dumps(once))) == chain.canonical(once)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=70))
def test_every_event_of_a_tree_has_a_proof_and_only_that_one(numbers):
    digests = [hashlib.sha256(bytes([number, position])).hexdigest() for position, number in enumerate(numbers)]
    tree = chain.Tree(digests)
    assert tree.root == chain.merkle_root(digests)
    for index, digest in enumerate(digests):
        facts = {"index": index, "size": len(digests), "proof": tree.proof(index), "root": tree.root}
        assert chain.included(digest, **facts)
        assert not chain.included(hashlib.sha256(b"x").hexdigest(), **facts)
        assert not chain.included(digest, **(facts | {"root": "0" * 64}))
        if index:
            assert not chain.included(digest, **(facts | {"index": index - 1}))


def test_the_tree_is_that_of_rfc_6962():
    # leaves as in the reference implementation's test vectors, hashed with the 0x00 and 0x01 prefixes
    def h(data):
        return hashlib.sha256(data).digest()

    leaves = [bytes([n]) * 32 for n in range(3)]
    hashed = [h(b"\x00" + leaf) for leaf in leaves]
    expected = h(b"\x01" + h(b"\x01" + hashed[0] + hashed[1]) + hashed[2])
    assert chain.merkle_root([leaf.hex() for leaf in leaves]) == expected.hex()
    assert chain.merkle_root([]) == hashlib.sha256(b"").hexdigest()


def test_a_key_gives_other_keys_for_each_purpose_and_secret():
    first, second = keys.derive("a" * 40), keys.derive("b" * 40)
    assert len({first.mac, first.content, second.mac, second.content}) == 4
    assert first.public != second.public
    assert len(keys.fingerprint(first.public)) == 16


def test_a_signature_holds_for_its_statement_only():
    ours = keys.derive("a" * 40)
    signature = keys.sign(ours, {"seq": 1})
    assert keys.signed(ours.public, {"seq": 1}, signature)
    assert not keys.signed(ours.public, {"seq": 2}, signature)
    assert not keys.signed(keys.derive("b" * 40).public, {"seq": 1}, signature)
    assert not keys.signed(ours.public, {"seq": 1}, "zz")


def test_a_commitment_needs_its_salt():
    content = {"question": "q"}
    assert keys.commit(content, b"a" * 32) != keys.commit(content, b"b" * 32)


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_for_what_is_not_there(index):
    with pytest.raises(IndexError):
        chain.Tree(["0" * 64] * 3).proof(index)
