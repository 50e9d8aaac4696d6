"""The expressions in database rules: compiled once, evaluated for every request. Pure: no I/O.

This is Firebase's language without `query`. Kinds of operands are checked when rules are loaded, as
Firebase checks them when rules are deployed, and its words are used where they are known. What is
valid there and not supported here is refused too, and named, so that no rule means less here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from app.dev.rtdb.rules.values import (
    BOOLEAN,
    CLAIM,
    METHODS,
    NULL,
    NUMBER,
    OPERATORS,
    SNAPSHOT,
    STRING,
    VALUE,
    Operator,
    UndefinedError,
    boolean,
    number,
    string,
)

Scope = Mapping[str, Any]
"""The values of the names that an expression may use."""


class RuleError(ValueError):
    """Rules that cannot be used; the text is one line that says why."""


class Expression(NamedTuple):
    """A compiled expression, and the kind of its value as far as it is known."""

    kind: str
    run: Callable[[Scope], Any]
    literal: str | None = None
    """The string, if it is one in quotes."""

    def is_a(self, *kinds: str) -> bool:
        """Return whether the value is, or may turn out to be, of one of these kinds."""
        return self.kind in kinds or (self.kind in (VALUE, CLAIM) and kinds != (SNAPSHOT,))


def compile_rule(text: str, names: Collection[str]) -> Callable[[Scope], bool]:
    """Compile a rule; it is false where an operation is not defined for its operands.

    Args:
        text: The expression.
        names: The names that it may use.

    Raises:
        RuleError: The expression is invalid or not supported.
    """
    expression = _Parser(text, names).parse()

    def rule(scope: Scope) -> bool:
        try:
            return expression.run(scope) is True
        except UndefinedError:
            return False

    return rule


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?)
    | (?P<string>'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*")
    | (?P<name>[A-Za-z_$]\w*)
    | (?P<sign>&&|\|\||[=!]==?|[<>]=?|[-+*/%!?:().,\[\]])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_REGEX = re.compile(r"\s*(/(?:[^/\\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/\w*)")
_CONSTANTS = {"true": (BOOLEAN, True), "false": (BOOLEAN, False), "null": (NULL, None)}
_KINDS = {"auth": CLAIM, "now": NUMBER, "root": SNAPSHOT, "data": SNAPSHOT, "newData": SNAPSHOT}
_LEVELS = (
    ("||",),
    ("&&",),
    ("==", "===", "!=", "!=="),
    ("<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "%"),
)


class _Parser:
    """A recursive descent parser; `_kind` and `_token` belong to the next token."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self._text = text
        self._names = names
        self._at = 0
        self._kind = self._token = ""
        self._next()

    def parse(self) -> Expression:
        expression = self._conditional()
        if self._kind != "end":
            raise self._unexpected()
        return _boolean(expression, "A rule")

    def _conditional(self) -> Expression:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        test = _boolean(condition, "The condition of ?").run
        yes = self._conditional()
        self._expect(":")
        no = self._conditional()
        kind = yes.kind if yes.kind == no.kind else VALUE
        if SNAPSHOT in (yes.kind, no.kind) and kind == VALUE:
            raise RuleError("a snapshot on one side of : and a value on the other is not supported")
        return Expression(kind, lambda its: (yes if boolean(test(its)) else no).run(its))

    def _binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._kind == "sign" and self._token in _LEVELS[level]:
            sign = self._next()
            left = _operation(sign, left, self._binary(level + 1))
        return left

    def _unary(self) -> Expression:
        if self._take("!"):
            negated = _boolean(self._unary(), "The operand of !").run
            return Expression(BOOLEAN, lambda its: not boolean(negated(its)))
        if self._take("-"):
            operand = self._unary()
            if not operand.is_a(NUMBER):
                raise RuleError("The operand of - must be a number.")
            return Expression(NUMBER, lambda its: -number(operand.run(its)))
        return self._members(self._primary())

    def _primary(self) -> Expression:
        if self._take("("):
            inner = self._conditional()
            self._expect(")")
            return inner
        if self._kind == "string":
            return _text(re.sub(r"\\(.)", r"\1", self._next()[1:-1]))
        if self._kind == "number":
            constant = float(self._next())
            return Expression(NUMBER, lambda _: constant)
        if self._kind != "name":
            raise self._unexpected()
        name = self._next()
        if name in _CONSTANTS:
            kind, value = _CONSTANTS[name]
            return Expression(kind, lambda _: value)
        if name == "query":
            raise RuleError("'query' is valid on Firebase, but not supported here")
        if name not in self._names:
            raise RuleError(f"Unknown variable '{name}'.")
        return Expression(_KINDS.get(name, STRING), lambda its: its[name])

    def _members(self, owner: Expression) -> Expression:
        while self._kind == "sign" and self._token in (".", "["):
            key = self._key()
            if self._take("("):
                owner = self._call(owner, key.literal)
            elif key.literal == "length" and owner.is_a(STRING):
                owner = _length(owner)
            elif owner.kind == CLAIM and key.is_a(STRING):
                owner = _claim(owner, key)
            else:
                raise _no_such(key.literal)
        return owner

    def _key(self) -> Expression:
        """Parse `.name` or `[expression]`."""
        if self._next() == "[":
            key = self._conditional()
            self._expect("]")
            return key
        if self._kind != "name":
            raise self._unexpected()
        return _text(self._next())

    def _call(self, owner: Expression, name: str | None) -> Expression:
        kind = SNAPSHOT if owner.kind == SNAPSHOT else STRING
        if name == "matches" and owner.is_a(STRING):
            return self._matches(owner)
        method = METHODS[kind].get(name or "")
        if method is None or not owner.is_a(kind):
            raise _no_such(name)
        if name == "hasChildren" and self._take("["):
            return self._has_children(owner)
        arguments = self._list(")")
        if len(arguments) != method.arguments:
            some = f"{method.arguments} argument{'' if method.arguments == 1 else 's'}"
            raise RuleError(f"{name}() expects {some}.")
        for place, argument in enumerate(arguments, 1):
            if not argument.is_a(STRING):
                which = f"Argument {place} of {name}() must be a string."
                one = f"{name}() expects a string argument."
                raise RuleError(one if method.arguments == 1 else which)

        def call(scope: Scope) -> Any:
            value = owner.run(scope)
            its = value if kind == SNAPSHOT else string(value)
            return method.run(its, *(string(argument.run(scope)) for argument in arguments))

        return Expression(method.kind, call)

    def _matches(self, owner: Expression) -> Expression:
        # The token after ( is a / that begins the pattern.
        found = _REGEX.match(self._text, self._at - 1)
        if found is None:
            raise RuleError("matches() expects a regular expression literal argument.")
        pattern = _pattern(found[1])
        self._at = found.end()
        self._next()
        self._expect(")")
        return Expression(BOOLEAN, lambda its: pattern.search(string(owner.run(its))) is not None)

    def _has_children(self, owner: Expression) -> Expression:
        keys = self._list("]")
        self._expect(")")
        if not all(key.is_a(STRING) for key in keys):
            raise RuleError("hasChildren() expects an array of strings.")
        return Expression(
            BOOLEAN,
            lambda its: owner.run(its).has_children([string(key.run(its)) for key in keys]),
        )

    def _list(self, end: str) -> Sequence[Expression]:
        """Parse expressions up to a closing bracket."""
        if self._take(end):
            return ()
        found = [self._conditional()]
        while self._take(","):
            found.append(self._conditional())
        self._expect(end)
        return found

    def _next(self) -> str:
        """Consume the next token, and return it."""
        passed, found = self._token, _TOKEN.match(self._text, self._at)
        if found is None:
            raise RuleError(f"{self._text[self._at :].strip()[:20]!r} is no expression here")
        self._kind = str(found.lastgroup)
        self._token, self._at = found[self._kind], found.end()
        return passed

    def _take(self, sign: str) -> bool:
        """Consume the next token if it is `sign`, and return whether it was."""
        is_next = self._kind == "sign" and self._token == sign
        if is_next:
            self._next()
        return is_next

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected()

    def _unexpected(self) -> RuleError:
        return RuleError(f"{self._token or 'the end'!r} is not expected here")


