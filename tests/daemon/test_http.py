"""The HTTP side on a real socket: who may ask, what is answered, and that a refusal always says why."""

import asyncio
import dataclasses
import io
import json
import sqlite3
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from config.sections import Http
from cti.core import facts as f
from cti.daemon.errors import ConfigError
from cti.daemon.http import Check, Health, models, pictures, start
from cti.daemon.http.instants import iso, parse_instant
from cti.daemon.http.routes import ROUTES
from routing import calendar, roster
from tests.daemon.served import AT, NEWCOMER, TOKEN, Served, call, served, served_in_thread

PROBLEM = "application/problem+json"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_in_thread(tmp_path_factory.mktemp("http"), allowed_hosts=("cti.example.com",)) as running:
        yield running


@pytest_asyncio.fixture
async def http(side: Served) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(side.url, headers=BEARER) as session:
        yield session


async def got(http: aiohttp.ClientSession, path: str, want: int = 200, /, **query: str) -> Any:
    async with http.get(path, params=query) as answer:
        assert answer.status == want, await answer.text()
        assert answer.content_type == ("application/json" if want == 200 else PROBLEM)
        return await answer.json(content_type=None)


async def refused(http: aiohttp.ClientSession, path: str, **query: str) -> dict[str, str]:
    """The fields named by a 400."""
    problem = await got(http, path, 400, **query)
    assert problem["status"] == 400
    return {error["field"]: error["detail"] for error in problem["errors"]}


async def raw(side: Served, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to bytes that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


class TestNames:
    """JSON names are exactly those of the facts."""

    @pytest.mark.parametrize(
        ("fact", "model"),
        [
            (f.Call, models.Call),
            (f.Leg, models.Leg),
            (f.QueueStay, models.QueueStay),
            (f.Attempt, models.Attempt),
            (f.Talk, models.Talk),
            (f.Transfer, models.Transfer),
            (f.Recording, models.Recording),
            (f.AgentState, models.AgentState),
            (f.AwayEpisode, models.AwayEpisode),
            (f.WorkItem, models.WorkItem),
            (f.Fault, models.Fault),
            (f.Delivery, models.Delivery),
            (f.Incident, models.Incident),
            (roster.Rung, pictures.Rung),
            (roster.Duty, pictures.Duty),
            (calendar.Day, pictures.Day),
        ],
    )
    def test_a_model_has_the_fields_of_its_fact(self, fact: type[Any], model: type[models.Answer]) -> None:
        """Same names, same order, none missing."""
        assert list(model.model_fields) == [field.name for field in dataclasses.fields(fact)]

    def test_a_queue_begins_with_the_fields_of_its_fact(self) -> None:
        """What the PBX says stands first, the current picture behind it."""
        names = [field.name for field in dataclasses.fields(f.Queue)]
        assert list(pictures.Queue.model_fields)[: len(names)] == names


class TestInstants:
    """ISO-8601 UTC with Z and microseconds out, RFC 3339 in."""

    @pytest.mark.parametrize(
        ("at", "text"),
        [
            (0.0, "1970-01-01T00:00:00.000000Z"),
            (AT, "2026-09-21T14:13:20.250000Z"),
            (1e300, "9999-12-31T23:59:59.000000Z"),
            (-1.0, "1970-01-01T00:00:00.000000Z"),
        ],
    )
    def test_out(self, at: float, text: str) -> None:
        """No float makes it fail."""
        assert iso(at) == text

    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("2026-09-21T14:13:20.25Z", AT),
            ("2026-09-21t14:13:20.250000z", AT),
            ("2026-09-21T22:13:20.25+08:00", AT),
            ("2026-09-21T22:13:20.25 08:00", AT),  # a + that a query string turned into a blank
            ("2016-12-31T23:59:60Z", 1483228800.0),
            ("0001-01-01T00:00:00+23:59", 0.0),
            ("9999-12-31T23:59:59-23:59", 253402300799.0),
        ],
    )
    def test_in(self, text: str, at: float) -> None:
        """Every form RFC 3339 allows is read, at the edges of the calendar too."""
        assert parse_instant(text) == at


