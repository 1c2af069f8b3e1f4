"""The OpenAPI document and the running API say the same: proved by schemathesis, operation by operation."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok

from cti.daemon import openapi
from cti.daemon.http.instants import parse_instant
from cti.daemon.http.routes import DOCUMENT_PATH, ROUTES
from cti.daemon.http.writes import WRITES
from tests.daemon.served import TOKEN, Served, served_in_thread


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_in_thread(tmp_path_factory.mktemp("served")) as running:
        yield running


BEARER = {"Authorization": f"Bearer {TOKEN}"}


@functools.cache
def a_cursor(url: str, path: str) -> str:
    """A cursor that lists of this kind give out: those of states differ from all others."""
    place = "/api/v1/agents/2001/states" if path.endswith("/states") else "/api/v1/calls"
    answer = requests.get(f"{url}{place}", {"limit": "1"}, headers=BEARER, timeout=10)
    return str(answer.json()["next_cursor"])


# The document itself; that it is the one served is a test of its own. (The lazy form of schemathesis 4.32, from a
# fixture, does not work with pytest 9.2.)
schema = schemathesis.openapi.from_dict(openapi.document())


def _operations() -> dict[str, Any]:
    found = {}
    for one in schema.get_all_operations():
        assert isinstance(one, Ok), one
        operation = one.ok()
        found[f"{operation.method.upper()} {operation.path}"] = operation
    return found


OPERATIONS = _operations()


# One id each: schemathesis' own parametrizing gives all of them the same, and of such the workers run one.
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_running_api_is_as_documented(name: str, side: Served) -> None:
    """Whatever fits the document is answered as documented; whatever does not is refused with a problem."""

    @settings(
        max_examples=20,
        derandomize=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[name].as_strategy())
    def answers(case: schemathesis.Case[Any]) -> None:
        cursor = case.query.get("cursor")
        if isinstance(cursor, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,1000}", cursor):
            # No schema can say which cursors a list gave out: one that looks like one becomes a real one.
            case.query["cursor"] = a_cursor(side.url, case.formatted_path)
        _put_in_order(case.query)
        case.call_and_validate(base_url=side.url, headers=BEARER)

    answers()


def _put_in_order(query: dict[str, Any]) -> None:
    """No schema can say that `from` is not later than `to`."""
    try:
        begin, end = (parse_instant(query.get(name)) for name in ("from", "to"))
    except ValueError:
        return
    if begin > end:
        query["from"], query["to"] = query["to"], query["from"]


def test_the_document_served_is_the_one_proved(side: Served) -> None:
    """What is fetched with the token is what `cti openapi` writes."""
    answer = requests.get(f"{side.url}{DOCUMENT_PATH}", headers=BEARER, timeout=10)
    assert answer.json() == openapi.document()


def test_every_route_is_documented() -> None:
    """Document and table of routes are one."""
    document = openapi.document()
    assert document["openapi"].startswith("3.1")
    assert {route.path for route in ROUTES} <= document["paths"].keys()
    assert all("post" in document["paths"][write.path] for write in WRITES)
    for path in ("/metrics", "/healthz", "/readyz"):
        assert document["paths"][path]["get"]["security"] == []


def test_the_document_can_be_written_without_a_daemon(tmp_path: Path) -> None:
    """`cti openapi` needs no configuration; the text is JSON without unresolved references."""
    text = openapi.text()
    (tmp_path / "openapi.json").write_text(text)
    known = openapi.document()["components"]["schemas"]
    for reference in text.split('"#/components/schemas/')[1:]:
        assert reference.split('"')[0] in known
