"""The golden set's history is drawn, its alarm is marked, and the page chooses reference and schedule."""

import re

import pytest

from assistant.quality import services
from assistant.quality.models import GoldenRun
from assistant.web import drawing

from .goldens import golden_runs

pytestmark = pytest.mark.django_db

SECOND = "Answer in the first two sentences"


@pytest.fixture
def page(as_person, people):
    return as_person(people.administrator)


def _lines(html):
    """{name: points} of the lines in the picture, in the order of its legend."""
    found = re.findall(r'<polyline class="line line-(\d)" points="([^"]*)"', html)
    legend = re.search(r'<ul class="legend">(.*?)</ul>', html, re.DOTALL)
    assert legend is not None
    names = [re.sub(r"<svg.*?</svg>|<[^>]+>", "", item) for item in re.findall(r"<li>(.*?)</li>", legend[1], re.DOTALL)]
    points = [[tuple(map(float, pair.split(","))) for pair in row.split()] for _, row in found]
    return dict(zip(names, points, strict=False)), names


def test_every_run_is_a_point_and_the_worse_one_is_marked(page, people):
    run = golden_runs(people.employee.email)
    html = page.get("/quality/").content.decode()
    lines, names = _lines(html)
    assert {len(points) for points in lines.values()} == {5}
    assert names == [*lines, "Alarm"]
    first, *_, before, last = lines[SECOND]
    assert first[1] == before[1] < last[1]  # down on the page
    shown = GoldenRun.objects.get(pk=run.pk).summary["in_first_two_sentences"]
    assert f"{SECOND}: {shown:.0%} (" in html
    marked = re.findall(r'<line class="alarm" x1="([^"]+)" x2="[^"]+" y1="12"', html)
    assert [float(x) for x in marked] == [last[0]]
    assert html.count('<span class="state bad">worse than the reference</span>') == 1


def test_one_run_is_no_line(page, people):
    run = golden_runs(people.employee.email)
    GoldenRun.objects.exclude(pk=run.pk).delete()
    assert "<polyline" not in page.get("/quality/").content.decode()


def test_the_newest_run_becomes_the_reference_and_the_schedule_is_kept(page, people):
    run = golden_runs(people.employee.email)
    assert page.post(f"/quality/runs/{run.pk}/reference/").status_code == 302
    assert GoldenRun.objects.get(reference=True) == run
    assert page.post("/quality/schedule/", {"every": "day"}).status_code == 302
    assert services.policy().every == "day"


def test_what_was_not_measured_leaves_a_gap_and_shares_stay_inside():
    chart = drawing.chart({"a": [0.5, None, 2.0], "b": [None, None, None]}, ["one", "two", "three"], [False] * 3)
    assert chart is not None
    (line,) = chart.lines
    assert [point.y for point in line.points] == [(drawing.TOP + drawing.HEIGHT - drawing.BOTTOM) / 2, drawing.TOP]
    assert line.points[1].x == chart.right
    assert not chart.alarms