class TestWhoMayAsk:
    """The token, the Host header, and what is open without them."""

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": TOKEN},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": "Bearer \u00fc\u00ff"},
        ],
    )
    @pytest.mark.parametrize("path", ["/api/v1/calls", "/api/v1/openapi.json", "/api/v1/nothing", "/api"])
    async def test_without_the_token_nothing_under_api_is_told(
        self, side: Served, headers: dict[str, str], path: str
    ) -> None:
        """401 with a challenge and a problem; not even whether the path exists."""
        async with aiohttp.ClientSession(side.url) as http, http.get(path, headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
            assert answer.content_type == PROBLEM

    @pytest.mark.parametrize(
        "path", ["/%61pi/v1/calls", "//api/v1/calls", "/x/../api/v1/calls", "/api%2Fv1/calls"]
    )
    async def test_no_spelling_of_a_path_leads_around_the_token(self, side: Served, path: str) -> None:
        """The route that answers decides, not how it was written."""
        head, body = await raw(
            side, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert head.split()[1] in {b"401", b"404"}
        assert b"138" not in body

    async def test_the_scheme_may_be_written_in_any_case(self, side: Served) -> None:
        """RFC 9110: the scheme is case-insensitive."""
        async with (
            aiohttp.ClientSession(side.url) as http,
            http.get("/api/v1/calls", headers={"Authorization": f"bearer {TOKEN}"}) as answer,
        ):
            assert answer.status == 200

    @pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
    async def test_metrics_and_health_need_no_token(self, side: Served, path: str) -> None:
        """They carry no personal data, and what scrapes them has no secrets."""
        async with aiohttp.ClientSession(side.url) as http, http.get(path) as answer:
            assert answer.status == 200

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost:8475", "LOCALHOST.", "[::1]:80", "127.9.9.9", "CTI.example.com:443"]
    )
    async def test_names_of_this_machine_and_allowed_ones_are_served(self, side: Served, host: str) -> None:
        """With any port, in any case."""
        async with (
            aiohttp.ClientSession(side.url) as http,
            http.get("/healthz", headers={"Host": host}) as answer,
        ):
            assert answer.status == 200

    @pytest.mark.parametrize(
        "host", ["evil.example.com", "10.0.0.1", "localhost.evil.com", "127.0.0.1.nip.io", "xn--localhost"]
    )
    @pytest.mark.parametrize("path", ["/metrics", "/api/v1/calls", "/nothing"])
    async def test_other_names_are_not(self, side: Served, host: str, path: str) -> None:
        """A page elsewhere cannot read this through a name of its own (DNS rebinding)."""
        async with (
            aiohttp.ClientSession(side.url) as http,
            http.get(path, headers={"Host": host, **BEARER}) as answer,
        ):
            assert answer.status == 421
            assert answer.content_type == PROBLEM

    @pytest.mark.parametrize(
        "head",
        [b"GET /metrics HTTP/1.0\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n"],
    )
    async def test_no_name_is_no_good_either(self, side: Served, head: bytes) -> None:
        """400, as RFC 9110 wants."""
        answer, body = await raw(side, head)
        assert answer.split()[1] == b"400"
        assert json.loads(body)["status"] == 400


class TestCalls:
    """B1: records of calls, filtered, page by page, and one with all its parts."""

    async def test_pages_show_every_call_once_newest_first(self, http: aiohttp.ClientSession) -> None:
        """Following next_cursor neither repeats nor skips."""
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await got(http, "/api/v1/calls", limit="5", **cursor)
            seen += [row["id"] for row in page["items"]]
            assert len(page["items"]) <= 5
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert seen == [call(number).id for number in reversed(range(13))]

    async def test_a_call_reads_as_the_definitions_say(self, http: aiohttp.ClientSession) -> None:
        """Names of definitions.md, instants in UTC, enumerations in words, nothing left out."""
        page = await got(http, "/api/v1/calls", caller_number="13800130002")
        assert page["items"] == [
            {
                "id": call(2).id,
                "pbx": "main",
                "direction": "inbound",
                "caller_number": "13800130002",
                "caller_name": "李 小龙",
                "dialed_number": "4001234567",
                "started_at": "2026-09-21T14:15:20.250000Z",
                "answered_at": "2026-09-21T14:15:25.750000Z",
                "ended_at": "2026-09-21T14:16:10.250000Z",
                "disposition": "answered",
                "ended_by": "caller",
                "hangup_cause": 16,
                "quality": "complete",
                "merged_into": None,
                "sources": [],
            }
        ]

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ({"disposition": "abandoned"}, 4),
            ({"disposition": "busy"}, 0),
            ({"direction": "inbound"}, 13),
            ({"agent": "2001"}, 3),
            ({"queue": "sales"}, 3),
            ({"queue": "support"}, 0),
            ({"open": "true"}, 1),
            ({"open": "false"}, 12),
            ({"pbx": "other"}, 0),
            ({"quality": "complete", "disposition": "answered"}, 8),
            ({"from": "2026-09-21T14:15:20.250000Z"}, 11),
            ({"to": "2026-09-21T14:15:20.250000Z"}, 2),
            ({"from": "2026-09-21T22:15:20.25+08:00", "to": "2026-09-21T14:15:20.250001Z"}, 1),
        ],
    )
    async def test_filters(self, http: aiohttp.ClientSession, query: dict[str, str], count: int) -> None:
        """Each filter, the interval half-open."""
        assert len((await got(http, "/api/v1/calls", **query))["items"]) == count

    async def test_one_call_has_all_its_parts(self, http: aiohttp.ClientSession) -> None:
        """Legs, stays, attempts with the agent's state as it rang, talks, transfers, recordings (B1, B2, B6)."""
        record = await got(http, f"/api/v1/calls/{call(1).id}")
        parts = {name: len(record[name]) for name in record if isinstance(record[name], list)}
        assert parts == dict.fromkeys(
            ("legs", "queue_stays", "attempts", "talks", "transfers", "recordings"), 1
        ) | {"sources": 0, "unverified": 0}
        assert record["attempts"][0]["agent_state"] == "available"
        assert record["queue_stays"][0]["book_wait"] == 6.0
        assert record["talks"][0]["hold"] == 3.0

    @pytest.mark.parametrize(
        "call_id", ["none", "%00", "%2e%2e", "a%0d%0ab", "%ff%fe", "x" * 300, "%F0%9F%93%9E"]
    )
    async def test_an_unknown_call_is_not_found(self, side: Served, call_id: str) -> None:
        """404, whatever the id is made of."""
        async with (
            aiohttp.ClientSession(headers=BEARER) as http,
            http.get(URL(f"{side.url}/api/v1/calls/{call_id}", encoded=True)) as answer,
        ):
            assert answer.status == 404
            assert answer.content_type == PROBLEM


