"""Errors keep what they know on their way between processes."""

import pytest

from retrieval import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.UnsupportedFormat("no parser for application/x-foo"),
        errors.EncryptedDocument("password needed", hint="ask its owner"),
        errors.LimitExceeded("412 pages", what="pages"),
        errors.ParserCrashed("killed by signal 9"),
    ],
)
def test_parse_error_survives_a_round_trip_as_plain_data(error):
    again = errors.ParseError.from_dict(error.to_dict())
    assert type(again) is type(error)
    assert again.to_dict() == error.to_dict()


def test_unknown_code_becomes_a_plain_parse_error():
    again = errors.ParseError.from_dict({"code": "from_the_future", "message": "m", "hint": "h"})
    assert type(again) is errors.ParseError
    assert (again.message, again.hint, again.retryable) == ("m", "h", False)


def test_only_a_crash_is_worth_the_same_call_again():
    assert errors.ParserCrashed("x").retryable
    assert not errors.CorruptDocument("x").retryable
