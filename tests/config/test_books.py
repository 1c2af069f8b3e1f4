"""[pbx.NAME.books]: where books are that are not files of this machine; every mistake named with its cure."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from config.settings import ConfigError, Settings, parse
from tests.config.test_settings import ENVIRON, EXAMPLE, PBX, made, only

URL = "mysql+asyncmy://cti_books@pbx.example.com/asteriskcdrdb"


def books(**keys: Any) -> dict[str, Any]:
    return {"main": {**PBX, "books": keys}}


def of_example(tmp_path: Path, *left_out: str) -> Settings:
    """The example with its commented table of books in force, but for these keys."""
    head, table, rest = EXAMPLE.read_text().partition("#[pbx.main.books]")
    lines = re.sub(r"(?m)^#(?=[a-z])", "", rest).splitlines()
    kept = [line for line in lines if line.partition(" ")[0] not in {"password_env", *left_out}]
    for name in ("tls/pbx-ca.pem", "secrets/books"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("hunter2")
        (tmp_path / name).chmod(0o600)
    return parse(tomllib.loads(head + table[1:] + "\n".join(kept)), tmp_path, ENVIRON)


def test_the_examples_table_is_right_and_shows_the_defaults(tmp_path: Path) -> None:
    """Whoever takes the comment signs away has what the comments say."""
    full = of_example(tmp_path).pbx["main"].books
    plain = made(tmp_path, pbx=books(url=URL)).pbx["main"].books
    assert full is not None
    assert plain is not None
    same = {"password", "ca_file", "shipped"}
    assert full.model_dump(exclude=same) == plain.model_dump(exclude=same)
    assert full.full_url == "mysql+asyncmy://cti_books:hunter2@pbx.example.com/asteriskcdrdb"
    assert full.shipped == ("queue_log",)
    assert "hunter2" not in repr(full)


def test_the_pbx_stands_where_its_company_is(tmp_path: Path) -> None:
    """The time zone of the duty hours, unless the table names another."""
    for keys, zone in (({}, "Europe/Berlin"), ({"timezone": "Asia/Tokyo"}, "Asia/Tokyo")):
        settings = made(tmp_path, duty={"timezone": "Europe/Berlin"}, pbx=books(url=URL, **keys))
        sources = settings.pbx["main"].books
        assert sources is not None
        assert sources.timezone == zone


def test_the_books_have_the_time_of_their_pbx(tmp_path: Path) -> None:
    """One key for files and tables; either place may name it."""
    for pbx, keys, zones in (
        ({"timezone": "Asia/Tokyo"}, {}, ("Asia/Tokyo", "Asia/Tokyo")),
        ({}, {"timezone": "Asia/Tokyo"}, ("Asia/Tokyo", "Asia/Tokyo")),
        ({"timezone": "UTC"}, {"timezone": "Asia/Tokyo"}, ("UTC", "Asia/Tokyo")),
        ({}, {}, ("Europe/Berlin", "Europe/Berlin")),
    ):
        tables = {"main": {**PBX, **pbx, "books": {"url": URL, **keys}}}
        main = made(tmp_path, duty={"timezone": "Europe/Berlin"}, pbx=tables).pbx["main"]
        assert main.books is not None
        assert (main.timezone, main.books.timezone) == zones
    assert made(tmp_path, pbx={"main": {**PBX, "timezone": "UTC"}}).pbx["main"].timezone == "UTC"
    problem = only(tmp_path, pbx={"main": {**PBX, "timezone": "Beijing"}})
    assert (problem.key, problem.wrong) == ("pbx.main.timezone", "is not a time zone")


@pytest.mark.parametrize(
    ("keys", "key", "wrong"),
    [
        ({}, "books", "names no place"),
        ({"url": "oracle://u@h/d"}, "books.url", "is not a database we can read books from"),
        ({"url": "mysql+asyncmy://u:hunter2@h/d"}, "books.url", "a secret never stands in this file"),
        ({"url": "mysql+asyncmy://h/d"}, "books.url", "is not complete"),
        ({"url": URL, "timezone": "Beijing"}, "books.timezone", "is not a time zone"),
        ({"url": URL, "cdr_table": "cdr; DROP TABLE cdr"}, "books.cdr_table", "is not the name of a table"),
        ({"url": URL, "shipped": ["cdr_csv"]}, "books", "one book has two places"),
        ({"shipped": ["full"]}, "books.shipped[0]", "is not known"),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, keys: dict[str, Any], key: str, wrong: str) -> None:
    """With its key, what is wrong and the cure, and never with a secret."""
    problem = only(tmp_path, pbx=books(**keys))
    assert (problem.key, wrong in problem.wrong) == (f"pbx.main.{key}", True), problem
    assert problem.cure
    assert "hunter2" not in str(problem)


def test_a_book_has_one_place(tmp_path: Path) -> None:
    """A file and a table would tell every call twice; a table whose name is empty is none."""
    tables = books(url=URL, cel_table="")
    tables["main"] |= {"cel_csv": "cel.csv"}
    assert made(tmp_path, pbx=tables).pbx["main"].books is not None
    tables["main"] |= {"cdr_csv": "cdr.csv"}
    assert "cdr_csv and books.cdr_table" in only(tmp_path, pbx=tables).wrong


def test_a_missing_driver_is_said_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MariaDB is an extra: without it check-config and the start say how to get it."""
    monkeypatch.setitem(sys.modules, "asyncmy", None)
    problem = only(tmp_path, pbx=books(url=URL))
    assert "cti-beside-pbx[mariadb]" in problem.cure


def test_a_password_is_needed_only_by_who_reads_books(tmp_path: Path) -> None:
    """`cti calls` runs where the variable is not set; `cti reconcile` and the daemon name it."""
    tables = {"pbx": books(url=URL, password_env="CTI_BOOKS_PASSWORD")}
    assert parse(tables, tmp_path, ENVIRON, needed=()).pbx["main"].books is not None
    for needed in (("books",), ("pbx",)):
        with pytest.raises(ConfigError, match="CTI_BOOKS_PASSWORD"):
            parse(tables, tmp_path, ENVIRON, needed=needed)
