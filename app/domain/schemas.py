"""The types of all messages, for the decoders and for the JSON Schemas in `docs/schemas`.

Decoders enforce the types. What `Meta` adds is for the schemas only, and costs a decoder nothing:
`decoding` checks those limits, and gives a reason that a person can act on.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.channels import SENDER
from app.domain.amounts import LARGEST, NUMERAL
from app.domain.symbols import LONGEST_SYMBOL
from app.domain.times import EPOCH_TEXT, EPOCH_UNITS

LONGEST_SENDER = 128
"""Characters."""

LONGEST_ID = 128
"""Characters."""

# Blanks, controls and formats; the pattern is valid in Python and in JSON Schema.
_NOT_PRINTED = (
    r"\x00-\x1f\x7f-\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ue000-\uf8ff\ufeff"
)


def _symbol(not_in_it: str) -> str:
    """Return the pattern of a symbol, which may have blanks within."""
    return f"[^ {not_in_it}]([^{not_in_it}]{{0,{LONGEST_SYMBOL - 2}}}[^ {not_in_it}])?"


_SYMBOL = f"^{_symbol(_NOT_PRINTED)}$"
_SHOWN_SYMBOL = f"^(aggregate|{_symbol(_NOT_PRINTED + 'a-z')})$"
_RESERVED = "^[Aa][Gg][Gg][Rr][Ee][Gg][Aa][Tt][Ee]$"
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_ISO_8601 = rf"{_DATE}[T ]{_TIME}(:[0-5][0-9](\.[0-9]{{1,9}})?)?(Z|[+-]{_TIME})?"
_SHOWN_TIMESTAMP = rf"^{_DATE}T{_TIME}:[0-5][0-9]\.[0-9]{{6}}\+00:00$"

Amount = int | float | str

Symbol = Annotated[
    str,
    Meta(
        description=f"1 to {LONGEST_SYMBOL} characters that print, blanks inside too, counted in "
        "capitals and in Unicode's form NFC. Case does not matter. `aggregate` is reserved for the "
        "account.",
        extra_json_schema={"pattern": _SYMBOL, "not": {"pattern": _RESERVED}},
    ),
]
Money = Annotated[
    Amount,
    Meta(
        description=f"At most {LARGEST:,}, positive or negative. A numeric string is accepted too.",
        extra_json_schema={"minimum": -LARGEST, "maximum": LARGEST, "pattern": f"^{NUMERAL}$"},
    ),
]
Timestamp = Annotated[
    str | int | float,
    Meta(
        description="ISO 8601 with a date and a time, UTC unless it has an offset; or seconds, "
        "milliseconds, microseconds or nanoseconds since 1970 UTC, as a number or its text.",
        extra_json_schema={
            "pattern": f"^({_ISO_8601}|{EPOCH_TEXT})$",
            "minimum": 0,
            "maximum": int(EPOCH_UNITS[-1][0]),
        },
    ),
]
BrokerTimestamp = Annotated[
    str | int | float | None, Meta(description="Stored as the broker sent it.")
]
SymbolOfChannel = Annotated[
    Symbol | None, Meta(description="If it is missing or null, the ticker that the channel names.")
]
ShownTimestamp = Annotated[
    str,
    Meta(
        description="UTC, always in this form, so that it also sorts by time.",
        extra_json_schema={"pattern": _SHOWN_TIMESTAMP},
    ),
]
ShownSymbol = Annotated[
    str,
    Meta(
        description="In capitals; `aggregate` is the whole account.",
        extra_json_schema={"pattern": _SHOWN_SYMBOL},
    ),
]
EnvelopeTimestamp = Annotated[
    str | UnsetType, Meta(description="When it was sent, in the sender's local time. Ignored.")
]
EnvelopeSender = Annotated[str | UnsetType | None, Meta(description="Who sent it. Ignored.")]


class PerformanceData(msgspec.Struct, gc=False):
    """The figures that a report and a performance have in common."""

    symbol: Symbol
    total: Money
    unrealized: Annotated[Money, Meta(description="Bought below the plan's price.")]
    realized: Annotated[Money, Meta(description="Sold above the plan's price.")]
    timestamp: Annotated[
        Timestamp, Meta(description="When the fill was made; it determines the UTC day.")
    ]
    converted: Annotated[
        Money, Meta(description="Unrealized profit that this sale turned into realized profit.")
    ] = 0


class ReportData(PerformanceData):
    """What one fill added; with PROFIT_REPORT_KIND=snapshot, the symbol's figures for the day."""

    id: Annotated[
        str | int | None,
        Meta(
            description="The fill's own id at the broker, if it has one. Then sender, symbol and "
            "id identify the report; else sender, symbol and timestamp, with all its digits.",
            extra_json_schema={"maxLength": LONGEST_ID},
        ),
    ] = None