def _boolean(expression: Expression, what: str) -> Expression:
    if expression.kind != BOOLEAN:
        raise RuleError(f"{what} must be boolean.")
    return expression


def _operation(sign: str, left: Expression, right: Expression) -> Expression:
    if sign in ("||", "&&"):
        one = _boolean(left, f"Left operand of {sign}").run
        other = _boolean(right, f"Right operand of {sign}").run
        if sign == "||":
            return Expression(BOOLEAN, lambda its: boolean(one(its)) or boolean(other(its)))
        return Expression(BOOLEAN, lambda its: boolean(one(its)) and boolean(other(its)))
    meaning = OPERATORS[sign]
    for side, operand in (("left", left), ("right", right)):
        if not operand.is_a(*meaning.operands):
            expected = ", ".join(meaning.operands)
            raise RuleError(f"Invalid {sign} expression: {side} operand is not a {expected}.")
    kinds = {left.kind, right.kind}
    if sign[0] in "<>" and kinds == {NUMBER, STRING}:
        raise RuleError(f"Invalid {sign} expression: a number and a string cannot be compared.")
    kind = _kind_of_sum(kinds) if sign == "+" else meaning.kind
    return Expression(kind, _applied(meaning, left, right))


def _applied(meaning: Operator, left: Expression, right: Expression) -> Callable[[Scope], Any]:
    return lambda its: meaning.run(left.run(its), right.run(its))


def _kind_of_sum(kinds: Collection[str]) -> str:
    return STRING if STRING in kinds else NUMBER if kinds == {NUMBER} else VALUE


def _length(owner: Expression) -> Expression:
    return Expression(NUMBER, lambda its: len(string(owner.run(its))))


def _claim(owner: Expression, key: Expression) -> Expression:
    def claim(scope: Scope) -> Any:
        claims = owner.run(scope)
        return claims.get(string(key.run(scope))) if isinstance(claims, Mapping) else None

    return Expression(CLAIM, claim)


def _no_such(name: str | None) -> RuleError:
    return RuleError(
        "Invalid property access." if name is None else f"No such method/property '{name}'."
    )


def _text(text: str) -> Expression:
    return Expression(STRING, lambda _: text, text)


def _pattern(token: str) -> re.Pattern[str]:
    """Compile a regular expression, if it means the same to Firebase and to Python."""
    text, _, flags = token[1:].rpartition("/")
    if flags not in ("", "i"):
        raise RuleError("regular expressions do not support flags other than i")
    bare = re.sub(r"\\.|\[(?:[^\]\\]|\\.)*\]", "x", text)
    if re.search(r"\(\?|[*+?}][*+?{]|.\^|\$.", bare, re.DOTALL) or re.search(
        r"\\(?![sSwWdD])[A-Za-z0-9]", text
    ):
        raise RuleError(f"{token} uses what Firebase's regular expressions do not have")
    # Python's $ also matches before a newline at the end.
    text = re.sub(r"(?<!\\)\$\Z", r"\\Z", text)
    try:
        return re.compile(text, re.ASCII | (re.IGNORECASE if flags else 0))
    except re.error as error:
        raise RuleError(f"{token} is not a regular expression: {error}") from None
