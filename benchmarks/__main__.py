"""All figures of the README, one script after the other: `make bench`, or `python -m benchmarks`.

Each script says what it measures. `runs/*.json` gets every run and is not in git; once every part
has run, `results/results.md` gets the tables and `results/*.png` the pictures. Every load ends by
itself, everything is on loopback, and every program is stopped by its own id.
"""

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import burst, freshness, orders, pictures, publish, soak, summary, throughput
from benchmarks.results import GOAL_HEAD, RESULTS, Goal, is_measured, load, machine, table

SCRIPTS: dict[str, Callable[[list[str]], list[Goal]]] = {
    "throughput": throughput.main,
    "freshness": freshness.main,
    "burst": burst.main,
    "orders": orders.main,
    "publish": publish.main,
    "soak": soak.main,
    "rollover": lambda words: soak.main(["--rollover", *words]),
}


def main() -> int:
    """Measure the chosen parts, and show the results of all that have run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything once, and less of it")
    parser.add_argument("--only", default=",".join(SCRIPTS), help=f"of {', '.join(SCRIPTS)}")
    parser.add_argument("--show", action="store_true", help="measure nothing: the last runs")
    given = parser.parse_args()
    chosen = [] if given.show else given.only.split(",")
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    failed = {}
    for name in chosen:
        begin = time.monotonic()
        print(f"\n{name}", flush=True)
        try:
            SCRIPTS[name](["--quick"] if given.quick else [])
        except Exception as error:
            # The others can still be measured.
            failed[name] = error
            print(f"{name} failed: {error!r}", file=sys.stderr)
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    goals = [Goal(**goal) for name in SCRIPTS if is_measured(name) for goal in load(name)["goals"]]
    print("\n" + table(GOAL_HEAD, [goal.cells() for goal in goals]))
    missing = [name for name in SCRIPTS if not is_measured(name)]
    if missing:
        print(f"\n{RESULTS} is left as it is: {', '.join(missing)} have not run here")
    else:
        (RESULTS / "results.md").write_text(summary.markdown())
        drawn = pictures.draw_all()
        print(f"\nWritten to {RESULTS}: results.md, {', '.join(path.name for path in drawn)}")
    return bool(failed) or not all(goal.met for goal in goals)


if __name__ == "__main__":
    sys.exit(main())