class TestPictures:
    """What holds now."""

    async def test_agents(self, http: aiohttp.ClientSession) -> None:
        """C2, C3: state, since when, why, the open away episode, seconds of today, occupancy."""
        picture = await got(http, "/api/v1/agents")
        assert picture["at"] == iso(AT + 1000)
        first, second = picture["items"]
        assert (first["agent"], first["state"], first["since"]) == ("2001", "available", iso(AT + 200))
        assert first["seconds"] == {"available": 900.0, "on_call": 100.0}
        assert first["occupancy"] == 0.1
        assert first["away"] is None
        assert (second["state"], second["away"]["limit_at"]) == ("away", iso(AT + 1200))
        assert len((await got(http, "/api/v1/agents", state="away"))["items"]) == 1

    async def test_an_agents_history(self, http: aiohttp.ClientSession) -> None:
        """Newest first, each with its end."""
        page = await got(http, "/api/v1/agents/2001/states")
        spans = [(row["state"], row["since"], row["until"]) for row in page["items"]]
        assert spans == [
            ("available", iso(AT + 200), None),
            ("on_call", iso(AT + 100), iso(AT + 200)),
            ("available", iso(AT), iso(AT + 100)),
        ]
        earlier = await got(http, "/api/v1/agents/2001/states", to=iso(AT + 100))
        assert len(earlier["items"]) == 1

    async def test_a_calls_story(self, http: aiohttp.ClientSession) -> None:
        """Step by step, by which event; without the PBX's books it is unverified, and says why."""
        story = await got(http, f"/api/v1/calls/{call(1).id}/story")
        assert story["call"]["id"] == call(1).id
        assert [step["at"] for step in story["steps"]] == sorted(step["at"] for step in story["steps"])
        (join,) = (step for step in story["steps"] if step["kind"] == "join")
        assert (join["who"], join["to"], join["event"]) == ("caller", "queue sales", "QueueCallerJoin")
        assert join["lines"] == story["unexplained"] == []
        assert [one["pbx"] for one in story["unverified"]] == ["main"]

    async def test_the_history_of_an_agent_whom_nobody_knows_is_not_found(
        self, http: aiohttp.ClientSession
    ) -> None:
        """404 for a number that never existed; an empty page for one that is known and did nothing then."""
        problem = await got(http, "/api/v1/agents/9999/states", 404)
        assert "agent" in problem["detail"]
        assert (await got(http, "/api/v1/agents/2001/states", to=iso(AT - 100)))["items"] == []
        assert (await got(http, f"/api/v1/agents/{NEWCOMER}/states"))["items"] == []

    async def test_queues(self, http: aiohttp.ClientSession) -> None:
        """Who waits, who is free, today's figures and the service level with its default named."""
        (queue,) = (await got(http, "/api/v1/queues"))["items"]
        assert queue["name"] == "sales"
        assert queue["agents"] == {"available": 1, "away": 1}
        assert queue["today"]["offered"] == queue["today"]["answered"] == 3
        assert queue["today"]["asa"] == 5.5
        assert queue["service_level"]["default"] == "ignore_early_abandons"
        assert queue["service_level"]["ignore_early_abandons"] == 1.0
        assert (await got(http, "/api/v1/queues", pbx="other"))["items"] == []

    async def test_duty(self, http: aiohttp.ClientSession) -> None:
        """D2: who is called, in which order, and why, at any instant."""
        (duty,) = (await got(http, "/api/v1/duty", at="2026-10-01T20:30:00+08:00"))["items"]
        assert (duty["hotline"], duty["kind"]) == ("sales", "duty")
        assert [rung["number"] for rung in duty["ladder"]] == ["13700002222", "13700003333"]
        assert duty["end"] == "2026-10-01T13:30:00.000000Z"
        await got(http, "/api/v1/duty", 404, hotline="none")
        await got(http, "/api/v1/duty", 404, at="1999-01-01T00:00:00Z")

    async def test_work_items_faults_and_incidents(self, http: aiohttp.ClientSession) -> None:
        """D7, A3, C3: what is to do, what was broken, which rule."""
        assert len((await got(http, "/api/v1/work-items"))["items"]) == 2
        (item,) = (await got(http, "/api/v1/work-items", state="open"))["items"]
        assert (item["result"], item["accepted_by"]) == ("accepted", "13700002222")
        assert len((await got(http, "/api/v1/faults"))["items"]) == 2
        (fault,) = (await got(http, "/api/v1/faults", open="true"))["items"]
        assert (fault["kind"], fault["ended_at"]) == ("database", None)
        (incident,) = (await got(http, "/api/v1/incidents", agent="2002"))["items"]
        assert incident["result"] == "logged_out"

    async def test_open_false_means_faults_that_are_over(self, http: aiohttp.ClientSession) -> None:
        """A parameter given as false is not as if it were left out."""
        (fault,) = (await got(http, "/api/v1/faults", open="false"))["items"]
        assert fault["kind"] == "link"

    async def test_metrics(self, http: aiohttp.ClientSession) -> None:
        """Prometheus' text format."""
        async with http.get("/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert "cti_up 1.0" in await answer.text()

    async def test_health(self, side: Served, http: aiohttp.ClientSession) -> None:
        """Each check by name; 503 as soon as one says so, for liveness only when a restart would help."""
        assert (await got(http, "/readyz"))["checks"][0] == {"name": "link main", "ok": True, "detail": "up"}
        side.health.append(
            Health(ok=True, ready=False, checks=(Check("link main", ok=False, detail="down"),))
        )
        assert (await got(http, "/healthz"))["status"] == "ok"
        async with http.get("/readyz") as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "failed")
        side.health.pop()


