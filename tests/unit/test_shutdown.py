"""A request to shut down is remembered, and seen while waiting."""

import os
import signal
import time

import pytest

from app.shutdown import ShutdownRequested, ShutdownSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_remembered_and_its_handler_put_back(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)  # the tests may run under nohup
    try:
        with ShutdownSignals() as signals:
            signals.check()
            os.kill(os.getpid(), number)
            assert signals.is_requested
            with pytest.raises(ShutdownRequested):
                signals.check()
        assert signal.getsignal(number) == signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ShutdownSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not signals.is_requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_wait_goes_on_after_a_request() -> None:
    signals = ShutdownSignals()
    assert not signals.wait(0)
    signals.request()
    began = time.monotonic()
    assert signals.wait(60)
    with pytest.raises(ShutdownRequested):
        signals.sleep(60)
    assert time.monotonic() - began < 5


def test_work_may_be_finished_for_the_time_of_grace() -> None:
    patient, hasty = ShutdownSignals(grace=60), ShutdownSignals(grace=-1)
    assert not hasty.is_overdue
    for signals in (patient, hasty):
        signals.request()
    assert [signals.is_overdue for signals in (patient, hasty)] == [False, True]
