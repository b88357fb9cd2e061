"""A line chart as SVG: small, for a phone too, light or dark as its reader has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, log10

from msgspec import Struct

WIDTH, HEIGHT = 360, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 348, 84, 222

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #222 }
  .title { font-weight: 600; font-size: 15px }
  .quiet { fill: #666 }
  .grid { stroke: #ddd }
  .a { stroke: #0b62c4; fill: #0b62c4 } .b { stroke: #b54708; fill: #b54708 }
  text.a, text.b { stroke: none } polyline { fill: none !important; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #eee } .quiet { fill: #aaa } .grid { stroke: #444 }
    .a { stroke: #6cb2ff; fill: #6cb2ff } .b { stroke: #ff9e57; fill: #ff9e57 }
  }
"""


class Line(Struct, frozen=True):
    """One value for each place on the axis, each at least about 1."""

    what: str
    values: Sequence[float]


def chart(title: str, told: str, places: Sequence[str], axis: str, lines: Sequence[Line]) -> str:
    """told: all of it in words. places: what is written along the axis. Two lines at most: the
    first with circles, the second with squares. Values stand on a logarithmic scale from 1."""
    decades = max(1, ceil(log10(max(max(line.values) for line in lines))))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' aria-labelledby="title told">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="told">{escape(told)}</desc>',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
        *_grid(decades),
        *_places(places, axis),
    ]
    for number, line in enumerate(lines):
        parts += _line(line, number, decades)
    return "\n".join((*parts, "</svg>")) + "\n"


def _grid(decades: int) -> Iterator[str]:
    for decade in range(decades + 1):
        y = _y(10**decade, decades)
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>'
        written = f'text-anchor="end" x="{LEFT - 6}" y="{y + 4}"'
        yield f'<text class="quiet" {written}>{10**decade:,} ×</text>'


def _places(places: Sequence[str], axis: str) -> Iterator[str]:
    for number, place in enumerate(places):
        x = _x(number, len(places))
        yield f'<text class="quiet" text-anchor="middle" x="{x}" y="{BOTTOM + 32}">{place}</text>'
    middle = (LEFT + RIGHT) / 2
    yield f'<text class="quiet" text-anchor="middle" x="{middle}" y="{HEIGHT - 6}">{axis}</text>'


def _line(line: Line, number: int, decades: int) -> Iterator[str]:
    kind = "ab"[number]
    y = 44 + 18 * number
    yield _mark(kind, 14, y - 4)
    yield f'<text class="{kind}" x="26" y="{y}">{escape(line.what)}</text>'
    points = [
        (_x(place, len(line.values)), _y(value, decades)) for place, value in enumerate(line.values)
    ]
    yield f'<polyline class="{kind}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'
    for x, at in points:
        yield _mark(kind, x, at)


def _mark(kind: str, x: float, y: float) -> str:
    if kind == "a":
        return f'<circle class="a" cx="{x}" cy="{y}" r="4"/>'
    return f'<rect class="b" x="{x - 4}" y="{y - 4}" width="8" height="8"/>'


def _x(place: int, number: int) -> float:
    return round(LEFT + 14 + (RIGHT - LEFT - 48) * place / (number - 1), 1)


def _y(value: float, decades: int) -> float:
    """Below 1 a little below the lowest line."""
    return round(BOTTOM - (BOTTOM - TOP) * max(log10(value), -0.1) / decades, 1)
