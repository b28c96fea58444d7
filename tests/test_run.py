"""`make test` itself: a test that fails by chance is named as unsteady, one that fails again fails the run."""

from pathlib import Path

import pytest

from tests import __main__ as checks

CHANCE = """
from pathlib import Path

SEEN = Path(__file__).with_name("seen")


def test_by_chance():
    seen = SEEN.exists()
    SEEN.touch()
    assert seen
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "workers", lambda: ["-p", "no:xdist"])
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def run(folder: Path, *texts: str) -> tuple[bool, list[str]]:
    for number, text in enumerate(texts):
        (folder / f"test_part{number}.py").write_text(text)
    unsteady: list[str] = []
    return checks.run_tests("a room", [str(folder)], unsteady), unsteady


def test_a_test_that_passes_the_second_time_is_named_and_stops_nobody(tmp_path: Path) -> None:
    assert run(tmp_path, CHANCE) == (True, ["test_part0.py::test_by_chance (a room)"])


def test_a_test_that_fails_again_fails_the_run(tmp_path: Path) -> None:
    assert run(tmp_path, CHANCE, "def test_wrong():\n    assert False\n") == (False, [])


def test_many_failed_tests_are_not_run_again(tmp_path: Path) -> None:
    many = "".join(f"def test_wrong{number}():\n    assert False\n\n\n" for number in range(checks.FEW + 1))
    assert run(tmp_path, many) == (False, [])


def test_a_run_that_finds_no_test_fails(tmp_path: Path) -> None:
    assert run(tmp_path, "X = 1\n") == (False, [])
