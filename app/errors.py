"""Errors, named after what the caller does with them."""

from typing import Literal

RejectCode = Literal[
    "conflict",
    "oversized",
    "not_json",
    "wrong_form",
    "symbol",
    "sender",
    "timestamp",
    "amount",
    "other",
]
"""Why a message is rejected. These are label values of a metric: alerts and dashboards use them."""

SEE_DOCTOR = ": see python -m app doctor"
"""The end of a message whose fix depends on what else is wrong."""


class ProfitBridgeError(Exception):
    """Anything this program raises on purpose. Its text is one line that a person can act on."""


class RejectMessage(ProfitBridgeError):
    """The message cannot be counted: keep it with the reason, and go on with the next one.

    Args:
        code: The kind of reason; metrics are labelled with it.
        text: The reason, for people.
    """

    def __init__(self, code: RejectCode, text: str) -> None:
        super().__init__(code, text)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])


class RetryLater(ProfitBridgeError):
    """The other side cannot be reached or is overloaded: the same call may succeed later.

    Attributes:
        retry_after: In how many seconds, if that is known.
    """

    retry_after: float | None = None


class OutcomeUnknown(RetryLater):
    """The call got no answer: it may have taken effect, or still may."""


class GiveUp(ProfitBridgeError):
    """The same call will always fail: keep it where an operator finds it, do not try again."""


class Misconfigured(GiveUp):
    """Credentials or database rules refuse the call: only an operator can help."""


class Denied(Misconfigured):
    """The database rules do not allow the call; they may allow others."""


class Outdated(GiveUp):
    """The database has a newer value and refuses this one: nothing is lost."""


class StopProgram(ProfitBridgeError):
    """The program cannot do its work: print the text as one line and exit.

    Attributes:
        exit_code: 2 for wrong use, or a wrong or missing setting; 1 for anything else.
    """

    exit_code = 1


class WrongSetting(StopProgram):
    """A setting is wrong or missing; the text names the variable and the fix."""

    exit_code = 2


class WrongUse(StopProgram):
    """A command was given arguments that make no sense together."""

    exit_code = 2
