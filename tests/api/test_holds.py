"""Legal holds over REST."""

import pytest

from .test_accounts import Api

pytestmark = pytest.mark.django_db
WHY = "Court order 12/2026"


def test_a_hold_lives_from_placing_to_lifting(people):
    auditor, boss = Api(people.auditor), Api(people.administrator)
    wanted = {"kind": "person", "target": people.employee.email, "reason": WHY}
    placed = auditor("post", "holds/", wanted)
    assert placed.status_code == 201, placed.content
    hold = placed.json()
    assert (hold["target"], hold["placed_by"], hold["lifted_at"]) == (people.employee.email, people.auditor.email, None)
    address = f"holds/{hold['id']}/"
    assert auditor("post", f"{address}lift/").status_code == 409
    assert boss("post", f"{address}ask/", {"reason": "no"}).status_code == 400
    asked = boss("post", f"{address}ask/", {"reason": "The case is closed"}).json()
    assert (asked["lift_asked_by"], asked["lift_reason"]) == (people.administrator.email, "The case is closed")
    assert boss("post", f"{address}lift/").status_code == 409
    assert auditor("post", f"{address}lift/").json()["lifted_by"] == people.auditor.email
    (listed,) = boss("get", "holds/").json()["results"]
    assert listed["lifted_at"]
