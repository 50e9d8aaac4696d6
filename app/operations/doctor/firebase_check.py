"""Firebase: does it accept, show and delete a value, as it must for the workers."""

import time

from app.errors import Misconfigured, ProfitBridgeError, RetryLater, StopProgram
from app.firebase import HEALTH_CHECK_PATH, DatabaseNotFound, FirebaseClient
from app.operations.doctor.findings import FAIL, OK, SKIPPED, Deployment, Finding, one_line
from app.settings import Settings, masked


def firebase(deployment: Deployment) -> Finding:
    """Check that the database accepts a value with these credentials, under its rules."""
    settings = deployment.settings
    if not (settings.firebase_database_url or settings.firebase_database_emulator_host):
        return Finding(
            SKIPPED,
            "FIREBASE_DATABASE_URL is not set here",
            "only workers need it: run doctor where they run",
        )
    began = time.monotonic()
    try:
        client = FirebaseClient(settings)
    except StopProgram as error:
        fix = "download the key again: Firebase console, Project settings, Service accounts"
        return Finding(FAIL, str(error), fix)
    try:
        is_healthy = client.health_check()
    except (RetryLater, Misconfigured) as error:
        return Finding(FAIL, one_line(error), _fix_for(error, settings))
    finally:
        client.close()
    url = masked(settings.database_url)
    if not is_healthy:
        fix = "check that the URL is that of a Realtime Database"
        return Finding(FAIL, f"{url} does not return the value that was written", fix)
    took = time.monotonic() - began
    return Finding(OK, f"{url}: wrote, read and deleted a value in {1000 * took:.0f} ms")


def _fix_for(error: ProfitBridgeError, settings: Settings) -> str:
    variable = "FIREBASE_DATABASE_URL"
    if settings.firebase_database_emulator_host:
        variable = "FIREBASE_DATABASE_EMULATOR_HOST"
    if isinstance(error, RetryLater):
        return f"if this persists, correct {variable}, or let this machine reach that address"
    if isinstance(error, DatabaseNotFound):
        return f"correct {variable}"
    return (
        "give the service account the right to write, and the database "
        f"a rule that allows writing to {HEALTH_CHECK_PATH}"
    )
