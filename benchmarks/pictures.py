"""The pictures of the documentation, drawn from the last runs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullLocator
from PIL import Image

from benchmarks.freshness import LIMITS, LONGEST_AT_MIDDLE, TRAFFIC
from benchmarks.results import RESULTS, Spread, load
from benchmarks.throughput import TITLES

mpl.use("agg")

INK, FAINT = "#1f2933", "#d5dbe1"
COLOURS = {"ours": "#1565c0", "floor": "#7b8794", "today": "#d9730d", "tasks": "#a3337f"}
SHADES = {"p50": "#0d3c75", "p90": "#1565c0", "p99": "#64a3e3", "max": "#c3dcf5"}
TODAY_SHADES = {"p50": "#8a4706", "p90": "#d9730d", "p99": "#f0ab66", "max": "#f9ddc2"}
GOAL = "#c62828"
HALO = [withStroke(linewidth=3, foreground="white")]
BAR = 0.23
_COLOURS = 64
"""Enough for lines and bars, and a third of the bytes."""
BESIDE = {"floor": (-19, -10), "ours": (10, 3), "today": (10, -4), "tasks": (-19, -4)}
"""How far above its line a way has its name, and its last value; ours lies near the floor."""

PARTS = {"p50": "p50", "p90": "p90", "p99": "p99", "max": "longest"}


def draw_all(folder: Path = RESULTS) -> list[Path]:
    """Draw the pictures as PNG files; their parts must have run."""
    drawn = []
    for name, draw in (("throughput", throughput), ("freshness", freshness)):
        found = load(name)
        figure, machine = draw(found["runs"]), found["machine"]
        measured_on = f"{machine['cpu']}, {machine['cores']} cores, {machine['date']}"
        figure.text(0.01, 0.012, measured_on, fontsize=7.5, color=COLOURS["floor"])
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=110)
        pyplot.close(figure)
        with Image.open(path) as picture:
            few_colours = picture.convert("RGB").quantize(_COLOURS)
        few_colours.save(path, optimize=True)
        drawn.append(path)
    return drawn


def throughput(runs: list[dict[str, Any]]) -> Any:
    """Draw reports per second by number of symbols, one line for each way."""
    figure, axes = _empty(8.6, 4.8)
    for way in ("floor", "ours", "today", "tasks"):
        spreads = {
            symbols: Spread.of(
                r["reports"] / r["seconds"]
                for r in runs
                if (r["way"], r["symbols"]) == (way, symbols)
            )
            for symbols in sorted({r["symbols"] for r in runs if r["way"] == way})
        }
        if not spreads:
            continue
        sizes, lines = list(spreads), list(spreads.values())
        medians = [line.median for line in lines]
        axes.fill_between(
            sizes,
            [line.least for line in lines],
            [line.most for line in lines],
            color=COLOURS[way],
            alpha=0.15,
            linewidth=0,
        )
        axes.plot(
            sizes,
            medians,
            color=COLOURS[way],
            marker="o",
            markersize=5,
            linewidth=2.6 if way == "ours" else 1.8,
            linestyle="--" if way == "floor" else "-",
        )
        label, value = BESIDE[way]
        _write(axes, TITLES[way], (sizes[0], medians[0]), (0, label), way)
        _write(axes, f"{medians[-1]:,.0f}", (sizes[-1], medians[-1]), (9, value), way)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sorted({r["symbols"] for r in runs}))
    axes.xaxis.set_minor_locator(NullLocator())
    rates = [r["reports"] / r["seconds"] for r in runs if r["way"] in BESIDE]
    axes.set_ylim(10 ** math.floor(math.log10(min(rates))), 2.5 * max(rates))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_thousands())
    axes.set_xlabel("symbols")
    axes.set_ylabel("reports per second")
    axes.set_title("Reports per second, by number of symbols (median; shaded: least to most)")
    figure.subplots_adjust(left=0.11, right=0.9, top=0.91, bottom=0.16)
    return figure


def _write(
    axes: Any, text: str, at: tuple[float, float], offset: tuple[int, int], way: str
) -> None:
    """Write text beside a point, legible also where it lies on a line."""
    axes.annotate(
        text,
        at,
        xytext=offset,
        textcoords="offset points",
        color=COLOURS[way],
        fontweight="bold" if way == "ours" else "normal",
        path_effects=HALO,
    )


def freshness(runs: list[dict[str, Any]]) -> Any:
    """Draw milliseconds from PUBLISH to visible, by load and percentile."""
    figure, axes = _empty(8.6, 4.8)
    groups = [
        (name, way)
        for name in TRAFFIC
        for way in ("ours", "today")
        if any((r["traffic"], r["way"]) == (name, way) for r in runs)
    ]
    for place, (name, way) in enumerate(groups):
        beside = [r for r in runs if (r["traffic"], r["way"]) == (name, way)]
        if all(r["percentiles"] for r in beside):
            _bars(axes, place, beside, SHADES if way == "ours" else TODAY_SHADES)
        else:
            rate = Spread.of(r["requests"] / 2 for r in beside).median
            note = f"does not\nkeep up:\n{rate:.0f} of {TRAFFIC[name].rate:,.0f}\nreports/s"
            axes.text(place, 30, note, ha="center", color=COLOURS["today"], linespacing=1.4)
        if way == "ours":
            _goals(axes, place, name)
    axes.set_yscale("log")
    axes.set_ylim(1, 20_000)
    axes.yaxis.set_major_formatter(_thousands())
    axes.set_xlim(-0.55, len(groups) - 0.45)
    axes.set_xticks(range(len(groups)), [_label(*group) for group in groups], fontsize=8.5)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("milliseconds")
    axes.set_title(
        "From a bot's PUBLISH to visible in Firebase (median of runs; thin: least to most)"
    )
    handles: list[Any] = [
        mpl.patches.Patch(color=SHADES[part], label=PARTS[part]) for part in PARTS
    ]
    handles.append(mpl.lines.Line2D([], [], color=GOAL, linewidth=2.2, label="goal"))
    axes.legend(handles=handles, loc="upper left", frameon=False, ncols=5)
    figure.subplots_adjust(left=0.11, right=0.98, top=0.91, bottom=0.21)
    return figure


def _bars(axes: Any, place: int, runs: Sequence[dict[str, Any]], shades: dict[str, str]) -> None:
    for number, part in enumerate(PARTS):
        spread = Spread.of(run["percentiles"][part] for run in runs)
        at = place + (number - 1.5) * BAR
        axes.bar(at, spread.median, BAR * 0.92, color=shades[part])
        axes.plot([at, at], [spread.least, spread.most], color=INK, linewidth=1)
        # At the foot, where neither a spread nor a goal can lie on it.
        ink = "white" if number < 2 else INK
        axes.text(at, 1.1, f"{spread.median:,.0f}", ha="center", fontsize=7.5, color=ink)


def _goals(axes: Any, place: int, name: str) -> None:
    """Draw lines over the bars that have a goal."""
    limits = dict([LIMITS[name]]) | ({"max": LONGEST_AT_MIDDLE} if name == "middle" else {})
    for part, limit in limits.items():
        at = place + (list(PARTS).index(part) - 1.5) * BAR
        axes.plot([at - BAR / 2, at + BAR / 2], [limit, limit], color=GOAL, linewidth=2.2)


def _label(name: str, way: str) -> str:
    title = TRAFFIC[name].title.replace(", ", "\n")
    return f"{'ours' if way == 'ours' else 'today: it writes and waits'}\n{title}"


def _empty(width: float, height: float) -> tuple[Any, Any]:
    pyplot.rcParams.update(
        {
            "font.size": 9.5,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.edgecolor": FAINT,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
        }
    )
    figure, axes = pyplot.subplots(figsize=(width, height), facecolor="white")
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _thousands() -> Any:
    return FuncFormatter(lambda value, _: f"{value:,.0f}")
