"""Who may do what: one table, which the local server and targaryen are both held to."""

from typing import Any, NamedTuple

BRIDGE = {"uid": "profit-bridge"}
USER = {"uid": "a-trader"}
NOBODY = None

AT_TEN, AT_ELEVEN = "2025-05-15T10:00:00.000000+00:00", "2025-05-15T11:00:00.000000+00:00"


class Case(NamedTuple):
    """An operation (`read`, `write` or `update`) on the tree `there`."""

    name: str
    allowed: bool
    who: dict[str, Any] | None
    operation: str
    path: str
    value: Any = None
    there: Any = None


def performance(timestamp: Any = AT_TEN, **fields: Any) -> dict[str, Any]:
    amounts = {"total": 28.76, "unrealized": 28, "realized": -0.5, "converted": 0}
    return amounts | {"timestamp": timestamp} | fields


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in performance().items() if name != field}


def tree(found: Any) -> dict[str, Any]:
    """A database with `found` in the place of SOFI's performance."""
    return {"services": {"SOFI": {"price": 1.5, "performance": found}}}


SOFI = "services/SOFI/performance"
PRICE = {
    "price": 2.5,
    "volume": 10,
    "timestamp": "2025-05-15T13:32:56",
    "last_updated": AT_TEN,
}
ORDER = {"event": "fill", "timestamp": AT_TEN, "order": {"id": 4711, "legs": [1, 2]}, "price": 1}
HEALTH_CHECK = "profit-bridge/doctor/4f1d"

_WHO = [
    Case("a user reads", True, USER, "read", SOFI, there=tree(performance())),
    Case("a user reads all", True, USER, "read", "services", there=tree(performance())),
    Case("the bridge reads all", True, BRIDGE, "read", "services"),
    Case("nobody reads", False, NOBODY, "read", SOFI, there=tree(performance())),
    Case("a user reads the top", False, USER, "read", "/"),
    Case("a user reads elsewhere", False, USER, "read", "accounts"),
    Case("the bridge reads elsewhere", False, BRIDGE, "read", "accounts"),
    Case("a user reads a health check", False, USER, "read", HEALTH_CHECK),
    Case("the bridge writes", True, BRIDGE, "write", SOFI, performance()),
    Case("the bridge writes the account", True, BRIDGE, "write",
         "services/aggregate/performance", performance()),
    Case("the bridge writes an escaped symbol", True, BRIDGE, "write",
         "services/BRK!2EB/performance", performance()),
    Case("the bridge writes a symbol of digits", True, BRIDGE, "write",
         "services/0700/performance", performance()),
    Case("a user writes", False, USER, "write", SOFI, performance()),
    Case("a user writes a price", False, USER, "write", "services/SOFI/price", 1),
    Case("a user removes", False, USER, "write", SOFI, None, tree(performance())),
    Case("nobody writes", False, NOBODY, "write", SOFI, performance()),
    Case("the bridge writes elsewhere", False, BRIDGE, "write", "accounts/a", 1),
    Case("the bridge writes over all symbols", False, BRIDGE, "write", "services",
         {"SOFI": {"performance": performance()}}),
    Case("the bridge removes all symbols", False, BRIDGE, "write", "services", None,
         tree(performance())),
]  # fmt: skip

