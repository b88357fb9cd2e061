"""Names in templates that no audience has: what a build checks before a page is ever rendered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jinja2 import Environment, nodes

from perso_jinja.extension import TARGETING, VISITOR, AudienceExtension


class UnknownName(NamedTuple):
    """line: 1-based, in that template."""

    template: str
    line: int
    name: str


def lint(environment: Environment, known_names: Iterable[str]) -> list[UnknownName]:
    """Literal audience names that are not among known_names, by template and line.

    Reads every template the environment's loader can list: the tags, `"vip" in targeting`,
    `"vip" in visitor` and their `.reason("vip")`. A name that a template computes is not seen.
    known_names: the ids, aliases and names of all audiences.
    Raises jinja2.TemplateSyntaxError for a template that cannot be read, and TypeError where the
    loader cannot list.
    """
    known = frozenset(known_names)
    return sorted(
        UnknownName(template, line, name)
        for template in environment.list_templates()
        for name, line in _literals(_parsed(environment, template))
        if name not in known
    )


def _parsed(environment: Environment, template: str) -> nodes.Template:
    assert environment.loader is not None, "list_templates has a loader"
    source, filename, _ = environment.loader.get_source(environment, template)
    return environment.parse(source, template, filename)


def _literals(template: nodes.Template) -> Iterator[tuple[str, int]]:
    for call in template.find_all(nodes.Call):
        if _is_tag(call.node):
            yield from _constants(call.args[1], call.lineno)
        elif _is_reason(call.node) and call.args:
            yield from _constants(call.args[0], call.lineno)
    for comparison in template.find_all(nodes.Compare):
        for operand in comparison.ops:
            if operand.op in ("in", "notin") and _is_ours(operand.expr):
                yield from _constants(comparison.expr, comparison.lineno)


def _constants(names: nodes.Expr, line: int) -> Iterator[tuple[str, int]]:
    if isinstance(names, nodes.Const) and isinstance(names.value, str):
        yield names.value, line
    elif isinstance(names, (nodes.List, nodes.Tuple)):
        for name in names.items:
            yield from _constants(name, line)
    elif isinstance(names, nodes.CondExpr):
        for branch in (names.expr1, names.expr2):
            if branch is not None:
                yield from _constants(branch, line)


def _is_tag(node: nodes.Node) -> bool:
    return (
        isinstance(node, nodes.ExtensionAttribute)
        and node.identifier == AudienceExtension.identifier
    )


def _is_reason(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getattr) and node.attr == "reason" and _is_ours(node.node)


def _is_ours(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name in (TARGETING, VISITOR)
