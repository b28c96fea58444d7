"""What is sealed opens with its own keys and purpose alone, and says when it was touched."""

import io
import os
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.vault import envelope, streams
from assistant.vault.envelope import Damaged, DataKey


def key() -> DataKey:
    return DataKey(uuid4(), envelope.new_secret())


@given(st.binary(max_size=300), st.integers(1, 5))
@settings(max_examples=50)
def test_opens_with_all_of_its_keys_and_holds_nothing_readable(data, count):
    keys = [key() for _ in range(count)]
    sealed = envelope.seal(data, keys, b"here")
    assert envelope.names(sealed) == [each.id for each in keys]
    assert envelope.open_sealed(sealed, keys, b"here") == data
    assert len(data) < 4 or data not in sealed


def test_one_key_of_several_is_not_enough():
    one, two = key(), key()
    sealed = envelope.seal(b"secret", [one, two], b"here")
    for wrong in ([one, DataKey(two.id, envelope.new_secret())], [DataKey(one.id, envelope.new_secret()), two]):
        with pytest.raises(Damaged):
            envelope.open_sealed(sealed, wrong, b"here")


def test_moved_to_another_purpose_does_not_open():
    one = key()
    with pytest.raises(Damaged):
        envelope.open_sealed(envelope.seal(b"secret", [one], b"here"), [one], b"there")


def test_every_changed_bit_is_found():
    one = key()
    sealed = envelope.seal(b"a few words", [one], b"here")
    for at in range(len(sealed)):
        touched = bytearray(sealed)
        touched[at] ^= 1
        with pytest.raises(Damaged):
            opened(bytes(touched), one)


def opened(sealed: bytes, one: DataKey) -> bytes:
    return envelope.open_sealed(sealed, [one] * len(envelope.names(sealed)), b"here")


@pytest.mark.parametrize("junk", [b"", b"\x01", b"\x01\x00", b"\x02" + b"x" * 80, b"\x01\x05" + b"x" * 30])
def test_bytes_that_were_never_sealed_are_refused(junk):
    with pytest.raises(Damaged):
        envelope.names(junk)


def test_wrapped_key_belongs_to_its_name():
    under, name = key(), uuid4()
    wrapped = envelope.wrap(b"k" * 32, name=name, under=under)
    assert envelope.unwrap(wrapped, name=name, under=under) == b"k" * 32
    with pytest.raises(Damaged):
        envelope.unwrap(wrapped, name=uuid4(), under=under)


def test_a_key_is_not_printed():
    assert "secret" not in repr(DataKey(uuid4(), b"secret secret"))


PIECE = streams.PIECE


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 7])
def test_a_file_of_any_length_comes_back(size):
    data, secret = os.urandom(size), envelope.new_secret()
    assert b"".join(streams.pieces(io.BytesIO(sealed_file(data, secret)), secret)) == data


def sealed_file(data: bytes, secret: bytes) -> bytes:
    file = io.BytesIO()
    writer = streams.SealedWriter(file, secret)
    for start in range(0, len(data), 300_001):
        writer.write(data[start : start + 300_001])
    writer.finish()
    return file.getvalue()


def test_a_file_that_was_cut_lengthened_swapped_or_touched_does_not_open():
    secret = envelope.new_secret()
    whole = sealed_file(os.urandom(2 * PIECE + 100), secret)
    head, step = len(streams.MAGIC) + 7, PIECE + 16
    first, second, third = whole[head : head + step], whole[head + step : head + 2 * step], whole[head + 2 * step :]
    for bad in (
        whole[:-1],
        whole[: head + 2 * step],  # a whole piece is missing at the end
        whole + third,
        whole[:head] + second + first + third,
        whole[:head] + third,
        whole[: head + 5] + bytes([whole[head + 5] ^ 1]) + whole[head + 6 :],
        b"plain text",
        b"",
    ):
        with pytest.raises(Damaged):
            list(streams.pieces(io.BytesIO(bad), secret))