_PERFORMANCE = [
    Case("newer over older", True, BRIDGE, "write", SOFI, performance(AT_ELEVEN),
         tree(performance())),
    Case("as old as what is there", True, BRIDGE, "write", SOFI, performance(total=1),
         tree(performance())),
    Case("older over newer", False, BRIDGE, "write", SOFI, performance(),
         tree(performance(AT_ELEVEN))),
    Case("older over newer, field by field", False, BRIDGE, "write", f"{SOFI}/timestamp", AT_TEN,
         tree(performance(AT_ELEVEN))),
    Case("an amount of what is there", True, BRIDGE, "write", f"{SOFI}/total", 3,
         tree(performance())),
    Case("far in the future stays", False, BRIDGE, "write", SOFI, performance(AT_ELEVEN),
         tree(performance("2999-01-01T00:00:00.000000+00:00"))),
    Case("far in the future is removed", True, BRIDGE, "write", SOFI, None,
         tree(performance("2999-01-01T00:00:00.000000+00:00"))),
    Case("over a scalar", True, BRIDGE, "write", SOFI, performance(), tree("nonsense")),
    Case("over a torn one", True, BRIDGE, "write", SOFI, performance(), tree({"total": -1})),
    Case("over a timestamp of words", True, BRIDGE, "write", SOFI, performance(),
         tree(performance("tomorrow"))),
    Case("over a timestamp of another form", True, BRIDGE, "write", SOFI, performance(),
         tree(performance("2999-01-01T00:00:00Z"))),
    Case("over a timestamp of digits", True, BRIDGE, "write", SOFI, performance(),
         tree(performance(99999999999999))),
    Case("over a timestamp that is an object", True, BRIDGE, "write", SOFI, performance(),
         tree(performance({"a": 1}))),
    Case("a sixth field", False, BRIDGE, "write", SOFI, performance(note="x")),
    Case("an object for an amount", False, BRIDGE, "write", SOFI, performance(total={"a": 1})),
    Case("a scalar", False, BRIDGE, "write", SOFI, 3),
    Case("a field removed from what is there", False, BRIDGE, "write", f"{SOFI}/total", None,
         tree(performance())),
    *(Case(f"without {field}", False, BRIDGE, "write", SOFI, without(field))
      for field in performance()),
    *(Case(f"{field} as text", False, BRIDGE, "write", SOFI, performance(**{field: "1"}))
      for field in performance()),
    *(Case(f"timestamp {text!r}", False, BRIDGE, "write", SOFI, performance(text))
      for text in ("2025-05-15T10:00:00+00:00", "2025-05-15T10:00:00.000000Z",
                   "2025-05-15T10:00:00.000000+02:00", f" {AT_TEN}", f"{AT_TEN}\n", 20250515)),
]  # fmt: skip

_OTHERS = [
    Case("a price", True, BRIDGE, "update", "services/SOFI", PRICE, tree(performance())),
    Case("a price of text", True, BRIDGE, "update", "services/SOFI", PRICE | {"price": "2.5"}),
    Case("a price of nonsense", False, BRIDGE, "update", "services/SOFI", PRICE | {"price": True}),
    Case("a volume of nonsense", False, BRIDGE, "write", "services/SOFI/volume", {"a": 1}),
    Case("a time of a price that is none", False, BRIDGE, "write", "services/SOFI/timestamp", True),
    Case("a time of a price in seconds", True, BRIDGE, "write", "services/SOFI/timestamp", 3.5),
    Case("last_updated of another form", False, BRIDGE, "write", "services/SOFI/last_updated",
         "2025-05-15"),
    Case("an order", True, BRIDGE, "write", "services/SOFI/orders/a!2Fb", ORDER),
    Case("an order without the broker's fields", False, BRIDGE, "write", "services/SOFI/orders/1",
         {"qty": 1}),
    Case("an order that is a number", False, BRIDGE, "write", "services/SOFI/orders/1", 1),
    Case("orders that are a number", False, BRIDGE, "write", "services/SOFI/orders", 1),
    Case("the next kind of data", True, BRIDGE, "write", "services/SOFI/fills/1", {"any": ["x"]}),
    Case("a value of the next kind", True, BRIDGE, "write", "services/SOFI/halted", True),
    Case("a user writes the next kind", False, USER, "write", "services/SOFI/fills/1", 1),
    Case("a symbol that is a number", False, BRIDGE, "write", "services/SOFI", 3),
    Case("the last of a symbol is removed", True, BRIDGE, "write", SOFI, None,
         {"services": {"SOFI": {"performance": performance()}}}),
    Case("a symbol is removed", True, BRIDGE, "write", "services/SOFI", None, tree(performance())),
]  # fmt: skip

_SEVERAL = [
    Case("many paths", True, BRIDGE, "update", "services",
         {"SOFI/performance": performance(AT_ELEVEN), "BRK!2EB/performance": performance(),
          "SOFI/price": 2, "HOOD/orders/1": ORDER, "aggregate/performance": performance()},
         tree(performance())),
    Case("many paths, one of them older", False, BRIDGE, "update", "services",
         {"SOFI/performance": performance(), "HOOD/performance": performance()},
         tree(performance(AT_ELEVEN))),
    Case("many paths, one of them torn", False, BRIDGE, "update", "services",
         {"SOFI/performance": without("total"), "HOOD/performance": performance()}),
    Case("many paths, one of them elsewhere", False, BRIDGE, "update", "/",
         {"services/SOFI/performance": performance(), "accounts/a": 1}),
    Case("many paths, one of them removed", True, BRIDGE, "update", "services",
         {"SOFI/performance": None, "HOOD/performance": performance()}, tree(performance())),
    Case("many paths by a user", False, USER, "update", "services",
         {"SOFI/price": 1, "HOOD/price": 1}),
    Case("fields of one performance", True, BRIDGE, "update", SOFI,
         {"total": 1, "timestamp": AT_ELEVEN}, tree(performance())),
]  # fmt: skip

