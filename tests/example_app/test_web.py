"""The web pages and the API: what they answer, and what a failure leaves in the database."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert

from example_app.extensions import db
from example_app.models import Employee, Roster

from .conftest import CAFE, finish_jobs, stored

CAFE_TEXT = CAFE.read_text()


def import_cafe(client: FlaskClient, name: str = "cafe") -> int:
    return client.post("/api/rosters", json={"name": name, "text": CAFE_TEXT}).status_code


def wait_for_jobs(app: Flask) -> None:
    with app.app_context():
        finish_jobs()


def test_roster_is_imported_over_the_api(client: FlaskClient) -> None:
    """The first time it is created; the second time it is there."""
    assert [import_cafe(client) for _ in range(2)] == [201, 200]
    listed = client.get("/api/rosters").get_json()
    assert listed == [{"name": "cafe", "horizon": 14, "employees": 7}]


def test_shifts_are_changed_together(app: Flask, client: FlaskClient, draft: int) -> None:
    """All changes of a request are stored, each with an audit row."""
    before = stored(app)
    changes = [
        {"employee": "Ana", "day": 0, "shift": "L"},
        {"employee": "Ana", "day": 1, "shift": None},
    ]
    answer = client.put(f"/api/schedules/{draft}/shifts", json=changes)
    assert answer.get_json()["shifts"]["Ana"].get("0") == "L"
    assert "1" not in answer.get_json()["shifts"]["Ana"]
    assert stored(app)["audit"] == before["audit"] + 2


def test_schedule_with_broken_rules_is_not_published(
    app: Flask, client: FlaskClient, draft: int
) -> None:
    """The answer names the rules; the schedule stays a draft."""
    change = [{"employee": "Ana", "day": 4, "shift": "E"}]
    client.put(f"/api/schedules/{draft}/shifts", json=change)
    before = stored(app)
    answer = client.post(f"/api/schedules/{draft}/publish")
    assert (answer.status_code, stored(app)) == (422, before)
    assert "Ana: works E on day 4, which is a day off" in answer.get_json()["details"]


def test_published_schedule_cannot_be_changed(app: Flask, client: FlaskClient, draft: int) -> None:
    """Neither again published nor changed: 409."""
    client.post(f"/api/schedules/{draft}/publish")
    before, change = stored(app), [{"employee": "Ana", "day": 4, "shift": "E"}]
    assert client.post(f"/api/schedules/{draft}/publish").status_code == 409
    assert client.put(f"/api/schedules/{draft}/shifts", json=change).status_code == 409
    assert stored(app) == before


def test_one_of_several_who_publish_wins(app: Flask, draft: int) -> None:
    """The draft is locked before it is read, also on SQLite."""
    start, statuses = threading.Barrier(4), list[int]()

    def publish() -> None:
        start.wait(timeout=30)
        answer = app.test_client().post(f"/api/schedules/{draft}/publish")
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(statuses) == [200, 409, 409, 409]


def test_day_off_and_request_are_stored_once(client: FlaskClient) -> None:
    """The database's unique constraints answer with 409."""
    import_cafe(client)
    day = {"employee": "Ana", "day": 2}
    wish = {"employee": "Ana", "day": 2, "shift": "E", "wish": "off", "weight": 2}
    statuses = [client.post("/api/rosters/cafe/days-off", json=day).status_code for _ in "ab"]
    statuses += [client.post("/api/rosters/cafe/requests", json=wish).status_code for _ in "ab"]
    assert statuses == [201, 409, 201, 409]


Refused = tuple[str, str, Any, int, str]
REFUSED: list[Refused] = [
    ("GET", "/api/rosters/nobody", None, 404, "There is no roster 'nobody'"),
    ("GET", "/api/schedules/99", None, 404, "There is no schedule 99"),
    ("POST", "/api/schedules/99/publish", None, 404, "There is no schedule 99"),
    ("POST", "/api/rosters/nobody/schedules", None, 404, "There is no roster 'nobody'"),
    ("POST", "/api/rosters/cafe/schedules", {"seconds": 99}, 422, "not between 1 and 60"),
    ("POST", "/api/rosters", [], 422, "has to be a JSON object"),
    ("POST", "/api/rosters", {"name": "x"}, 422, "'text' is None"),
    ("POST", "/api/rosters", {"name": "x", "text": "14"}, 422, "x, line 1: '14'"),
    ("POST", "/api/rosters", {"name": "cafe", "text": "other"}, 422, "data before the first"),
    ("POST", "/api/rosters/cafe/days-off", {"employee": "Ana", "day": 14}, 422, "Day 14 is not"),
    ("POST", "/api/rosters/cafe/days-off", {"employee": "Ana", "day": True}, 422, "'day' is True"),
    ("POST", "/api/rosters/cafe/days-off", {"employee": "Z", "day": 1}, 422, "no employee 'Z'"),
    ("PUT", "/api/schedules/1/shifts", {}, 422, "has to be a list"),
    ("PUT", "/api/schedules/1/shifts", [7], 422, "A change is 7"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]} {case[1]} {case[4]}")
