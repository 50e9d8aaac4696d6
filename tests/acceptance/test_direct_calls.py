"""A task called directly, with only the settings given."""

from collections.abc import Iterator

import pytest

from app.delivery import LatestValueRegister
from app.dev.processes import free_port
from app.domain import PERFORMANCE, Update
from app.settings import load_settings
from tests.system import System, report


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("system"))
    try:
        yield system
    finally:
        system.close()


@pytest.fixture
def system(shared: System) -> System:
    """An empty Redis and an empty Firebase; no bridge and no worker."""
    shared.redis.flushall()
    shared.firebase.put("services", None)
    return shared


CALL = """
from tasks import store_performance, store_ticker_data
data = {data}
print({call})
"""


def call(system: System, expression: str, **environment: str) -> tuple[str, str]:
    program = CALL.format(data=report("SOFI", 28.76), call=expression)
    done = system.run("-c", program, **environment)
    return done.stdout.strip(), done.stderr.strip()


def test_a_direct_call_writes_and_says_so(system: System) -> None:
    printed, errors = call(system, 'store_performance("SOFI", data)')
    assert (printed, errors) == ("stored services/SOFI/performance", "")
    stored = system.firebase.get("services/SOFI/performance")
    assert set(stored) == {"total", "unrealized", "realized", "converted", "timestamp"}
    assert stored["total"] == 28.76


def test_an_eager_call_writes_too(system: System) -> None:
    call(system, 'store_performance.apply(("brk.b", data)).get()')
    assert system.firebase.get("services/BRK!2EB/performance/total") == 28.76


def test_the_general_form_takes_any_key(system: System) -> None:
    printed, _ = call(system, 'store_ticker_data("SOFI", "orders/7.1", {"event": "fill"})')
    assert printed == "stored services/SOFI/orders/7!2E1"
    assert system.firebase.get("services/SOFI") == {"orders": {"7!2E1": {"event": "fill"}}}


def test_a_performance_has_its_five_fields_in_the_general_form_too(system: System) -> None:
    call(system, 'store_ticker_data("SOFI", "performance", {**data, "note": "mine"})')
    stored = system.firebase.get("services/SOFI/performance")
    assert set(stored) == {"total", "unrealized", "realized", "converted", "timestamp"}
    _, errors = call(system, 'store_ticker_data("SOFI", "performance", {"total": 1})')
    assert "unrealized is missing: add it" in errors.splitlines()[-1]
    assert system.firebase.get("services/SOFI/performance") == stored


def test_an_older_value_does_not_replace_a_newer_one(system: System) -> None:
    older = '{**data, "total": 1, "timestamp": "2025-05-15T13:32:56+00:00"}'
    call(system, 'store_performance("SOFI", data)')
    printed, _ = call(system, f'store_performance("SOFI", {older})')
    assert "or a newer one, is stored already" in printed
    assert system.firebase.get("services/SOFI/performance/total") == 28.76


def test_the_last_call_wins_of_any_number_with_the_same_timestamp(system: System) -> None:
    calls = '[store_performance("SOFI", {**data, "total": n}) for n in range(1, 5)]'
    printed, _ = call(system, calls)
    assert printed.count("stored services/SOFI/performance") == 4
    assert system.firebase.get("services/SOFI/performance/total") == 4


def test_a_call_writes_also_what_is_stored_already_so_a_node_that_was_removed_is_back(
    system: System,
) -> None:
    call(system, 'store_performance("SOFI", data)')
    stored = system.firebase.get("services/SOFI/performance")
    system.firebase.put("services/SOFI", None)
    call(system, f'store_performance("SOFI", {stored})')
    assert system.firebase.get("services/SOFI/performance") == stored


def test_a_value_of_the_far_future_gives_way_to_the_next_of_the_bridge(system: System) -> None:
    future = '{**data, "timestamp": "9999-12-31T23:59:59+00:00"}'
    call(system, f'store_performance("SOFI", {future})')
    printed, _ = call(system, 'store_performance("SOFI", data)')
    assert "or a newer one, is stored already" in printed
    # As a bridge does: a value that it announced.
    update = Update("SOFI", PERFORMANCE, report("SOFI", 30))
    (candidate,) = LatestValueRegister(load_settings(system.environment)).announce([update])
    call(
        system, f'store_performance("SOFI", {{**data, "total": 30}}, revision={candidate.revision})'
    )
    assert system.firebase.get("services/SOFI/performance/total") == 30


@pytest.mark.parametrize("how", ["store_performance", "store_performance.apply"])
def test_an_unreachable_firebase_is_one_clear_error(system: System, how: str) -> None:
    arguments = '("SOFI", data)' if how.endswith("apply") else '"SOFI", data'
    host = f"127.0.0.1:{free_port()}"
    expression = f"{how}({arguments})" + (".get()" if how.endswith("apply") else "")
    printed, errors = call(system, expression, FIREBASE_DATABASE_EMULATOR_HOST=host)
    assert printed == ""
    last = errors.splitlines()[-1]
    assert f"cannot write to Firebase at http://{host}" in last


def test_an_unreachable_redis_is_one_clear_error(system: System) -> None:
    url = f"redis://:hush@127.0.0.1:{free_port()}/0"
    _, errors = call(system, 'store_performance("SOFI", data)', REDIS_URL=url)
    assert "cannot use Redis at redis://:***@127.0.0.1" in errors.splitlines()[-1]
    assert "hush" not in errors


def test_what_is_no_performance_says_which_field_is_missing(system: System) -> None:
    _, errors = call(system, 'store_performance("SOFI", {"total": 1})')
    assert "unrealized is missing: add it" in errors.splitlines()[-1]


REFUSED = """
from app.errors import GiveUp
from tasks import store_in_bulk, store_performance, store_ticker_data
calls = (
    [(store_ticker_data, ("SOFI", key, {"x": 1}), {}) for key in ("", "/", "orders", "orders/")]
    + [(store_ticker_data, ("SOFI", "performance/total", 1), {})]
    + [(store_ticker_data, (None, "news", 1), {}), (store_performance, (["SOFI"], {}), {})]
    + [(store_performance, ("SOFI", value), {}) for value in (None, 5, "x", [])]
    + [(store_ticker_data, ("SOFI", "news", {"x": float("nan")}), {})]
    + [(store_ticker_data, ("SOFI", "news", 1), {"revision": r}) for r in ("1", 1.5, True, -1, 0)]
    + [(store_in_bulk, (slots,), {}) for slots in ([["SOFI", ""]], [["SOFI"]], [7], 5)]
)
for number, (task, arguments, options) in enumerate(calls):
    try:
        if number % 2:
            task.apply(arguments, options).get()
        else:
            task(*arguments, **options)
        print(arguments, options, "was not refused")
    except GiveUp as error:
        assert str(error).startswith(task.name), error
        assert "\\n" not in str(error), error
print("done")
"""


def test_wrong_arguments_are_refused_before_redis_or_firebase_is_asked(system: System) -> None:
    nowhere = {
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "FIREBASE_DATABASE_EMULATOR_HOST": f"127.0.0.1:{free_port()}",
    }
    done = system.run("-c", REFUSED, **nowhere)
    assert (done.stdout, done.stderr) == ("done\n", "")
