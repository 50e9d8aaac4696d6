"""What could not be counted or stored and waits for an operator: list, show, resend, clear."""

import functools
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import click

from app.cli.options import json_option
from app.cli.output import print_json, print_lines
from app.errors import RejectMessage, StopProgram, WrongUse


class DeadLetters(ABC):
    """The entries of one list, by ID."""

    entries: Mapping[Any, Any]

    @abstractmethod
    def as_json(self, entry_id: Any) -> dict[str, Any]: ...

    @abstractmethod
    def as_text(self, entry_id: Any) -> str: ...

    @abstractmethod
    def resend(self, entry_id: Any) -> "Result":
        """Send an entry again, and remove it from the list if that worked.

        Raises:
            RejectMessage: It cannot be sent as it is, and stays in the list.
        """

    @abstractmethod
    def clear(self, entry_id: Any) -> None: ...


class Result(NamedTuple):
    """What became of an entry."""

    done: bool
    message: str


class Request(NamedTuple):
    """What an operator asked for."""

    action: str
    ids: tuple[Any, ...]
    all_entries: bool
    as_json: bool


def takes_request(
    id_type: type, resend: str = "resend"
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command a `request`; refuse one that makes no sense.

    Args:
        id_type: The type of the IDs.
        resend: What this command calls `DeadLetters.resend`.
    """
    parameters = (
        click.argument(
            "action",
            type=click.Choice(("list", "show", resend, "clear")),
            default="list",
            metavar=f"[list|show|{resend}|clear]",
        ),
        click.argument("ids", type=id_type, nargs=-1, metavar="[ID]..."),
        click.option(
            "--all",
            "all_entries",
            is_flag=True,
            help=f"{resend.capitalize()} or clear every entry.",
        ),
        json_option,
    )

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def call(
            *args: Any, action: str, ids: Any, all_entries: bool, as_json: bool, **options: Any
        ) -> int:
            if action in {resend, "clear"} and bool(ids) == all_entries:
                raise WrongUse(f"{action}: give either IDs or --all")
            if action == "show" and (len(ids) != 1 or all_entries):
                raise WrongUse("show: give the ID of one entry")
            if action == "list" and (ids or all_entries):
                raise WrongUse("list takes no IDs: use show ID to print one entry")
            wanted = "resend" if action == resend else action
            request = Request(wanted, ids, all_entries, as_json)
            return function(*args, request=request, **options)

        for parameter in reversed(parameters):
            call = parameter(call)
        return call

    return decorate


def carry_out(request: Request, letters: DeadLetters) -> int:
    """Do what was asked for, and print the result.

    Returns:
        The exit code: 1 if part of it could not be done.

    Raises:
        StopProgram: The entry to show does not exist, or nothing can be done at all.
        RetryLater: Redis or Firebase cannot be reached; entries before that are done.
    """
    if request.action in {"resend", "clear"}:
        return _carry_out_each(request, letters)
    if request.action == "show":
        (entry_id,) = request.ids
        if entry_id not in letters.entries:
            raise StopProgram(f"there is no {entry_id} in the list: run list for the IDs")
        if request.as_json:
            print_json(letters.as_json(entry_id))
        else:
            print_lines(letters.as_text(entry_id))
    elif request.as_json:
        print_json([letters.as_json(entry_id) for entry_id in letters.entries])
    else:
        print_lines(*map(letters.as_text, letters.entries))
    return 0


def _carry_out_each(request: Request, letters: DeadLetters) -> int:
    results = []
    try:
        for entry_id in dict.fromkeys(letters.entries if request.all_entries else request.ids):
            result = _carry_out_one(request.action, letters, entry_id)
            results.append({"id": entry_id, **result._asdict()})
            if not request.as_json:
                stream = sys.stdout if result.done else sys.stderr
                print_lines(f"{entry_id}  {result.message}", to=stream)
    finally:
        if request.as_json:
            print_json(results)
    return 0 if all(result["done"] for result in results) else 1


def _carry_out_one(action: str, letters: DeadLetters, entry_id: Any) -> Result:
    if entry_id not in letters.entries:
        return Result(False, "not in the list")
    if action == "clear":
        letters.clear(entry_id)
        return Result(True, "cleared")
    try:
        return letters.resend(entry_id)
    except RejectMessage as error:
        return Result(False, str(error))
