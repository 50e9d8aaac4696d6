"""Pauses between retries, and timers."""

from app.timing import Backoff, Timer


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(1, 8)
    for longest in (1, 2, 4, 8, 8):
        assert longest / 2 <= backoff.next_pause() <= longest
    backoff.reset()
    assert backoff.next_pause() <= 1


def test_a_retry_of_any_number_has_a_pause() -> None:
    assert 4 <= Backoff(0.25, 8).pause(10**9) <= 8


def test_a_timer_is_due_at_once_and_then_once_in_its_interval() -> None:
    timer = Timer(3600)
    assert [timer.is_due() for _ in range(3)] == [True, False, False]
