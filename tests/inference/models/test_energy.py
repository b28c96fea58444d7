"""Energy from a folder laid out as Linux lays out powercap, and from a tool that speaks as nvidia-smi does."""

import time

import pytest

from inference import energy
from inference.energy import UNTOLD, Energy

RANGE = 262_143_328_850


class Powercap:
    def __init__(self, folder):
        self.folder = folder
        self.zone("intel-rapl", None, 0)  # the type of control; has no counter
        (folder / "intel-rapl" / "energy_uj").unlink()

    def zone(self, name, kind, joules):
        path = self.folder / name
        path.mkdir(exist_ok=True)
        if kind:
            (path / "name").write_text(f"{kind}\n")
        (path / "max_energy_range_uj").write_text(f"{RANGE}\n")
        self.at(name, joules)

    def at(self, name, joules):
        """Replaced at one stroke: a look in between sees the one number or the other."""
        fresh = self.folder / name / "fresh"
        fresh.write_text(f"{round(joules * 1e6)}\n")
        fresh.rename(self.folder / name / "energy_uj")


@pytest.fixture
def powercap(tmp_path):
    found = Powercap(tmp_path)
    found.zone("intel-rapl:0", "package-0", 100)
    found.zone("intel-rapl:0:0", "core", 50)
    found.zone("intel-rapl:1", "package-1", 200)
    found.zone("intel-rapl:2", "psys", 300)
    found.zone("intel-rapl-mmio:0", "package-0", 100)
    return found


def test_packages_are_counted_once(powercap):
    with Energy(powercap=powercap.folder) as found:
        for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"):
            powercap.at(name, 1000)
        powercap.at("intel-rapl:1", 203.5)
    assert (found.joules, found.source) == (pytest.approx(900 + 3.5), "processor")


def test_a_counter_may_begin_anew_more_than_once(powercap):
    whole = RANGE / 1e6
    powercap.at("intel-rapl:0", whole - 10)
    with Energy(powercap=powercap.folder) as found:
        powercap.at("intel-rapl:0", 5)
        found.look()
        powercap.at("intel-rapl:0", whole - 1)
        found.look()
        powercap.at("intel-rapl:0", 2)
    assert found.joules == pytest.approx(15 + (whole - 6) + 3)


def test_the_counter_is_looked_at_while_the_work_goes_on(powercap, monkeypatch):
    monkeypatch.setattr(energy, "_SECONDS", 0.01)
    powercap.at("intel-rapl:0", 1000)
    with Energy(powercap=powercap.folder) as found:
        for joules in (900, 800, 700):  # below what was: the range is added each time it is seen
            powercap.at("intel-rapl:0", joules)
            ends = time.monotonic() + 60
            while found._last[powercap.folder / "intel-rapl:0"] != joules * 1e6 and time.monotonic() < ends:
                time.sleep(0.005)
    assert found.joules == pytest.approx(3 * (RANGE / 1e6 - 100))


def test_a_machine_without_counters_or_leave_to_read_them_does_not_tell(powercap, tmp_path):
    with Energy(powercap=tmp_path / "none") as found:
        pass
    assert (found.joules, found.source) == (None, UNTOLD)
    with Energy(powercap=powercap.folder) as found:
        (powercap.folder / "intel-rapl:1" / "energy_uj").unlink()
    assert (found.joules, found.source) == (None, UNTOLD)
    with Energy(powercap=powercap.folder) as found:  # one of two packages
        powercap.at("intel-rapl:0", 1000)
    assert (found.joules, found.source) == (None, UNTOLD)


def tool(folder, says) -> str:
    path = folder / "power"
    path.write_text(f"#!/bin/sh\nprintf '{says}'\n")
    path.chmod(0o755)
    return str(path)


def test_power_of_all_cards_times_the_time(tmp_path):
    outer = time.monotonic()
    with Energy("cuda:0", powercap=tmp_path, tool=tool(tmp_path, r"100.25\n50.25\n")) as found:
        inner = time.monotonic()
        time.sleep(0.05)
        inner = time.monotonic() - inner
    outer = time.monotonic() - outer
    assert 150.5 * inner <= found.joules <= 150.5 * outer
    assert found.source == "cards"


def test_cards_count_only_for_work_on_cards_and_only_when_they_tell(tmp_path):
    for device, says in (("cpu", "100.0"), ("cuda:0", "[N/A]"), ("cuda:0", "100.0\\n[N/A]")):
        with Energy(device, powercap=tmp_path, tool=tool(tmp_path, says)) as found:
            pass
        assert found.joules is None
