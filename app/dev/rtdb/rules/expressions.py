"""The expressions in database rules: compiled once, evaluated for every request. Pure: no I/O.

They are a subset of Firebase's language: `auth` and its members, `now`, `root`, `data`, `newData`
and $variables; `!`, `&&`, `||` and comparisons; `length`, `matches` with a regular expression, and
the methods in values.py. Anything else is refused when rules are loaded, so that no rule means
less here than on Firebase. Types are checked when a rule is evaluated; Firebase refuses some type
errors when rules are deployed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from app.dev.rtdb.rules.values import (
    COMPARISONS,
    METHODS,
    METHODS_WITH_PATH,
    UndefinedError,
    boolean,
    snapshot,
    string,
)

Scope = Mapping[str, Any]
"""The values of the names that an expression may use."""

Expression = Callable[[Scope], Any]


class RuleError(ValueError):
    """Rules that cannot be used; the text is one line that says why."""


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
            return expression(scope) is True
        except UndefinedError:
            return False

    return rule


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?)
    | (?P<string>'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*")
    | (?P<regex>/(?:[^/\\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/i?)
    | (?P<name>[A-Za-z_$]\w*)
    | (?P<sign>&&|\|\||[=!]==?|[<>]=?|[!().,\[\]])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_LEVELS = (("||",), ("&&",), ("==", "===", "!=", "!=="), ("<", "<=", ">", ">="))


class _Parser:
    """A recursive descent parser; `_kind` and `_token` belong to the next token."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self._text = text
        self._names = names
        self._at = 0
        self._kind = self._token = ""
        self._next()

    def parse(self) -> Expression:
        expression = self._binary(0)
        if self._kind != "end":
            raise self._unexpected()
        return expression

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
            operand = self._unary()
            return lambda scope: not boolean(operand(scope))
        if self._take("("):
            inner = self._binary(0)
            self._expect(")")
            return self._members(inner, is_auth=False)
        if self._kind in ("number", "string"):
            constant = _literal(self._kind, self._next())
            return self._members(lambda _: constant, is_auth=False)
        if self._kind != "name":
            raise self._unexpected()
        name = self._next()
        if name in _CONSTANTS:
            return lambda _: _CONSTANTS[name]
        if name not in self._names:
            raise RuleError(f"{name!r} is not known here")
        return self._members(lambda scope: scope[name], is_auth=name == "auth")

    def _members(self, owner: Expression, *, is_auth: bool) -> Expression:
        while self._take("."):
            if self._kind != "name":
                raise self._unexpected()
            name = self._next()
            if self._take("("):
                owner, is_auth = self._call(owner, name), False
            elif name == "length":
                owner, is_auth = _length(owner), False
            elif is_auth:
                owner = _claim(owner, name)
            else:
                raise RuleError(f"{name!r} is not supported here")
        return owner

    def _call(self, owner: Expression, name: str) -> Expression:
        if name == "matches" and self._kind == "regex":
            pattern = _pattern(self._next())
            self._expect(")")
            return lambda scope: pattern.search(string(owner(scope))) is not None
        if name == "hasChildren" and self._take("["):
            keys = [self._constant_string()]
            while self._take(","):
                keys.append(self._constant_string())
            self._expect("]")
            self._expect(")")
            return lambda scope: snapshot(owner(scope)).has_children(keys)
        if name in METHODS:
            self._expect(")")
            method = METHODS[name]
            return lambda scope: method(snapshot(owner(scope)))
        if name in METHODS_WITH_PATH:
            path = self._binary(0)
            self._expect(")")
            with_path = METHODS_WITH_PATH[name]
            return lambda scope: with_path(snapshot(owner(scope)), string(path(scope)))
        raise RuleError(f"{name}(...) is not supported in this form")

    def _constant_string(self) -> str:
        if self._kind != "string":
            raise self._unexpected()
        return str(_literal("string", self._next()))

    def _next(self) -> str:
        """Consume the next token, and return it."""
        passed, found = self._token, _TOKEN.match(self._text, self._at)
        if found is None:
            raise RuleError(f"{self._text[self._at :].strip()[:20]!r} is not supported here")
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
        return RuleError(f"{self._token or 'the end'!r} is not supported here")


def _operation(sign: str, left: Expression, right: Expression) -> Expression:
    if sign == "||":
        return lambda scope: boolean(left(scope)) or boolean(right(scope))
    if sign == "&&":
        return lambda scope: boolean(left(scope)) and boolean(right(scope))
    compare = COMPARISONS[sign]
    return lambda scope: compare(left(scope), right(scope))


def _length(owner: Expression) -> Expression:
    return lambda scope: len(string(owner(scope)))


def _claim(owner: Expression, name: str) -> Expression:
    def claim(scope: Scope) -> Any:
        claims = owner(scope)
        return claims.get(name) if isinstance(claims, Mapping) else None

    return claim


def _literal(kind: str, token: str) -> str | int | float:
    if kind == "string":
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    return float(token) if "." in token else int(token)


def _pattern(token: str) -> re.Pattern[str]:
    """Compile a regular expression, if it means the same to Firebase and to Python."""
    text, _, flags = token[1:].rpartition("/")
    if re.search(r"\(\?|[*+?}][?+]|\\(?![sSwWdD])[A-Za-z0-9]", text):
        raise RuleError(f"{token} uses what Firebase's regular expressions do not have")
    # Python's $ also matches before a newline at the end.
    text = re.sub(r"(?<!\\)\$\Z", r"\\Z", text)
    try:
        return re.compile(text, re.ASCII | (re.IGNORECASE if flags else 0))
    except re.error as error:
        raise RuleError(f"{token} is not a regular expression: {error}") from None