_HEALTH_CHECKS = [
    Case("a health check", True, BRIDGE, "write", HEALTH_CHECK, {"written": AT_TEN}),
    Case("a health check is read", True, BRIDGE, "read", HEALTH_CHECK),
    Case("a health check is removed", True, BRIDGE, "write", HEALTH_CHECK, None,
         {"profit-bridge": {"doctor": {"4f1d": {"written": AT_TEN}}}}),
    Case("a health check of a user", False, USER, "write", HEALTH_CHECK, {"written": AT_TEN}),
    Case("a health check of something else", False, BRIDGE, "write", HEALTH_CHECK, {"data": "x"}),
    Case("a health check with something else", False, BRIDGE, "write", HEALTH_CHECK,
         {"written": AT_TEN, "data": "x"}),
]  # fmt: skip

CASES = [*_WHO, *_PERFORMANCE, *_OTHERS, *_SEVERAL, *_HEALTH_CHECKS]

# Expressions, judged as the rule of a write of {"b": {"c": 1}} at "/$a/$b", which is "/x/y".
TREE_BEFORE = {"x": {"y": {"c": 0, "name": "Ab", "on": True}}, "z": 3}
EXPRESSIONS = {
    "true": True,
    "false": False,
    "!false": True,
    "!(true && false)": True,
    "true || false && false": True,
    "(true || false) && false": False,
    "1 < 2 == true": True,
    "1 == 1.0": True,
    "'1' == 1": False,
    "true == 1": False,
    "null == data.child('nothing').val()": True,
    "data.val() == null": False,
    "'B' < 'a'": True,
    "2 >= 2 && 2 <= 2 && !(2 > 2)": True,
    "data.child('c').val() < newData.child('b/c').val()": True,
    "data.child('c').val() < data.child('name').val()": False,
    "data.child('name').val() > data.child('nothing').val()": False,
    "data.child('on').val() == true": True,
    "data.child('name').val() > 1 || true": False,
    "$a == 'x' && $b === 'y'": True,
    "$b.length == 1": True,
    "auth.uid == 'a-trader'": True,
    "auth.token.admin == true": False,
    "auth.nothing == null": True,
    "now > 0": True,
    "data.exists() && !data.child('a').exists()": True,
    "root.child('z').val() == 3": True,
    "root.child($a).child($b).child('c').isNumber()": True,
    "newData.parent().parent().child('z').isNumber()": True,
    "data.parent().parent().parent().exists()": False,
    "newData.hasChildren()": True,
    "newData.hasChildren(['b', 'b/c'])": True,
    "newData.hasChildren(['b', 'd'])": False,
    "newData.hasChild('b/c')": True,
    "newData.hasChild('c')": False,
    "data.child('on').isBoolean() && !data.child('c').isBoolean()": True,
    "data.child('name').isString() && !data.isString()": True,
    "data.child('name').val().length == 2": True,
    "data.child('name').val().matches(/^ab$/i)": True,
    "data.child('name').val().matches(/^[A-Z]$/)": False,
    "data.child('name').val().matches(/b/)": True,
    "data.child('c').val().matches(/0/)": False,
    "data.child('c').val().matches(/0/) || true": False,
    'data.child("it\'s").exists()': False,
    "data.val().contains('a')": False,
    "data.child('name').val().contains('b')": True,
    "'ab'.beginsWith('a') && 'ab'.endsWith('b')": True,
    "'a.b.c'.replace('.', '!2E') == 'a!2Eb!2Ec'": True,
    "'aB'.toLowerCase() + 'aB'.toUpperCase() == 'abAB'": True,
    "'ab'.contains(data.child('c').val())": False,
    "data.child('c').val() + 1 == 3 && -1 < 2": False,
    "2 + 3 * 4 == 14 && (2 + 3) * 4 == 20 && 7 % 4 == 3 && 1 / 2 == 0.5": True,
    "'n' + 1 + 2.5 == 'n12.5' && 1 / 0 + '' == 'NaN' && 2 / 2 + '' == '1'": True,
    "1 / 0 > 2 || 1 / 0 <= 2": False,
    "auth.uid - 1 == 0 || true": False,
    "auth == null ? false : true": True,
    "data.exists() ? 1 > 2 : 1 < 2": False,
    "(auth != null ? data : newData).exists()": True,
    "auth['uid'] == 'a-trader' && auth[$a + 'y'] == null": True,
    "data['exists']() && auth.uid['contains']('trader')": True,
    "data.hasChildren([$a, 'c']) || data.hasChildren(['c'])": True,
    "data.getPriority() == null": True,
}

