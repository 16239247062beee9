"""Draw what `benchmarks.juggling` measured: seconds on the left, memory on the right.

python -m benchmarks.juggling_picture docs/juggling.json docs/juggling.png

matplotlib is imported here alone, and writes to a file: no display is needed.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.juggling import KEYS, PHASES
from memory import GIB, MIB

# Okabe and Ito, "Color Universal Design" (2008): told apart by everybody, and of different lightness in print.
PHASE_COLOURS = {"fill": "#0072B2", "sort": "#E69F00", "emit": "#56B4E9"}
MEMORY_COLOUR = "#009E73"
TEXT_COLOUR = "#333333"

_INCHES = (12.0, 6.4)
_DOTS_PER_INCH = 150
_BAR_WIDTH = 0.72
_GROUP_GAP = 0.8
_TITLE_PAD = 24
_HEAD_ROOM = 1.16
"""Of the tallest bar, for what is written above it."""

Case = dict[str, Any]


def draw(figures: dict[str, Any], path: Path) -> None:
    """One figure with two panels; the format is that of the name of `path`."""
    matplotlib.use("Agg")
    cases = sorted(figures["cases"], key=lambda case: list(KEYS).index(case["by"]))
    places = _places(cases)
    style: Any = {
        "font.size": 10,
        "text.color": TEXT_COLOUR,
        "axes.labelcolor": TEXT_COLOUR,
        "axes.edgecolor": "#999999",
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
        seconds, memory = figure.subplots(1, 2)
        _draw_seconds(seconds, cases, places, figures["generate_seconds"])
        _draw_memory(memory, cases, places)
        for axes in (seconds, memory):
            _finish(axes, cases, places)
        figure.suptitle(f"Sorting {figures['records']:,} tuples (int32, str of 12 letters)", fontsize=14, weight="bold")
        figure.supxlabel(_note(figures, cases), fontsize=8.5, linespacing=1.5)
        figure.savefig(path)


def _places(cases: Sequence[Case]) -> list[float]:
    """Bars side by side, and a gap where the next key begins."""
    keys = list(KEYS)
    return [number + _GROUP_GAP * keys.index(case["by"]) for number, case in enumerate(cases)]


def _draw_seconds(axes: Axes, cases: Sequence[Case], places: Sequence[float], generate_seconds: float) -> None:
    bottoms = [0.0] * len(cases)
    for name in PHASES:
        heights = [float(case["phases"][name]["seconds"]) for case in cases]
        colour = PHASE_COLOURS[name]
        axes.bar(places, heights, _BAR_WIDTH, bottoms, label=name, color=colour, edgecolor="white", linewidth=0.6)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    for place, seconds in zip(places, bottoms, strict=True):
        axes.annotate(
            f"{seconds:.1f} s" if max(bottoms) >= 10 else f"{seconds:.2f} s",
            (place, seconds),
            (0, 3),
            textcoords="offset points",
            ha="center",
            weight="bold",
        )
    axes.axhline(
        generate_seconds, color=TEXT_COLOUR, linestyle=(0, (4, 3)), linewidth=1, label="making the tuples alone"
    )
    axes.set_ylim(0, max(bottoms) * _HEAD_ROOM)
    axes.set_title("Seconds", loc="left", fontsize=11, pad=_TITLE_PAD)
    axes.set_ylabel("seconds")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.985), ncols=4, frameon=False, fontsize=9, columnspacing=1.4)


def _draw_memory(axes: Axes, cases: Sequence[Case], places: Sequence[float]) -> None:
    peaks = [case["peak_resident_bytes"] for case in cases]
    unit, name = (GIB, "GiB") if max(peaks) >= GIB else (MIB, "MiB")
    heights = [peak / unit for peak in peaks]
    axes.bar(places, heights, _BAR_WIDTH, color=MEMORY_COLOUR)
    for place, height, case in zip(places, heights, cases, strict=True):
        peak = f"{height:.2f}" if unit == GIB else f"{height:.0f}"
        what = "object" if case["memory"] is None else "row"
        text = f"{peak} {name}\n{case['bytes_per_record']:.0f} B/{what}"
        axes.annotate(text, (place, height), (0, 3), textcoords="offset points", ha="center", linespacing=1.3)
    axes.set_ylim(0, max(heights) * _HEAD_ROOM)
    axes.set_title("Peak memory of the process", loc="left", fontsize=11, pad=_TITLE_PAD)
    axes.set_ylabel(name)


def _finish(axes: Axes, cases: Sequence[Case], places: Sequence[float]) -> None:
    axes.set_xticks(places, [case["way"] for case in cases], fontsize=9)
    for key in KEYS:
        group = [place for place, case in zip(places, cases, strict=True) if case["by"] == key]
        centre = sum(group) / len(group)
        axes.annotate(
            f"by the {key}",
            (centre, 0),
            (0, -24),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="top",
            weight="bold",
            annotation_clip=False,
        )
    axes.tick_params(axis="x", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def _note(figures: dict[str, Any], cases: Sequence[Case]) -> str:
    """What the bars do not say."""
    collections = [f"by the {key}: {_collections([case for case in cases if case['by'] == key])}" for key in KEYS]
    spilled = [case for case in cases if case["spilled_bytes"]]
    sizes = ", ".join(f"{case['spilled_bytes'] / MIB:.0f} MiB by the {case['by']}" for case in spilled)
    spilling = f" Spilled, with memory {spilled[0]['memory']}: {sizes}." if spilled else ""
    runs = "1 run" if figures["rounds"] == 1 else f"the median of {figures['rounds']} runs"
    lines = [
        "",  # beside the names of the groups
        "Garbage collections while filling, sorting, emitting",
        *collections,
        f"B/object: what the process grew by, for each tuple. B/row: a tuple as bytes, its key included.{spilling}",
        f"Seconds of {runs}; the engine has {figures['threads']} threads; {figures['processor']}.",
    ]
    return "\n".join(lines)


def _collections(cases: Sequence[Case]) -> str:
    counts = {case["way"]: [case["phases"][name]["collections"] for name in PHASES] for case in cases}
    return "; ".join(f"{way} {' / '.join(f'{each:,.0f}' for each in three)}" for way, three in counts.items())


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
