"""A small round of every fault that needs no rights of its own; the full one is `python -m tests.faults --help`."""

import json

import pytest

from . import __main__ as faults


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_nothing_is_lost_and_nothing_done_twice(capsys):
    assert faults.main(["--kills", "4", "--redis", "3", "--rolling", "1"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["promised"]["answers"] > 0
    assert report["promised"]["documents"] > 0
    assert sum(report["faults"].values()) == 8