class TestRefusals:
    """Bad input: 4xx with a problem document that names the field."""

    async def test_every_mistake_is_named_at_once(self, http: aiohttp.ClientSession) -> None:
        """Unknown parameters with the known ones, wrong values with what they should be."""
        fields = await refused(
            http, "/api/v1/calls", form="x", limit="0", disposition="gone", to="yesterday", open="yes"
        )
        assert fields.keys() == {"form", "limit", "disposition", "to", "open"}
        assert "known here: pbx, from, to, cursor, limit" in fields["form"]
        assert "2026-10-01T09:00:00Z" in fields["to"]

    @pytest.mark.parametrize(
        ("path", "query", "field"),
        [
            ("/api/v1/calls", {"limit": "501"}, "limit"),
            ("/api/v1/calls", {"limit": "-1"}, "limit"),
            ("/api/v1/calls", {"limit": "1e2"}, "limit"),
            ("/api/v1/calls", {"limit": "٣"}, "limit"),
            ("/api/v1/calls", {"limit": ""}, "limit"),
            ("/api/v1/calls", {"from": "2026-09-21"}, "from"),
            ("/api/v1/calls", {"from": "2026-09-21T14:00:00"}, "from"),
            ("/api/v1/calls", {"from": "2026-02-30T14:00:00Z"}, "from"),
            ("/api/v1/calls", {"since": "2026-09-21T14:00:00Z"}, "since"),
            ("/api/v1/calls", {"agent": "20\x0001"}, "agent"),
            ("/api/v1/calls", {"agent": ""}, "agent"),
            ("/api/v1/calls", {"agent": "x" * 101}, "agent"),
            ("/api/v1/calls", {"cursor": "nonsense"}, "cursor"),
            ("/api/v1/calls", {"cursor": "ö"}, "cursor"),
            ("/api/v1/calls", {"cursor": "WzEsMl0"}, "cursor"),
            ("/api/v1/calls", {"cursor": "WzFlMzAwLCJhIl0"}, "cursor"),
            ("/api/v1/calls/none", {"x": "1"}, "x"),
            ("/api/v1/agents", {"state": "asleep"}, "state"),
            ("/api/v1/work-items", {"state": "lost"}, "state"),
            ("/api/v1/duty", {"at": "now"}, "at"),
        ],
    )
    async def test_a_bad_value_names_its_parameter(
        self, http: aiohttp.ClientSession, path: str, query: dict[str, str], field: str
    ) -> None:
        """400, exactly one error, at the parameter."""
        assert list(await refused(http, path, **query)) == [field]

    @pytest.mark.parametrize("path", ["calls", "agents/2001/states", "work-items", "faults", "incidents"])
    async def test_an_interval_that_ends_before_it_begins_is_refused(
        self, http: aiohttp.ClientSession, path: str
    ) -> None:
        """`from` later than `to` is a mistake, not an empty list; an empty interval is none."""
        path = f"/api/v1/{path}"
        found = await refused(http, path, **{"from": iso(AT + 1), "to": iso(AT)})
        assert list(found) == ["to"]
        assert "from" in found["to"]
        assert (await got(http, path, **{"from": iso(AT), "to": iso(AT)}))["next_cursor"] is None

    async def test_a_parameter_given_twice_is_not_guessed(self, http: aiohttp.ClientSession) -> None:
        """Neither the first nor the last silently wins."""
        problem = await got(http, "/api/v1/calls?agent=1&agent=2", 400)
        assert [error["field"] for error in problem["errors"]] == ["agent"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
    async def test_a_wrong_method_is_405_and_says_which_are_right(
        self, http: aiohttp.ClientSession, method: str
    ) -> None:
        """With Allow, as RFC 9110 wants."""
        async with http.request(method, "/api/v1/calls") as answer:
            assert answer.status == 405
            assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}
            assert answer.content_type == PROBLEM

    async def test_head_is_get_without_a_body(self, http: aiohttp.ClientSession) -> None:
        """For probes."""
        async with http.head("/api/v1/calls") as answer:
            assert answer.status == 200
            assert await answer.read() == b""

    @pytest.mark.parametrize("path", ["/", "/api2", "/nothing", "/metrics/", "/API/v1/calls"])
    async def test_an_unknown_path_is_404(self, http: aiohttp.ClientSession, path: str) -> None:
        """And says where the paths are listed."""
        assert "openapi.json" in (await got(http, path, 404))["detail"]

    @pytest.mark.parametrize(
        "request_",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
            b"GARBAGE\r\n\r\n",
            b"GET /metrics HTTP/9.9\r\nHost: localhost\r\n\r\n",
            b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\n\r\n",
            b"GET /api/v1/calls?x=\x00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ],
    )
    async def test_what_is_not_http_gets_a_problem_too(self, side: Served, request_: bytes) -> None:
        """4xx, a problem document, and nothing of what was sent repeated."""
        head, body = await raw(side, request_)
        assert head.split()[1].startswith(b"4"), head
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == int(head.split()[1])

    @pytest.mark.parametrize(
        "query", ["x=%00", "from=%ff%fe", "agent=%F0%28", "%00=1", "=&=&", "%", "agent=%ED%A0%80"]
    )
    async def test_no_encoding_makes_it_fail(self, side: Served, query: str) -> None:
        """Broken escapes, lone surrogates and NULs are answered, never with 5xx."""
        async with (
            aiohttp.ClientSession(headers=BEARER) as http,
            http.get(URL(f"{side.url}/api/v1/calls?{query}", encoded=True)) as answer,
        ):
            assert answer.status < 500, await answer.text()

    async def test_a_body_is_passed_over(self, http: aiohttp.ClientSession) -> None:
        """GET with a large body is answered as without."""
        async with http.get("/api/v1/queues", data=io.BytesIO(b"x" * 3_000_000)) as answer:
            assert answer.status == 200

    async def test_expect_is_passed_over(self, http: aiohttp.ClientSession) -> None:
        """No route reads a body, so nothing is expected."""
        async with http.get("/api/v1/queues", headers={"Expect": "something"}) as answer:
            assert answer.status == 200

    async def test_our_own_bug_is_a_500_without_internals(
        self, side: Served, http: aiohttp.ClientSession
    ) -> None:
        """The log has the traceback; the answer says only that it is our mistake."""
        shown = side.health.pop()
        async with http.get("/healthz") as answer:
            assert answer.status == 500
            assert answer.content_type == PROBLEM
            assert "IndexError" not in await answer.text()
        side.health.append(shown)

    async def test_a_database_that_is_away_is_503(self, tmp_path: Path) -> None:
        """Ask again later, says Retry-After; where the database is stays untold."""
        async with (
            served(tmp_path) as side,
            aiohttp.ClientSession(side.url, headers=BEARER) as http,
        ):
            with sqlite3.connect(tmp_path / "cti.sqlite3") as database:
                database.execute("ALTER TABLE calls RENAME TO gone")
            database.close()
            async with http.get("/api/v1/calls") as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"]
                assert answer.content_type == PROBLEM
                assert str(tmp_path) not in await answer.text()

    async def test_nothing_is_cached_or_sniffed(self, http: aiohttp.ClientSession) -> None:
        """Personal data stays out of caches; JSON is never taken for a page."""
        for path in ("/api/v1/calls", "/nothing"):
            async with http.get(path) as answer:
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