def test_bad_request_is_explained(app: Flask, client: FlaskClient, case: Refused) -> None:
    """The status fits, the text says what is wrong, nothing is stored."""
    import_cafe(client)
    before = stored(app)
    method, path, body, status, message = case
    answer = client.open(path, method=method, json=body)
    assert (answer.status_code, stored(app)) == (status, before)
    assert message in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wish": "maybe"}, "has to be 'on' or 'off'"),
        ({"weight": -1}, "has to be 0 or more"),
        ({"shift": "N"}, "There is no shift 'N'"),
    ],
)
def test_bad_wish_is_explained(client: FlaskClient, change: dict[str, Any], message: str) -> None:
    """Each field of a request is checked."""
    import_cafe(client)
    wish = {"employee": "Ana", "day": 2, "shift": "E", "wish": "off", "weight": 2} | change
    answer = client.post("/api/rosters/cafe/requests", json=wish)
    assert (answer.status_code, message in answer.get_json()["error"]) == (422, True)


def test_pages_lead_from_plan_to_publication(app: Flask, client: FlaskClient) -> None:
    """Plan, look, change, publish, all with the forms of the pages."""
    import_cafe(client)
    assert "Plan a new schedule" in client.get("/").text
    asked = client.post("/rosters/cafe/generate")
    assert (asked.status_code, asked.location) == (202, "/runs/1")
    wait_for_jobs(app)
    assert '<a href="/schedules/1">Show the schedule</a>' in client.get(asked.location).text
    assert "cafe, schedule 1" in client.get("/schedules/1").text
    form = {"employee": "Ana", "day": "0", "shift": "E"}
    assert client.post("/schedules/1/shift", data=form).status_code == 302
    published = client.post("/schedules/1/publish", follow_redirects=True)
    assert '<span class="status">published</span>' in published.text
    assert "Ana: Schedule 1 of cafe is in force." in client.get("/audit").text


def test_pages_explain_what_failed(app: Flask, client: FlaskClient, draft: int) -> None:
    """404, 409 and 422 come as pages, and leave the database as it was."""
    form = {"employee": "Ana", "day": "4", "shift": "E"}
    client.post(f"/schedules/{draft}/shift", data=form)
    before = stored(app)
    broken = client.post(f"/schedules/{draft}/publish")
    assert (broken.status_code, "day 4, which is a day off" in broken.text) == (422, True)
    bad_day = client.post(f"/schedules/{draft}/shift", data=form | {"day": "x"})
    assert (bad_day.status_code, client.get("/schedules/99").status_code) == (422, 404)
    assert stored(app) == before


def test_form_of_another_site_is_refused(app: Flask, client: FlaskClient, draft: int) -> None:
    """Browsers say where a form comes from."""
    before, headers = stored(app), {"Sec-Fetch-Site": "cross-site"}
    assert client.post(f"/schedules/{draft}/publish", headers=headers).status_code == 403
    assert stored(app) == before


def test_names_are_escaped(app: Flask, client: FlaskClient) -> None:
    """A roster whose name is markup is shown as text."""
    evil = "<script>alert(1)</script>"
    client.get("/")
    numbers = {"max_minutes": 1, "min_minutes": 0, "max_consecutive": 1, "min_consecutive": 1}
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(insert(Roster).values(id=1, name=evil, horizon=1, digest="x"))
        values = {"roster_id": 1, "code": evil, "min_days_off": 1, "max_weekends": 1, **numbers}
        connection.execute(insert(Employee).values(values))
    page = client.get("/").text
    assert (evil in page, "&lt;script&gt;" in page) == (False, True)
    client.post("/rosters/%3Cscript%3Ealert(1)%3C%2Fscript%3E/generate")
    wait_for_jobs(app)
    pages = ("/runs/1", "/schedules/1", "/audit")
    assert all(evil not in client.get(page).text for page in pages)
