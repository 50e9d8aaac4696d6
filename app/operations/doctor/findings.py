"""What a check finds, and how checks are carried out one after the other."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import NamedTuple

from redis import Redis, RedisError
from redis.exceptions import NoPermissionError

from app.errors import SEE_DOCTOR, ProfitBridgeError
from app.messaging import connect, fix_for
from app.settings import Settings, masked

OK, WARN, FAIL, SKIPPED = "ok", "warn", "FAIL", "skipped"

_NOT_NEEDED = "look again later"


class Finding(NamedTuple):
    """What was found, and what to do about it; each one line."""

    status: str
    """OK, WARN: it works, but something should be seen to. FAIL: it does not. SKIPPED."""
    found: str
    fix: str = ""


@dataclass
class Deployment:
    """What is looked at.

    Args:
        settings: say where it is.
        now: the clock of this machine, in seconds since 1970.
    """

    settings: Settings
    now: Callable[[], float] = field(default=time.time)

    @cached_property
    def redis(self) -> Redis:
        """The Redis of the reports."""
        return connect(self.settings.redis_url)

    @cached_property
    def broker(self) -> Redis:
        """The Redis of the tasks."""
        return connect(self.settings.celery_broker_url)

    def close(self) -> None:
        """Give the connections back."""
        self.redis.close()
        self.broker.close()


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Args:
        name: for people.
        look: finds out. An error that it raises is a failure; of Redis, with its own fix.
        fix: of an error.
        needs: checks without which this one would only repeat their failure.
        within: seconds it may take.
    """

    name: str
    look: Callable[[Deployment], Finding]
    fix: str = _NOT_NEEDED
    needs: tuple[str, ...] = ()
    within: float = 5.0


def examine(checks: Iterable[Check], deployment: Deployment) -> Iterator[tuple[str, Finding]]:
    """Carry out the checks in order, each with its name."""
    done: dict[str, Finding] = {}
    for check in checks:
        missing = [name for name in check.needs if done[name].status in {FAIL, SKIPPED}]
        if missing:
            done[check.name] = Finding(SKIPPED, f"it needs: {', '.join(missing)}")
        else:
            done[check.name] = _within_its_time(check, deployment)
        yield check.name, done[check.name]


def _within_its_time(check: Check, deployment: Deployment) -> Finding:
    """What the check finds; a failure if it does not come back."""
    box: SimpleQueue[Finding] = SimpleQueue()
    # As a daemon: one that hangs must not keep the program from ending.
    threading.Thread(target=lambda: box.put(_looked(check, deployment)), daemon=True).start()
    try:
        return box.get(timeout=check.within)
    except Empty:
        return Finding(FAIL, f"no answer within {check.within:.0f} s", check.fix)


def _looked(check: Check, deployment: Deployment) -> Finding:
    try:
        return check.look(deployment)
    except NoPermissionError as error:
        return _not_told(error)
    except RedisError as error:
        return Finding(FAIL, one_line(error), fix_for(error))
    except ProfitBridgeError as error:
        if isinstance(error.__context__, NoPermissionError):
            return _not_told(error.__context__)
        return Finding(FAIL, one_line(error).removesuffix(SEE_DOCTOR), check.fix)
    except Exception as error:
        # Whatever it is, the other checks are to be made.
        return Finding(FAIL, f"{type(error).__name__}: {one_line(error)}", check.fix)


def _not_told(error: NoPermissionError) -> Finding:
    return Finding(WARN, f"Redis does not tell this user: {error}", "look as another user")


def one_line(error: Exception) -> str:
    """What an error says, without secrets."""
    return masked(" ".join(str(error).split()))