class ReportEnvelope(msgspec.Struct, gc=False):
    """The parts of a report's message that are read."""

    data: ReportData
    sender: Annotated[
        str | None,
        Meta(
            description="The bot. It is part of the identity of a report, which counts once.",
            extra_json_schema={"maxLength": LONGEST_SENDER},
        ),
    ] = None
    journal: Annotated[
        str | None,
        Meta(
            description="`<database number>:profit-bridge:journal` if this message is also in the "
            "journal: the bridge then counts it from there. Do not set it otherwise.",
        ),
    ] = None


class ReportMessage(ReportEnvelope):
    """A profit report: one fill of one bot."""

    timestamp: EnvelopeTimestamp = UNSET


class PerformanceEnvelope(msgspec.Struct):
    """The parts of a performance message that are read; another program calculated it."""

    data: PerformanceData


class Performance(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The day's figures: exactly these five fields, rounded to PROFIT_DECIMALS places."""

    total: float
    unrealized: float
    realized: float
    converted: float
    timestamp: ShownTimestamp


class NamedPerformance(Performance, forbid_unknown_fields=True):
    """The day's figures of a symbol or of the account."""

    symbol: ShownSymbol


class PerformanceMessage(msgspec.Struct):
    """New figures. Each counted report publishes its symbol's, then the account's."""

    data: NamedPerformance
    timestamp: EnvelopeTimestamp
    sender: Annotated[str, Meta(extra_json_schema={"const": SENDER})]


class PriceData(msgspec.Struct, tag_field="type", tag="price"):
    """A price. One equal to the stored price is not written again."""

    price: Annotated[Amount, Meta(extra_json_schema={"pattern": f"^{NUMERAL}$"})]
    symbol: SymbolOfChannel = None
    timestamp: BrokerTimestamp = None
    volume: Annotated[
        Amount | None, Meta(description="Stored unchanged. A null removes the stored one.")
    ] = None


class Order(msgspec.Struct, kw_only=True):
    """What happened to an order; stored unchanged."""

    event: str | None = None
    order: Annotated[
        dict[str, Any],
        Meta(
            description="The broker's own fields; the `id` names the order's node.",
            extra_json_schema={
                "required": ["id"],
                "properties": {
                    "id": {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]}
                },
            },
        ),
    ]
    price: Amount | None = None
    qty: Amount | None = None
    position_qty: Amount | None = None


class OrderData(msgspec.Struct, tag_field="type", tag="order"):
    """An event of an order."""

    order_data: Order
    symbol: SymbolOfChannel = None
    timestamp: BrokerTimestamp = None


class UpdateEnvelope(msgspec.Struct):
    """The parts of a price's or an order's message that are read."""

    data: PriceData | OrderData


class UpdateMessage(UpdateEnvelope):
    """A price or an order of one symbol."""

    timestamp: EnvelopeTimestamp = UNSET
    sender: EnvelopeSender = UNSET


class OrderNode(Order, kw_only=True):
    """An order as stored. A null field has no node."""

    timestamp: BrokerTimestamp = None


class TickerNode(msgspec.Struct):
    """Everything stored for a symbol. What was never stored is absent."""

    price: Amount | UnsetType = UNSET
    volume: Amount | UnsetType = UNSET
    timestamp: Annotated[
        str | int | float | UnsetType, Meta(description="Of the price, as the broker sent it.")
    ] = UNSET
    last_updated: Annotated[
        ShownTimestamp | UnsetType, Meta(description="When the price was stored.")
    ] = UNSET
    orders: Annotated[
        dict[str, OrderNode] | UnsetType, Meta(description="By order id, escaped.")
    ] = UNSET
    performance: Performance | UnsetType = UNSET


DailyFile = Annotated[
    dict[str, Performance],
    Meta(
        description="The figures of one UTC day by symbol, and their sum as `aggregate`.",
        extra_json_schema={"required": ["aggregate"]},
    ),
]
Tree = Annotated[
    dict[str, TickerNode],
    Meta(
        description="The node FIREBASE_ROOT (`services`): symbols, and the account as `aggregate`. "
        "In keys, characters that Firebase forbids or misreads are `!` and two hex digits: "
        "BRK.B is BRK!2EB, A+B is A!2BB.",
        extra_json_schema={"propertyNames": {"pattern": r"^[^.$#\[\]/?%+\x00-\x1f\x7f]+$"}},
    ),
]
