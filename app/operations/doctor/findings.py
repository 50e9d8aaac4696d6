"""What a check finds, and how checks run one after the other."""

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
from app.settings import Settings
from app.urls import masked

OK, WARN, FAIL, SKIPPED = "ok", "warn", "FAIL", "skipped"


class Finding(NamedTuple):
    """What a check found, and what to do about it; one line each."""

    status: str
    """OK; WARN: it works, but needs attention; FAIL: it does not work; SKIPPED."""
    found: str
    fix: str = ""


@dataclass
class Deployment:
    """The deployment to check.

    Args:
        settings: Its settings.
        now: This machine's clock, in seconds since 1970.
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
        self.redis.close()
        self.broker.close()


@dataclass(frozen=True)
class Check:
    """One check of a deployment.

    Args:
        name: Its name on the screen.
        run: Makes the check. An error that it raises is a failure.
        fix: The fix of such an error; those of Redis have fixes of their own.
        needs: The checks without which this one could only repeat their failure.
        timeout: Seconds after which it has failed.
    """

    name: str
    run: Callable[[Deployment], Finding]
    fix: str = "run doctor again"
    needs: tuple[str, ...] = ()
    timeout: float = 5.0


def examine(checks: Iterable[Check], deployment: Deployment) -> Iterator[tuple[str, Finding]]:
    """Run the checks in order; yield the name and the finding of each."""
    findings: dict[str, Finding] = {}
    for check in checks:
        missing = [name for name in check.needs if findings[name].status in {FAIL, SKIPPED}]
        if missing:
            findings[check.name] = Finding(SKIPPED, f"needs: {', '.join(missing)}")
        else:
            findings[check.name] = _run_with_timeout(check, deployment)
        yield check.name, findings[check.name]


def _run_with_timeout(check: Check, deployment: Deployment) -> Finding:
    result: SimpleQueue[Finding] = SimpleQueue()
    # A daemon, so that a check that hangs does not keep the program from ending.
    threading.Thread(target=lambda: result.put(_run(check, deployment)), daemon=True).start()
    try:
        return result.get(timeout=check.timeout)
    except Empty:
        return Finding(FAIL, f"no answer within {check.timeout:.0f} s", check.fix)


def _run(check: Check, deployment: Deployment) -> Finding:
    try:
        return check.run(deployment)
    except RedisError as error:
        return _redis_failure(error)
    except ProfitBridgeError as error:
        if isinstance(error.__context__, NoPermissionError):
            return _redis_failure(error.__context__)
        return Finding(FAIL, one_line(error).removesuffix(SEE_DOCTOR), check.fix)
    except Exception as error:
        # Whatever is wrong with this check, the others must run.
        return Finding(FAIL, f"{type(error).__name__}: {one_line(error)}", check.fix)


def _redis_failure(error: RedisError) -> Finding:
    if isinstance(error, NoPermissionError):
        return Finding(
            WARN, f"this Redis user may not check it: {error}", "run doctor as another Redis user"
        )
    return Finding(FAIL, one_line(error), fix_for(error))


def one_line(error: Exception) -> str:
    """Return the text of an error, without passwords."""
    return masked(" ".join(str(error).split()))
