"""What bots calculate with is sent as JSON that the bridge reads, and what is not there as null."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from app.domain import read_report
from app.publisher.message import encoded
from app.timing import now_us
from tests.system import report


class Scalar:
    """A number of numpy, which is not installed here: `tolist` gives Python's own."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return f"numpy's {self._value}"

    def tolist(self) -> Any:
        return self._value


class LongDouble:
    """The one that gives itself."""

    def __repr__(self) -> str:
        return "longdouble"

    def tolist(self) -> "LongDouble":
        return self

    def __float__(self) -> float:
        return 1.25


def sent(value: Any) -> Any:
    return json.loads(encoded({"data": {"value": value}}))["data"]["value"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("12.34"), 12.34),
        (Decimal(5), 5),
        (Decimal("123456789.123456789012"), "123456789.123456789012"),
        (Fraction(1, 4), 0.25),
        (Scalar(0.5), 0.5),
        (Scalar(7), 7),
        (Scalar([1, 2.5]), [1, 2.5]),
        (Scalar(datetime(2025, 5, 15)), "2025-05-15T00:00:00"),
        (LongDouble(), 1.25),
        (date(2025, 5, 15), "2025-05-15"),
        (datetime(2025, 5, 15, 13, 32, 56, 582434, UTC), "2025-05-15T13:32:56.582434+00:00"),
        (float("nan"), None),
        (Decimal("Infinity"), None),
        ([Scalar(float("nan")), {"inner": -float("inf")}], [None, {"inner": None}]),
    ],
    ids=repr,
)
def test_a_value_is_sent_as_json_has_it(value: Any, expected: Any) -> None:
    assert sent(value) == expected


def test_the_bridge_reads_all_digits_of_a_decimal() -> None:
    digits = Decimal("123456.123456780001")
    data = report("SOFI", digits, timestamp=datetime.now(UTC), fee_rate=float("nan"))
    read, _ = read_report(encoded({"data": data}), now_us())
    assert read.total == 12_345_612_345_678


@pytest.mark.parametrize("amount", [float("nan"), Decimal("NaN"), Scalar(float("inf"))], ids=repr)
def test_an_amount_that_is_no_number_is_refused_by_name(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"^realized is (nan|inf): JSON has only finite numbers$"):
        encoded({"data": report(realized=amount)})


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", 1j])
def test_what_json_has_no_form_for_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        sent(value)
