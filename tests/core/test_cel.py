"""Lines of CEL as a real Asterisk wrote them, and as crashes leave them."""

from pathlib import Path

import pytest

from cti.core.books import BadLine
from cti.core.cel import CelRow, parse_cel_line

SESSION = Path(__file__).parent / "books" / "session"

SHIPPED = (
    '"HANGUP","1795301411.374957","1795301408.35","1795301408.35","PJSIP/trunk-a-00000004","","13800000002",'
    '"O\'Brien","4001","cti-office","","","","","{""hangupcause"":16,""hangupsource"":""PJSIP/1002-00000005""}"'
)
SAMPLE = (
    '"ANSWER","1795301411.374957","王伟","13800000002","","","","4001","from-trunk","PJSIP/a-1","Dial","PJSIP/1",'
    '"3","","1.1","1.1","","","",""'
)


def test_a_row_of_the_shipped_mapping() -> None:
    """Instant to the microsecond, names with quotes, and the extra as what it says."""
    row = parse_cel_line(SHIPPED)
    assert isinstance(row, CelRow)
    assert (row.event, row.at, row.uniqueid, row.name) == (
        "HANGUP",
        1795301411.374957,
        "1795301408.35",
        "O'Brien",
    )
    assert row.extra == {"hangupcause": 16, "hangupsource": "PJSIP/1002-00000005"}


def test_a_row_of_asterisks_own_sample() -> None:
    """The layout that most installations have is understood too."""
    row = parse_cel_line(SAMPLE)
    assert isinstance(row, CelRow)
    assert (row.channel, row.app, row.number, row.name) == ("PJSIP/a-1", "Dial", "13800000002", "王伟")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "garbage",
        SHIPPED[:80],
        SHIPPED.replace("1795301411.374957", "soon"),
        SHIPPED.replace('"HANGUP"', '""'),
        SHIPPED + ',"one more"',
        SHIPPED.replace("O'Brien", "x" * 9000),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    """B3: one bad line hides no other."""
    assert isinstance(parse_cel_line(line), BadLine)


def test_an_extra_that_is_no_object_costs_nothing_else() -> None:
    """What is right in a row is kept."""
    for extra in ('"[1]"', '"{"', '"{""a"":[1]}"'):
        row = parse_cel_line(SHIPPED[: SHIPPED.index('"{""hang')] + extra)
        assert isinstance(row, CelRow)
        assert row.extra == {}


def test_every_line_of_a_real_session_is_read() -> None:
    """B3: nothing of what a real Asterisk 22 writes is unknown."""
    lines = (SESSION / "cel.csv").read_text(encoding="utf-8").splitlines()
    assert [row for row in map(parse_cel_line, lines) if isinstance(row, BadLine)] == []
