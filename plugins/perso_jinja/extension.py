"""The tag `audience` and the template variable `targeting`.

Both read the visitor from the template variable `visitor`. Where there is none, nobody is in
any audience: the page shows its default.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Iterable, Iterator, Mapping
from typing import Any, cast

from jinja2 import Environment, Undefined, nodes
from jinja2.ext import Extension
from jinja2.lexer import Token
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.utils import missing

from perso_core import UnknownAudience
from perso_jinja.targeting import Targeting, targeting_of

VISITOR = "visitor"
TARGETING = "targeting"
# Names that continue an expression: after `all` they make `all` a variable, not our word.
_OPERATORS = frozenset({"and", "or", "not", "in", "is", "if", "else"})
# What begins names after the word `all`, besides a name.
_BEGIN_NAMES = frozenset({"string", "lbracket", "lparen"})


class AudienceExtension(Extension):
    """`{% audience "a", "b" %} … {% elseaudience all "c", d %} … {% else %} … {% endaudience %}`

    Compiled to an ordinary if, so loops, set and blocks inside scope as they do in one.
    `environment.perso_strict = True` makes a name that no audience has raise UnknownAudience
    when the tag is rendered; by default it is an audience that nobody is in.
    """

    tags = {"audience"}  # noqa: RUF012  jinja2 declares it as a plain class attribute

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.extend(perso_strict=False)
        environment.context_class = _with_targeting(environment.context_class)

    def parse(self, parser: Parser) -> nodes.Node:
        """audience = names body { "elseaudience" names body } [ "else" body ] "endaudience" ."""
        root = branch = self._branch(parser, next(parser.stream))
        while (tag := next(parser.stream)).value == "elseaudience":
            branch = self._branch(parser, tag)
            root.elif_.append(branch)
        if tag.value == "else":
            root.else_ = parser.parse_statements(("name:endaudience",), drop_needle=True)
        return root

    def _branch(self, parser: Parser, tag: Token) -> nodes.If:
        """names = [ "all" ] expression { "," expression } ."""
        wants_all = _takes_all(parser)
        names = nodes.List(list(_names(parser, tag)), lineno=tag.lineno)
        place = nodes.Const(f"{parser.name or parser.filename or 'a template'}, line {tag.lineno}")
        visitor = nodes.Name(VISITOR, "load", lineno=tag.lineno)
        test = self.call_method(
            "in_audience", [visitor, names, nodes.Const(wants_all), place], lineno=tag.lineno
        )
        body = parser.parse_statements(("name:elseaudience", "name:else", "name:endaudience"))
        return nodes.If(test, body, [], [], lineno=tag.lineno)

    def in_audience(
        self, visitor: object, names: list[Any], wants_all: bool, place: str
    ) -> bool | Awaitable[bool]:
        """Whether the visitor is in any of the audiences, or in all of them. False for no names.

        names: each a name, or a list of names, also as a filter of Jinja's gives it; an async
        environment's filters are waited for. place: where the tag stands, for the error.
        """
        if any(map(_is_async, names)):
            return self._in_audience_once_listed(visitor, names, wants_all, place)
        return self._in_audience(visitor, names, wants_all, place)

    async def _in_audience_once_listed(
        self, visitor: object, names: list[Any], wants_all: bool, place: str
    ) -> bool:
        listed = [[one async for one in name] if _is_async(name) else name for name in names]
        return self._in_audience(visitor, listed, wants_all, place)

    def _in_audience(self, visitor: object, names: list[Any], wants_all: bool, place: str) -> bool:
        targeting = targeting_of(visitor)
        flat = list(_flat(names))
        if getattr(self.environment, "perso_strict", False):
            _must_be_defined(targeting, flat, place)
        inside = [name in targeting for name in flat]
        return bool(inside) and (all(inside) if wants_all else any(inside))


def _takes_all(parser: Parser) -> bool:
    """Read the word `all` where names follow it; elsewhere it is a variable of that name. Before a
    bracket it is the word: nobody calls such a variable, or takes a part of it."""
    after = parser.stream.look()
    is_word = parser.stream.current.test("name:all") and (
        after.type in _BEGIN_NAMES or (after.type == "name" and after.value not in _OPERATORS)
    )
    if is_word:
        parser.stream.skip()
    return is_word


def _names(parser: Parser, tag: Token) -> Iterator[nodes.Expr]:
    if parser.stream.current.type == "block_end":
        parser.fail(f'Name an audience: {{% {tag.value} "returning" %}}.', tag.lineno)
    while True:
        # Jinja joins neighbouring strings: "a" "b" would be the audience "ab".
        if parser.stream.current.type == "string" and parser.stream.look().type == "string":
            parser.fail("Write a comma between two audience names.", tag.lineno)
        name = parser.parse_expression()
        _refuse_condition(parser, name, tag)
        yield name
        if not parser.stream.skip_if("comma"):
            return


def _refuse_condition(parser: Parser, name: nodes.Expr, tag: Token) -> None:
    """Jinja would take `"a" or "b"` for "a", and `not "a"` for an audience that is called False."""
    if isinstance(name, (nodes.Not, nodes.Compare, nodes.Test)):
        parser.fail(
            'A condition names no audience: write {% if "a" not in targeting %}.', tag.lineno
        )
    if isinstance(name, (nodes.And, nodes.Or)):
        _refuse_condition(parser, name.left, tag)
        if isinstance(name.left, nodes.Const):
            parser.fail(
                "Write commas between audiences where one is enough, and `all` in front where"
                " every one is asked for.",
                tag.lineno,
            )


def _is_async(name: object) -> bool:
    # An Undefined can be gone through in either way, and names nobody.
    return isinstance(name, AsyncIterable) and not isinstance(name, Undefined)


def _flat(names: Iterable[Any]) -> Iterator[str]:
    for name in names:
        if isinstance(name, Iterable) and not isinstance(name, (str, Mapping, Undefined)):
            yield from _flat(name)
        else:
            yield str(name)  # an Undefined under StrictUndefined raises here, as anywhere


def _must_be_defined(targeting: Targeting, names: Iterable[str], place: str) -> None:
    for name in names:
        if not targeting.is_defined(name):
            raise UnknownAudience(
                f"{name!r} ({place})",
                fix="Write the id, the alias or the name of an audience that is defined.",
            )


def _with_targeting(context_class: type[Context]) -> type[Context]:
    """The environment's own context, in which `targeting` is about the context's `visitor`.

    A plain global could not know which render asks. A variable of that name that was handed to
    the template stands.
    """

    class TargetingContext(context_class):  # type: ignore[valid-type,misc]  # a runtime base
        def resolve_or_missing(self, key: str) -> Any:
            found = super().resolve_or_missing(key)
            if key == TARGETING and found is missing:
                return targeting_of(super().resolve_or_missing(VISITOR))
            return found

    return cast(type[Context], TargetingContext)
