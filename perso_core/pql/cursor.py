"""Where the parser stands among the tokens of one rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn, TypeVar

from perso_core.errors import RuleError
from perso_core.pql.hints import fault_at, too_deep
from perso_core.pql.lexer import Token, words
from perso_core.pql.nodes import Node
from perso_core.pql.source import Source, Span

T = TypeVar("T")

# How tightly an operator binds, loosest first.
LAMBDA, OR, AND, NOT, COMPARISON, ADDITIVE, MULTIPLICATIVE, UNARY = range(8)

COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">="))

# These begin no value: an operator or a clause begins there.
NOT_A_NAME = words("and or in notin like matches occurs over from where")


class Cursor(ABC):
    """One pass over the tokens. `token` is the one to be read next."""

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        """tokens: those of the source; the last is `end` or `bad`."""
        self.source = source
        self.tokens = tokens
        self.at = 0
        self.token = self.tokens[0]
        self.depth = 0

    # ---- what every part of the grammar is made of

    @abstractmethod
    def expression(self) -> Node: ...

    @abstractmethod
    def operation(self, loosest: int) -> Node: ...

    @abstractmethod
    def postfix(self) -> Node: ...

    # ---- tokens

    def ahead(self) -> Token:
        return self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else self.token

    def advance(self) -> Token:
        token = self.token
        if token.kind not in STOPS:
            self.at += 1
            self.token = self.tokens[self.at]
        return token

    def back(self, at: int) -> None:
        self.at = at
        self.token = self.tokens[at]

    def take(self, word: str) -> bool:
        """Whether the keyword or mark stands here; then it is read."""
        if self.token.word != word:
            return False
        self.at += 1
        self.token = self.tokens[self.at]
        return True

    def expect(self, mark: str, after: str) -> None:
        if not self.take(mark):
            self.fail(f'"{mark}" {after}')

    def since(self, start: int) -> Span:
        """From an offset to the end of what was read last."""
        end = self.tokens[self.at - 1].span[1]
        return (start, end) if end > start else (start, start + 1)

    def fail(self, expected: str) -> NoReturn:
        raise fault_at(self.source, self.tokens, self.at, expected)

    def too_deep(self) -> RuleError:
        return too_deep(self.source, self.token.span)

    def separated(self, read: Callable[[], T]) -> tuple[T, ...]:
        found = [read()]
        while self.take(","):
            found.append(read())
        return tuple(found)


STOPS = frozenset(("end", "bad"))
