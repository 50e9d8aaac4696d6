"""How long a task waits before it is retried."""

from tasks.store import LONGEST_PAUSE, pause_before


def test_pauses_grow_up_to_the_longest() -> None:
    for retry, longest in enumerate((0.25, 0.5, 1.0, 2.0, 4.0, 4.0)):
        pauses = [pause_before(retry) for _ in range(100)]
        assert longest / 2 <= min(pauses)
        assert max(pauses) <= longest
    assert pause_before(100_000) <= LONGEST_PAUSE


def test_tasks_that_failed_together_are_not_retried_together() -> None:
    assert len({pause_before(3) for _ in range(100)}) > 50
