"""`perso audience check`: a rule's faults, or which edges take it, what it reads and costs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from textwrap import indent
from typing import Any, get_args

from msgspec import Struct, structs

from perso_core.cli.audience_rules import AudienceRules, rules_from
from perso_core.cli.audience_run import MANY_EVENTS, Run, is_run, run_over_many
from perso_core.cli.files import settings_of, text_of
from perso_core.cli.progress import Progress
from perso_core.cli.terminal import shown
from perso_core.definitions.audience import Audience
from perso_core.definitions.rules_check import id_to_write, ids_by_word
from perso_core.definitions.schema import field_types
from perso_core.errors import BadAudienceFile, RuleError, RuleFaults, RuleNotEligible
from perso_core.pql.chains import MAX_STEPS
from perso_core.pql.checker_names import SIZES
from perso_core.pql.compiler import CompiledRule
from perso_core.pql.cost import Cost, cost_of, warnings_of
from perso_core.pql.eligibility import MAX_EVENT_WINDOW_DAYS, EdgeRule, age_words, ineligible
from perso_core.pql.fields import ANY, FieldType, field, names_in
from perso_core.pql.instants import DAY_MS
from perso_core.pql.origins import Fields, fields_of
from perso_core.pql.source import MAX_TEXT_BYTES

EDGES: tuple[EdgeRule, ...] = get_args(EdgeRule)


class Report(Struct, frozen=True, kw_only=True):
    """What is told of one rule without a fault. refusals: by edge; none: it is eligible.

    audiences: id -> name, or the id again, of what inSegment reads. run: what it takes over all of
    a visitor's events; None: it is not run. warnings: what is beyond Adobe's limits. remarks: what
    its author may not have meant.
    """

    name: str
    edge: EdgeRule
    event_window_ms: int
    refusals: Mapping[EdgeRule, list[RuleNotEligible]]
    fields: Fields
    audiences: Mapping[str, str]
    time: bool
    cost: Cost
    run: Run | None
    warnings: list[str]
    remarks: list[str]


def check(arguments: argparse.Namespace) -> int:
    """0: right; 1: a fault, or the audience's own edge refuses it. Raises BadAudienceFile,
    DefinitionFaults."""
    days = arguments.event_window_days
    if days is not None and not 1 <= days <= MAX_EVENT_WINDOW_DAYS:
        return _misused(f"--event-window-days is {days}. Write 1 to {MAX_EVENT_WINDOW_DAYS}.")
    if arguments.file.lower().endswith(".toml"):
        if arguments.definitions or arguments.edge or days is not None:
            return _misused("a .toml file has its own definitions, edges and event windows.")
        return _check_definitions(arguments)
    return _check_rule(arguments)


def _misused(text: str) -> int:
    print(f"error: {text} See `perso audience check --help`.", file=sys.stderr)
    return 2


def _check_definitions(arguments: argparse.Namespace) -> int:
    """Every audience of a definitions file. Faults are told as `perso apply` tells them."""
    rules = rules_from(arguments.file, settings_of(arguments))
    # Those that are run over all events are run here: some take a tenth of a second.
    progress, reports = Progress("audiences looked at"), list[Report]()
    for one in rules.definitions.audiences:
        progress.tell(len(reports), len(rules.definitions.audiences))
        reports.append(_report(rules, rules.compiled[one.id], one))
    if arguments.json:
        print(json.dumps([_as_json(report) for report in reports], indent=2))
    else:
        print(shown("\n\n".join(_told(report) for report in reports)))
    return 0


def _check_rule(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    rules = rules_from(arguments.definitions, settings)
    text = rule_text(arguments.file)
    days = arguments.event_window_days or settings.event_window_days
    try:
        rule = rules.compile(text, event_window_ms=days * DAY_MS)
    except RuleFaults as faults:
        return _faulty(faults, arguments)
    asked = Audience(
        id="", name="The rule", pql=text, edge=arguments.edge or "local", event_window_days=days
    )
    report = _report(rules, rule, asked)
    print(json.dumps(_as_json(report), indent=2) if arguments.json else shown(_told(report)))
    unknown = sorted(rule.reads.audience_ids - rules.nodes.keys()) if arguments.definitions else []
    ids = ids_by_word(rules.definitions.audiences)
    for read in unknown:
        fix = id_to_write(read, rules.nodes, ids)
        told = shown(f'no audience of the definitions has the id "{read}". {fix}')
        print(f"error: {told}", file=sys.stderr)
    return 1 if unknown or report.refusals[report.edge] else 0


def rule_text(path: str) -> str:
    """The rule of a file, without the line end that editors put last. Raises BadAudienceFile."""
    text = text_of(path, max_bytes=MAX_TEXT_BYTES + 4_096, problem=unreadable, stdin=True)
    return text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n")


def unreadable(detail: str, fix: str) -> BadAudienceFile:
    return BadAudienceFile(detail, fix=fix)


def _faulty(faults: RuleFaults, arguments: argparse.Namespace) -> int:
    if arguments.json:
        told = {
            "faults": [_fault_as_json(fault) for fault in faults.faults],
            "more_faults": faults.more,
        }
        print(json.dumps(told, indent=2))
        return 1
    name = "stdin" if arguments.file == "-" else arguments.file
    for fault in faults.faults:
        print(shown(f"{name}:{fault_told(fault)}"), file=sys.stderr)
    for rest in faults.rest():
        print(f"{name}: {rest}", file=sys.stderr)
    count = len(faults.faults) + faults.more
    print(f"error: {count:,} fault{'s' * (count != 1)} in the rule.", file=sys.stderr)
    return 1


def fault_told(fault: RuleError) -> str:
    """`line:column: what is wrong`, the line with its caret, and what to write."""
    return f"{fault.place}: {fault.detail}\n{indent(fault.excerpt, '    ')}\n    {fault.fix}"


def _report(rules: AudienceRules, rule: CompiledRule, audience: Audience) -> Report:
    window_ms = rule.event_window_ms
    fields, types = fields_of(rule.node), field_types(rules.definitions.schema)
    return Report(
        name=audience.name,
        edge=audience.edge,
        event_window_ms=window_ms,
        refusals={
            edge: ineligible(
                rule.text, rule.node, edge=edge, event_window_ms=window_ms, rules=rules.nodes
            )
            for edge in EDGES
        },
        fields=fields,
        audiences={one: rules.name_of(one) for one in sorted(rule.reads.audience_ids)},
        time=rule.reads.now,
        cost=cost_of(rule.node, rule.reads),
        run=run_over_many(rule) if is_run(rule) else None,
        warnings=warnings_of(rule.node),
        remarks=[
            *sizes_read(fields.profile, types.profile),
            *sizes_read(fields.event, types.event),
        ],
    )


def sizes_read(paths: Iterable[str], known: FieldType) -> Iterator[str]:
    """Of fields that are called like the size of a list, and that no schema has."""
    for path in paths:
        *parents, name = path.split(".")
        if not parents or name not in SIZES:
            continue
        parent = known
        for one in parents:
            parent = field(parent, one) or ANY
        if name not in names_in(parent):
            of = ".".join(parents)
            yield f"{path} is a field of that name; {of}.count() is how many {of} has"


# ---- for people -------------------------------------------------------------


def _told(report: Report) -> str:
    lines = [f"{report.name}: no faults.", "", "Edges", *_edges(report), "", "Reads"]
    lines += _listed("of the profile", report.fields.profile)
    lines += _listed("of events", report.fields.event)
    lines += _listed("audiences", [_named(*one) for one in report.audiences.items()])
    if len(lines) and lines[-1] == "Reads":
        lines.append("  nothing: it is the same for every profile")
    lines += ["", "Looked at", *_looked_at(report), "", "Work", f"  {_work(report.cost)}"]
    if report.run is not None:
        lines += _run(report.run)
    if report.remarks:
        lines += ["", "Perhaps meant otherwise", *(f"  {text}" for text in report.remarks)]
    if report.warnings:
        lines += ["", "Beyond Adobe's limits; it works here"]
        lines += [f"  {text}" for text in report.warnings]
    return "\n".join(lines)


def _edges(report: Report) -> Iterator[str]:
    for edge in reversed(EDGES):
        reasons = report.refusals[edge]
        chosen = "  (the one it is held to)" if edge == report.edge else ""
        yield f"  {edge:<13} {'refused' if reasons else 'eligible'}{chosen}"
        for reason in reasons:
            yield indent(fault_told(reason), "      ")
    if report.cost.events:
        yield f"  An event counts for {age_words(report.event_window_ms)} (event_window_days)."


def _listed(label: str, values: Iterator[str] | list[str] | tuple[str, ...]) -> Iterator[str]:
    found = list(values)
    if found:
        yield f"  {label + ':':<16}{', '.join(found)}"


def _named(audience_id: str, name: str) -> str:
    return name if name == audience_id else f"{name} ({audience_id})"


def _looked_at(report: Report) -> Iterator[str]:
    """What causes the rule to be looked at, a line for each kind of cause."""
    if report.cost.any_event:
        yield "  at every event: no part of it says which events matter. This is the dear case;"
        yield '  a condition such as eventType = "..." beside each xEvent would narrow it.'
    elif report.cost.events:
        yield "  at events " + ", or ".join(report.cost.events)
    if report.fields.profile:
        tops = sorted({path.partition(".")[0] for path in report.fields.profile})
        yield f"  when {', '.join(tops)} of the profile changes"
    if report.audiences:
        yield "  when the profile enters or leaves an audience that it reads"
    if report.time:
        yield "  at the instant at which time alone changes its answer"
    if not (report.cost.events or report.fields.profile or report.audiences or report.time):
        yield "  never again: nothing changes its answer"


def _work(cost: Cost) -> str:
    parts = f"{cost.parts:,} part{'s' * (cost.parts != 1)}"
    if not cost.loops:
        return f"{parts}, no loop"
    loops = f"{cost.loops} loop{'s' * (cost.loops != 1)} over events or lists"
    return f"{parts}, {loops}" + (f", up to {cost.depth} in one another" if cost.depth > 1 else "")


def _run(run: Run) -> Iterator[str]:
    yield "  It is run over all of a visitor's events at each of those above: it has no form in"
    yield "  which they are counted as they come (docs/pql.md, Which changes touch a rule)."
    if run.steps is None:
        yield f"  Of one with {MANY_EVENTS:,} it comes to its limit of {MAX_STEPS:,} steps, here in"
        yield f"  {run.ms:,.0f} ms, and does not hold then, whatever the rest of the events says."
    else:
        yield f"  Of one with {MANY_EVENTS:,} that takes {run.steps:,} of {MAX_STEPS:,} steps, here"
        yield f"  {run.ms:,.0f} ms, and more where there are lists to go through."


# ---- for programs -----------------------------------------------------------


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "name": report.name,
        "faults": [],
        "edge": report.edge,
        "event_window_days": report.event_window_ms / DAY_MS,
        "edges": {
            edge: {
                "eligible": not reasons,
                "reasons": [_fault_as_json(reason) for reason in reasons],
            }
            for edge, reasons in report.refusals.items()
        },
        "reads": {
            "profile": report.fields.profile,
            "events": report.fields.event,
            "audiences": report.audiences,
            "time": report.time,
        },
        "cost": {
            "events": report.cost.events,
            "any_event": report.cost.any_event,
            "parts": report.cost.parts,
            "loops": report.cost.loops,
            "depth": report.cost.depth,
            "run": report.run and {"events": MANY_EVENTS, **structs.asdict(report.run)},
        },
        "warnings": report.warnings,
        "remarks": report.remarks,
    }


def _fault_as_json(fault: RuleError) -> dict[str, Any]:
    return {
        "code": fault.code,
        "line": fault.line,
        "column": fault.column,
        "detail": fault.detail,
        "fix": fault.fix,
    }
