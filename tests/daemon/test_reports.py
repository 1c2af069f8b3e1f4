"""A3: faults that people report, over the API and by the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cti.daemon import token
from tests.daemon.served import TOKEN, Served, served_in_thread
from tests.daemon.test_cli import configured, cti

BEARER = {"Authorization": f"Bearer {TOKEN}"}
HEADSET = {"kind": "headset", "detail": "desk 12 hears nothing"}
BEGAN = "2026-09-21T14:20:00Z"  # the served day's clock shows 14:30


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_in_thread(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def config(side: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cti")
    (directory / "var").mkdir()
    file = directory / "var" / token.NAME
    file.touch(mode=0o600)
    file.write_text(f"{TOKEN}\n")
    return configured(directory, side.port)


def post(side: Served, path: str, body: Any, **headers: str) -> requests.Response:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    sent = BEARER | {"Content-Type": "application/json"} | headers
    return requests.post(f"{side.url}/api/v1/{path}", data, headers=sent, timeout=10)


def listed(side: Served, fault: str) -> dict[str, Any]:
    answer = requests.get(f"{side.url}/api/v1/faults", {"limit": "500"}, headers=BEARER, timeout=10)
    (found,) = [row for row in answer.json()["items"] if row["id"] == fault]
    return dict(found)


def test_a_report_is_on_record_from_its_begin_to_its_end(side: Served) -> None:
    """Who, what, from when, to when; readable as soon as it is answered."""
    sent = {**HEADSET, "at": BEGAN, "pbx": "main", "reported_by": "2001"}
    made = post(side, "faults", sent)
    assert made.status_code == 201
    fault = made.json()
    assert (fault["kind"], fault["pbx"], fault["reported_by"], fault["ended_at"]) == (
        "headset",
        "main",
        "2001",
        None,
    )
    assert fault["began_at"] == "2026-09-21T14:20:00.000000Z"
    assert listed(side, fault["id"]) == fault
    over = post(side, f"faults/{fault['id']}/close", {"at": "2026-09-21T22:25:00+08:00"})
    assert (over.status_code, over.json()["ended_at"]) == (200, "2026-09-21T14:25:00.000000Z")
    assert listed(side, fault["id"])["ended_at"] == "2026-09-21T14:25:00.000000Z"


def test_closing_twice_changes_nothing(side: Served) -> None:
    """A client that repeats a request it got no answer to does no harm."""
    fault = post(side, "faults", HEADSET).json()["id"]
    first = post(side, f"faults/{fault}/close", {})
    second = post(side, f"faults/{fault}/close", {"at": BEGAN})
    assert second.status_code == 200
    assert second.json() == first.json()


def test_two_reports_of_one_moment_are_two_faults(side: Served) -> None:
    """Two agents whose headsets broke at nine have two broken headsets."""
    ids = {post(side, "faults", {**HEADSET, "at": BEGAN}).json()["id"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"kind": "link", "detail": "x"}, 400, "kind"),  # for the daemon to find
        ({"kind": "headset"}, 400, "detail"),
        ({**HEADSET, "detail": "a\u0000b"}, 400, "detail"),
        ({**HEADSET, "since": BEGAN}, 400, "since"),
        ({**HEADSET, "at": "yesterday"}, 400, "at"),
        ({**HEADSET, "at": "2026-09-21T14:40:00Z"}, 409, "future"),
        ({**HEADSET, "pbx": "branch"}, 404, "main"),
        ("[]", 400, "body"),
        ('{"kind": "headset", "detail": "\\ud800"}', 400, ""),
        ("{", 400, ""),
        (b"\xff", 400, ""),
        ({**HEADSET, "detail": "x" * 20_000}, 413, "longer than"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    side: Served, body: object, status: int, named: str
) -> None:
    """G1: each refusal is a problem document that names the field, and nothing is put on record."""
    answer = post(side, "faults", body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert named in answer.text


def test_only_json_and_only_with_the_token(side: Served) -> None:
    """A form of some other page cannot post here."""
    assert post(side, "faults", HEADSET, **{"Content-Type": "text/plain"}).status_code == 415
    assert post(side, "faults", HEADSET, Authorization="Bearer wrong").status_code == 401
    assert post(side, "faults?dry=1", HEADSET).status_code == 400


def test_the_end_must_fit(side: Served) -> None:
    """No fault ends before it began, and what the daemon watches is not for people to end."""
    fault = post(side, "faults", {**HEADSET, "at": BEGAN}).json()["id"]
    early = post(side, f"faults/{fault}/close", {"at": "2026-09-21T14:00:00Z"})
    assert (early.status_code, "before it began" in early.text) == (409, True)
    assert post(side, "faults/nobody/close", {}).status_code == 404
    watched = post(side, "faults/f2/close", {})
    assert (watched.status_code, "ends it itself" in watched.text) == (409, True)


def test_a_held_back_body_is_asked_for(side: Served) -> None:
    """Curl sends `Expect: 100-continue` with longer bodies."""
    assert post(side, "faults", HEADSET, Expect="100-continue").status_code == 201


def test_the_command_line_opens_and_closes(side: Served, config: Path) -> None:
    """`cti fault open` prints the id that `cti fault close` takes."""
    opened = cti("fault", "open", "phone", "--detail", "无声", "--at", BEGAN, "--by", "2002", "-c", config)
    assert (opened.returncode, opened.stderr) == (0, "")
    fault = opened.stdout.strip()
    assert (listed(side, fault)["detail"], listed(side, fault)["reported_by"]) == ("无声", "2002")
    closed = cti("fault", "close", fault, "--at", "2026-09-21T14:25:00Z", "--json", "-c", config)
    assert closed.returncode == 0
    assert json.loads(closed.stdout)["ended_at"] == "2026-09-21T14:25:00.000000Z"


def test_the_command_line_says_what_is_wrong(config: Path) -> None:
    """Exit status 2 for what was typed wrongly, 1 for what the daemon does not take."""
    assert cti("fault", "open", "mood", "--detail", "x", "-c", config).returncode == 2
    assert cti("fault", "open", "phone", "--detail", "x", "--at", "soon", "-c", config).returncode == 2
    refused = cti("fault", "close", "f2", "-c", config)
    assert (refused.returncode, "ends it itself" in refused.stderr) == (1, True)


def test_the_table_of_faults_says_who_was_told(config: Path) -> None:
    """A3: the record says who was told."""
    shown = cti("faults", "-c", config)
    (line,) = [line for line in shown.stdout.splitlines() if "connection reset" in line]
    assert "webhook" in line
