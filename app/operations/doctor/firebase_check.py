"""Firebase: does it take, show and give up a value, as it will those of the workers."""

import time
import uuid
from datetime import UTC, datetime

from firebase_admin import db
from firebase_admin.exceptions import NotFoundError

from app.errors import Misconfigured, ProfitBridgeError, RetryLater, StopProgram
from app.firebase import FIREBASE_ERRORS, FirebaseClient
from app.operations.doctor.findings import FAIL, OK, SKIPPED, Deployment, Finding, one_line
from app.settings import Settings, masked

PROBE = "profit-bridge/doctor"
"""Outside FIREBASE_ROOT, where no front end looks."""


class _HealthCheck(FirebaseClient):
    """Writes, reads and deletes a value of its own."""

    def probe(self) -> bool:
        """Whether what was written could be read.

        Raises:
            ProfitBridgeError: as `FirebaseClient.store_ticker_data`.
        """
        node = db.reference(f"{PROBE}/{uuid.uuid4().hex}", app=self._app)
        value = {"written": datetime.now(UTC).isoformat()}
        try:
            node.set(value)
            try:
                return bool(node.get() == value)
            finally:
                node.delete()
        except FIREBASE_ERRORS as error:
            raise self._translated(error) from None


def firebase(deployment: Deployment) -> Finding:
    """Whether the database takes a value with these credentials, under its rules."""
    settings = deployment.settings
    if not (settings.firebase_database_url or settings.firebase_database_emulator_host):
        return Finding(
            SKIPPED,
            "FIREBASE_DATABASE_URL is not set here",
            "only workers need it: run doctor where they run",
        )
    began = time.monotonic()
    try:
        prober = _HealthCheck(settings)
    except StopProgram as error:
        fix = "download the key again: Firebase console, Project settings, Service accounts"
        return Finding(FAIL, str(error), fix)
    try:
        same = prober.probe()
    except (RetryLater, Misconfigured) as error:
        return Finding(FAIL, one_line(error), _fix_for(error, settings))
    finally:
        prober.close()
    where = masked(settings.database_url)
    if not same:
        return Finding(FAIL, f"{where} does not show what was written", "see whose database it is")
    took = time.monotonic() - began
    return Finding(OK, f"{where}: written, read and deleted in {1000 * took:.0f} ms")


def _fix_for(error: ProfitBridgeError, settings: Settings) -> str:
    variable = "FIREBASE_DATABASE_URL"
    if settings.firebase_database_emulator_host:
        variable = "FIREBASE_DATABASE_EMULATOR_HOST"
    if isinstance(error, RetryLater):
        return f"if it goes on: correct {variable}, or let this machine reach it"
    if isinstance(error.__context__, NotFoundError):
        return f"correct {variable}"
    return f"give the service account the right to write, and {PROBE} a rule that allows it"