class TestListening:
    """Beyond this machine only behind TLS or a proxy, checked where the socket is bound."""

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - refused
    async def test_an_open_address_without_a_guard_is_refused(self, host: str) -> None:
        """Even when the settings were made by other means than the file."""
        with pytest.raises(ConfigError, match="behind_proxy"):
            await start(aiohttp.web.Application(), Http.model_construct(host=host, port=0))

    async def test_a_port_in_use_names_the_key(self, side: Served) -> None:
        """The message says which key to change."""
        with pytest.raises(ConfigError, match=r"http\.port"):
            await start(aiohttp.web.Application(), Http.model_construct(host="127.0.0.1", port=side.port))

    async def test_behind_a_proxy_any_address_will_do(self) -> None:
        """behind_proxy is the operator's word."""
        app = aiohttp.web.Application()
        settings = Http.model_construct(host="0.0.0.0", port=0, behind_proxy=True)  # noqa: S104 - guarded
        runner = await start(app, settings)
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            assert answer.status == 404
        await runner.cleanup()

    @pytest.fixture
    def pair(self, tmp_path: Path) -> tuple[Path, Path]:
        cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
             "-days", "2", "-subj", "/CN=cti", "-addext", "subjectAltName=DNS:localhost"],
            check=True, capture_output=True,
        )  # fmt: skip
        return cert, key

    async def test_tls(self, pair: tuple[Path, Path]) -> None:
        """With a certificate and its key it speaks TLS; with a wrong key it says so."""
        cert, key = pair
        settings = Http.model_construct(host="127.0.0.1", port=0, tls_cert=cert, tls_key=key)
        runner = await start(aiohttp.web.Application(), settings)
        trust = ssl.create_default_context(cafile=str(cert))
        url = f"https://localhost:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession() as http, http.get(url, ssl=trust) as answer:
            assert answer.status == 404
        await runner.cleanup()
        key.write_text("no key")
        with pytest.raises(ConfigError, match=r"http\.tls_cert"):
            await start(aiohttp.web.Application(), settings)


def test_routes_have_distinct_names() -> None:
    """An operationId of the document is a route's own."""
    names = [route.handler.__name__ for route in ROUTES]
    assert len(set(names)) == len(names)