REFUSED = {
    "": "'the end' is not expected here",
    "auth !=": "'the end' is not expected here",
    "(true": "'the end' is not expected here",
    "true)": "')' is not expected here",
    "auth ! null": "'!' is not expected here",
    "'open": '"\'open" is no expression here',
    "auth.uid = 'a'": "\"= 'a'\" is no expression here",
    "true; true": "'; true' is no expression here",
    "[1]": "'[' is not expected here",
    "7": "A rule must be boolean.",
    "'text'": "A rule must be boolean.",
    "data": "A rule must be boolean.",
    "data.val()": "A rule must be boolean.",
    "auth.uid == 'a' ? 7 : true": "A rule must be boolean.",
    "auth ? true : false": "The condition of ? must be boolean.",
    "!auth.uid": "The operand of ! must be boolean.",
    "-'a' == 1": "The operand of - must be a number.",
    "auth.uid && true": "Left operand of && must be boolean.",
    "true || data.val()": "Right operand of || must be boolean.",
    "nothing == 1": "Unknown variable 'nothing'.",
    "$other == 'x'": "Unknown variable '$other'.",
    "root.val() > true": "Invalid > expression: right operand is not a number, string.",
    "true <= data.val()": "Invalid <= expression: left operand is not a number, string.",
    "'a' < 1": "Invalid < expression: a number and a string cannot be compared.",
    "data != null": "Invalid != expression: left operand is not a boolean, number, string, null.",
    "1 === root.child('a')": (
        "Invalid === expression: right operand is not a boolean, number, string, null."
    ),
    "newData + 1 > 0": "Invalid + expression: left operand is not a number, string.",
    "1 + true == 2": "Invalid + expression: right operand is not a number, string.",
    "'1' - 1 == 0": "Invalid - expression: left operand is not a number.",
    "2 * 'a' == 2": "Invalid * expression: right operand is not a number.",
    "2 ** 2 == 4": "'*' is not expected here",
    "data.child('a'": "'the end' is not expected here",
    "data.child()": "child() expects 1 argument.",
    "data.child(5).exists()": "child() expects a string argument.",
    "data.val().beginsWith('a', 'b')": "beginsWith() expects 1 argument.",
    "data.val().contains(null)": "contains() expects a string argument.",
    "'a'.replace('b', 5) == 'a'": "Argument 2 of replace() must be a string.",
    "'a'.replace(/b/, 'c') == 'a'": "'/' is not expected here",
    "data.hasChildren('a')": "hasChildren() expects 0 arguments.",
    "data.hasChildren(['a', 1])": "hasChildren() expects an array of strings.",
    "data.value == 1": "No such method/property 'value'.",
    "data.numChildren() < 3": "No such method/property 'numChildren'.",
    "data.val().child('a') == 1": "No such method/property 'child'.",
    "data.val().nothing == 1": "No such method/property 'nothing'.",
    "auth.uid.nothing() == 1": "No such method/property 'nothing'.",
    "now.contains('1')": "No such method/property 'contains'.",
    "data['a'].exists()": "No such method/property 'a'.",
    "data['exi' + 'sts']()": "Invalid property access.",
    "data[$a]()": "Invalid property access.",
    "data.val().matches('a')": "matches() expects a regular expression literal argument.",
    "data.val().matches(/a/g)": "regular expressions do not support flags other than i",
    "data.val().matches(/(/)": "/(/ is not a regular expression: ",
    "data.val().matches(/a|^b/)": "uses what Firebase's regular expressions do not have",
    "data.val().matches(/a$|b/)": "uses what Firebase's regular expressions do not have",
}
"""What Firebase refuses to deploy, and how it is told here."""

UNSUPPORTED = {
    "data.exists('a')": "exists() expects 0 arguments.",
    "data.val().matches(/a(?=b)/)": "uses what Firebase's regular expressions do not have",
    "data.val().matches(/(?:a)/)": "uses what Firebase's regular expressions do not have",
    "data.val().matches(/a+?/)": "uses what Firebase's regular expressions do not have",
    "query.limitToFirst <= 100": "'query' is valid on Firebase, but not supported here",
    "(auth != null ? data : 'x') == 'x'": (
        "a snapshot on one side of : and a value on the other is not supported"
    ),
    r"data.val().matches(/(a)\1/)": "uses what Firebase's regular expressions do not have",
    "'a\\n' == $a": "is no expression here",
}
"""What the local server refuses although targaryen, and perhaps Firebase, takes it."""
