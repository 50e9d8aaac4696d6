"""Amounts are shown with all their decimals, and their points stand below each other."""

from rich.cells import cell_len

from app.cli.amount_table import as_json, table
from app.domain import Figures

ROWS = {
    "SOFI": (1_234, Figures(2_876_499_999, 1, 2_876_499_998, 0, 7)),
    "F": (1, Figures(-350_000_000)),
}


def test_the_points_of_a_column_stand_below_each_other() -> None:
    heading, *lines = table(ROWS | {"币安人生USDT": ROWS["F"]})
    assert heading.split() == ["symbol", "reports", "total", "unrealized", "realized", "converted"]
    assert lines[0].split() == ["SOFI", "1,234", "28.76499999", "0.00000001", "28.76499998", "0.00"]
    assert lines[1].split() == ["F", "1", "-3.50", "0.00", "0.00", "0.00"]
    points = [[cell_len(part) for part in line.split(".")[:-1]] for line in lines]
    assert points[0] == points[1] == points[2]


def test_a_table_without_rows_is_its_heading() -> None:
    assert len(table({})) == 1


def test_json_has_every_decimal() -> None:
    assert as_json(ROWS)["SOFI"] == {
        "reports": 1_234,
        "total": 28.76499999,
        "unrealized": 0.00000001,
        "realized": 28.76499998,
        "converted": 0.0,
    }
