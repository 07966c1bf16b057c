"""Plot the ratios of saved runs as SVG: `python -m benchmarks.plot RESULTS.json... [--out docs/benchmarks.svg]`.

Of a row that several runs have, the last one's is drawn.
"""

from __future__ import annotations

import argparse
import math
from html import escape
from pathlib import Path

from benchmarks.clips import ROOT
from benchmarks.results import Results, RowResult
from benchmarks.verdicts import Duel, duels
from benchmarks.works import ROWS

__all__ = ["draw"]

_WIDTH, _LEFT, _RIGHT, _TOP, _BAND, _PITCH = 900, 330, 120, 74, 22, 15
_TICKS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)
_FAR = 200.0
"""Where the axis ends: a peer that has to start again for a picture that we keep takes thousands of times as long."""

# One colour and shape for each peer, of a palette that colour-blind readers can tell apart (Okabe and Ito's) in light and dark.
_MARKS = {
    "pyav-slice": ("#0072b2", "circle"),
    "pyav-frame": ("#56b4e9", "diamond"),
    "opencv": ("#e69f00", "square"),
    "video_reader": ("#009e73", "circle"),
    "decord2": ("#cc79a7", "square"),
    "torchcodec": ("#d55e00", "diamond"),
    "ffmpeg": ("#8a8a8a", "circle"),
    "ffmpeg-1": ("#8a8a8a", "square"),
}

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.title { font-size: 15px; font-weight: 600 }
.halo { stroke: #ffffff; stroke-width: 4px; font-size: 11px }
.paper { fill: #ffffff }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.even { stroke: #1f2328; stroke-width: 1.5 }
.goal { stroke: #1a7f37; stroke-width: 2.5 }
.goal-text { fill: #1a7f37; font-size: 11px }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .halo { stroke: #0d1117 }
  .paper { fill: #0d1117 }
  .grid { stroke: #3d444d }
  .even { stroke: #e6edf3 }
  .goal { stroke: #3fb950 }
  .goal-text { fill: #3fb950 }
}
"""


def draw(results: Results) -> str:
    """Draw, for each row, how many times as long each peer takes, with its interval; hollow where it gave a wrong frame."""
    rows = [(row, found) for row in results.rows if (found := duels(row))]
    if not rows:
        raise ValueError("these results hold no row with a peer in it")
    bounds = [end for _, found in rows for duel in found for end in (duel.ratio.low, duel.ratio.high)]
    scale = _Scale(min(*bounds, 0.9), min(max(*bounds, 4.0), _FAR))
    height = _TOP + sum(_PITCH * len(found) + _BAND for _, found in rows) + 30
    about = results.about
    counts = sorted({len(duel.runs.rounds) for _, found in rows for duel in found})
    rounds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    heading = f"{about['machine']}; {about['threads']} threads, {rounds} rounds; {about['date'][:10]}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-label="How many times as long peers take as ffbind, for each kind of work">',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        '<text class="title" x="16" y="24">How many times as long it takes elsewhere</text>',
        '<text class="small" x="16" y="42">Right of 1: ffbind is faster. Bars: 90 % intervals. Hollow: not exact.</text>',
        f'<text class="small" x="16" y="58">{escape(heading)}</text>',
    ]
    for tick in scale.ticks():
        kind = "even" if tick == 1 else "grid"
        x = scale.x(tick)
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{height - 26}"/>')
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{height - 10}" text-anchor="middle">{tick:g} x</text>'
        )
    y = _TOP
    for row, found in rows:
        parts += _draw_row(row, found, scale, y)
        y += _PITCH * len(found) + _BAND
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """A logarithmic axis."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = math.log(low / 1.1), math.log(high * 1.1)

    def x(self, ratio: float) -> float:
        share = min((math.log(ratio) - self._low) / (self._high - self._low), 1.0)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> list[float]:
        return [tick for tick in _TICKS if self._low <= math.log(tick) <= self._high]


def _draw_row(row: RowResult, found: list[Duel], scale: _Scale, top: float) -> list[str]:
    goals = [goal for goal in row.goals if goal.figure == "ratio" and goal.peer is None]
    bottom = top + _PITCH * len(found)
    parts = [f'<text x="16" y="{top + 12}">{escape(row.title)}</text>']
    for goal in goals:
        x = scale.x(goal.bound)
        parts.append(f'<line class="goal" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="goal-text" x="16" y="{top + 27}">goal {goal.bound:g} x</text>')
    for i, duel in enumerate(found):
        colour, shape = _MARKS[duel.peer]
        y = top + _PITCH * (i + 0.5)
        low, middle, high = (scale.x(each) for each in (duel.ratio.low, duel.ratio.middle, duel.ratio.high))
        parts.append(
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2.5"/>'
        )
        parts.append(_mark(shape, middle, y, colour, hollow=not duel.runs.exact))
        beyond = "more than " if duel.ratio.middle > _FAR else ""
        label = f"{duel.peer} {beyond}{min(duel.ratio.middle, _FAR):.3g} x"
        if not duel.runs.exact:
            label += f", {duel.runs.tally.wrong + duel.runs.tally.errors} of {duel.runs.tally.answers} wrong"
        after = high < _WIDTH - _RIGHT - 40
        x, anchor = (high + 8, "start") if after else (low - 8, "end")
        for kind in (
            "halo",
            "small",
        ):  # first a band of the paper's colour, so that lines do not run through the words
            place = f'class="{kind}" x="{x:.1f}" y="{y + 4}" text-anchor="{anchor}"'
            parts.append(f"<text {place}>{escape(label)}</text>")
    return parts


def _mark(shape: str, x: float, y: float, colour: str, *, hollow: bool) -> str:
    style = f'stroke="{colour}" stroke-width="2" ' + ('class="paper"' if hollow else f'fill="{colour}"')
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y}" r="4" {style}/>'
    turn = f' transform="rotate(45 {x:.1f} {y})"' if shape == "diamond" else ""
    return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5}" width="7" height="7" {style}{turn}/>'


def main() -> None:
    """Read the results and write the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description="Plot saved runs as SVG.")
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.svg")
    options = parser.parse_args()
    runs = [Results.load(path) for path in options.results]
    rows = {row.name: row for run in runs for row in run.rows}
    order = {row.name: place for place, row in enumerate(ROWS)}
    found = sorted(rows.values(), key=lambda row: order.get(row.name, len(order)))
    options.out.write_text(draw(Results(runs[-1].about, found)))


if __name__ == "__main__":
    main()
