"""`python -m bench.pictures`: the pictures and tables of docs/performance.md, from the newest
figures in results.jsonl."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from bench.chart import Line, chart
from bench.figures import RESULTS, ROOT

PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "performance"
# In the page: from here a table is ours, of figures that were measured at this commit.
BLOCK = re.compile(r"<!-- (\w+) at (\w+) -->\n.*?<!-- end -->\n", re.DOTALL)

# One line of results.jsonl.
Result = Mapping[str, Any]


class Series(Struct, frozen=True):
    """What is measured, and its figure: of a size, beside the smallest."""

    what: str
    figure: str  # with {size} and {least}


class Growth(Struct, frozen=True):
    """title: what grows. times: the key of a figure's absolute times, by size."""

    title: str
    grows: str
    sizes: Sequence[int]
    series: Sequence[Series]
    times: str


GROWTHS: Mapping[str, Growth] = {
    "audiences": Growth(
        "Cost as audiences grow",
        "audiences",
        (100, 1_000, 10_000),
        (
            Series("one more event", "event_{size}_audiences/event_{least}_audiences"),
            Series("visitor into memory", "load_{size}_audiences/load_{least}_audiences"),
        ),
        "us",
    ),
    "events": Growth(
        "Cost as a visitor's events grow",
        "events",
        (1, 50, 500, 5_000),
        (
            Series("one more event", "event_{size}_events/event_{least}_events"),
            Series("visitor into memory", "load_{size}_events/load_{least}_events"),
        ),
        "us",
    ),
    "profiles": Growth(
        "Cost as stored profiles grow",
        "profiles",
        (10_000, 100_000, 1_000_000),
        (
            Series("durable change", "hot_change_{size}/hot_change_{least}"),
            Series("visitor into memory", "cold_load_{size}/cold_load_{least}"),
        ),
        "p50_us",
    ),
}
MEMORY: Mapping[str, str] = {
    "while it is here": "hot_profile_bytes",
    "between visits, parked": "parked_profile_bytes",
}
STARTS: Mapping[str, str] = {
    "audiences of a site's mix": "ready/import_aiohttp",
    "every rule of another shape": "ready_distinct/import_aiohttp",
}


# Tables with no picture: by row, whose figure.
OTHERS: Mapping[str, Mapping[str, str]] = {"starts": STARTS, "memory": MEMORY}


def main() -> None:
    results = results_from(RESULTS.read_text(encoding="utf-8"))
    newest = {name: commit_of(results, figures(name)[-1]) for name in (*GROWTHS, *OTHERS)}
    page = page_with(PAGE.read_text(encoding="utf-8"), results, newest)
    PAGE.write_text(page, encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for name in GROWTHS:
        (PICTURES / f"{name}.svg").write_text(
            picture(name, results, newest[name]), encoding="utf-8"
        )


def results_from(text: str) -> Sequence[Result]:
    return [json.loads(line) for line in text.splitlines()]


def figures(block: str) -> list[str]:
    """The names of all that a block shows."""
    growth = GROWTHS.get(block)
    if growth is None:
        return list(OTHERS[block].values())
    return [_name(growth, one, size) for one in growth.series for size in growth.sizes[1:]]


def commit_of(results: Sequence[Result], figure: str) -> str:
    """Where the figure was measured last."""
    return str([one for one in results if one["name"] == figure][-1]["commit"])


def page_with(page: str, results: Sequence[Result], commits: Mapping[str, str]) -> str:
    """The page with its tables made of these results. commits: for each table, where its figures
    were measured."""

    def block(found: re.Match[str]) -> str:
        name = found[1]
        at = commits[name]
        if name in GROWTHS:
            table = _growth(name, results, at)
        else:
            table = _memory(results, at) if name == "memory" else _starts(results, at)
        return f"<!-- {name} at {at} -->\n{table}<!-- end -->\n"

    return BLOCK.sub(block, page)


def picture(name: str, results: Sequence[Result], commit: str) -> str:
    """As SVG."""
    growth = GROWTHS[name]
    lines = [Line(one.what, [1.0, *_values(growth, one, results, commit)]) for one in growth.series]
    told = "; ".join(f"{one.what}: {_told(growth.sizes, one.values)}" for one in lines)
    return chart(growth.title, told, [f"{size:,}" for size in growth.sizes], growth.grows, lines)


def _told(sizes: Sequence[int], values: Sequence[float]) -> str:
    return ", ".join(f"{times(v)} at {size:,}" for size, v in zip(sizes, values, strict=True))


def times(value: float) -> str:
    """A ratio as the page says it."""
    return f"{value:.2g} ×" if value < 10 else f"{round(value, -1 if value >= 100 else 0):.0f} ×"


def _growth(name: str, results: Sequence[Result], commit: str) -> str:
    growth = GROWTHS[name]
    head = [f"| {growth.grows} |", "|---|"]
    rows = [f"| {size:,} |" for size in growth.sizes]
    for one in growth.series:
        head[0] += f" {one.what} |"
        head[1] += "---|"
        rows[0] += f" 1 ({_baseline(growth, one, results, commit)}) |"
        for row, value in enumerate(_values(growth, one, results, commit), 1):
            rows[row] += f" {times(value)} |"
    return "\n".join((*head, *rows)) + "\n"


def _starts(results: Sequence[Result], commit: str) -> str:
    rows = [
        f"| {what} | {times(found['value'])} | {times(_first(found))} |"
        for what, figure in STARTS.items()
        for found in [_result(figure, results, commit)]
    ]
    return (
        "\n".join(("| 10,000 audiences | a start | the first one |", "|---|---|---|", *rows)) + "\n"
    )


def _memory(results: Sequence[Result], commit: str) -> str:
    rows = [
        f"| {what} | {each / 1_000:.2g} KB | {round(1e9 / each, -3):,.0f} |"
        for what, figure in MEMORY.items()
        for each in [float(_result(figure, results, commit)["value"])]
    ]
    return "\n".join(("| a visitor | takes | in 1 GB |", "|---|---|---|", *rows)) + "\n"


def _first(found: Result) -> float:
    return float(found["first_start_us"] / found["import_aiohttp_us"]["median_us"])


def _values(
    growth: Growth, series: Series, results: Sequence[Result], commit: str
) -> Sequence[float]:
    """Of each size but the smallest."""
    names = [_name(growth, series, size) for size in growth.sizes[1:]]
    return [float(_result(name, results, commit)["value"]) for name in names]


def _baseline(growth: Growth, series: Series, results: Sequence[Result], commit: str) -> str:
    """What the smallest takes."""
    name = _name(growth, series, growth.sizes[-1])
    found = _result(name, results, commit)[growth.times][str(growth.sizes[0])]
    us = float(found["median_us"] if isinstance(found, dict) else found)
    return (
        f"{us / 1_000:.2g} ms"
        if us >= 1_000
        else f"{round(us, -1) if us >= 100 else round(us):.0f} µs"
    )


def _name(growth: Growth, series: Series, size: int) -> str:
    return series.figure.format(size=size, least=growth.sizes[0])


def _result(name: str, results: Sequence[Result], commit: str) -> Result:
    """The last one measured there."""
    return [one for one in results if (one["name"], one["commit"]) == (name, commit)][-1]


if __name__ == "__main__":
    main()
