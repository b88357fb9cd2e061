"""The parser's part for what gives a name to values. See parser.py."""

from __future__ import annotations

from perso_core.pql.cursor import ADDITIVE, NOT_A_NAME, Cursor
from perso_core.pql.lexer import Token
from perso_core.pql.nodes import Binder, Lambda, Let, Node, Over, Range

AGGREGATES = frozenset(("sum", "average", "min", "max"))
BINDERS = frozenset(("select", "exists", "forall"))
# Nobody may give these names to a variable.
NOT_A_VARIABLE = NOT_A_NAME | frozenset(("select", "not", "true", "false", "null"))


class Bindings(Cursor):
    """Lambdas, select, exists, forall, let, and aggregates over ranges."""

    def function(self) -> Node | None:
        """lambda = ( NAME | "(" NAME { "," NAME } ")" ) "=>" expression ;

        None where something else begins.
        """
        names = self.lambda_names()
        if names is None:
            return None
        start = self.token.span[0]
        while not self.take("=>"):
            self.advance()
        return Lambda(names, self.expression(), self.since(start))

    def lambda_names(self) -> tuple[str, ...] | None:
        """The names before "=>" when a lambda begins here; reads nothing."""
        tokens, at = self.tokens, self.at + 1
        if nameable(self.token):
            names: tuple[str, ...] = (self.token.text,)
        elif self.token.word == "(":
            names = ()
            while nameable(tokens[at]) and tokens[at + 1].word in (",", ")"):
                names += (tokens[at].text,)
                at += 2
                if tokens[at - 1].word == ")":
                    break
            else:
                if names:  # after the comma nothing else can stand
                    self.back(at + nameable(tokens[at]))
                    self.fail("another name and =>")
                return None
        else:
            return None
        return names if at < len(tokens) and tokens[at].word == "=>" else None

    def bound(self) -> Node | None:
        word, following = self.token.word, self.ahead()
        if word in BINDERS and following.kind == "name":
            return self.binder()
        if word == "let" and following.kind == "name" and following.word not in NOT_A_NAME:
            return self.let()
        if word in AGGREGATES and self.begins_measure(following):
            return self.over()
        return None

    def begins_measure(self, token: Token) -> bool:
        if token.kind == "name":
            return token.word not in NOT_A_NAME
        return token.kind in ("number", "text") or token.word in ("(", "^")

    def binder(self) -> Node:
        """binder = ( "select" | "exists" | "forall" ) ranges ;"""
        token = self.advance()
        return Binder(token.word, self.ranges(), self.since(token.span[0]))

    def over(self) -> Node:
        """over = AGGREGATE additive "over" ranges
             | AGGREGATE NAME "from" postfix [ where ] ;
        AGGREGATE = "sum" | "average" | "min" | "max" ;"""
        token = self.advance()
        at = self.at
        measure = self.operation(ADDITIVE)
        if self.take("over"):
            ranges = self.ranges()
        elif self.token.word == "from" and self.at == at + 1:
            self.back(at)
            ranges = (self.range(),)
        else:
            self.fail('"over" and what is added up')
        return Over(token.word, measure, ranges, self.since(token.span[0]))

    def let(self) -> Node:
        """let = "let" NAME "=" additive "in" expression ;"""
        start = self.advance().span[0]
        name = self.variable()
        self.expect("=", "after the name")
        bound = self.operation(ADDITIVE)
        if not self.take("in"):
            self.fail('"in" and the expression that uses the name')
        return Let(name, bound, self.expression(), self.since(start))

    def ranges(self) -> tuple[Range, ...]:
        """ranges = range { "," range } ;"""
        return self.separated(self.range)

    def range(self) -> Range:
        """range = NAME "from" postfix [ where ] ;
        where = ( "where" | ":" ) expression ;"""
        start = self.token.span[0]
        name = self.variable()
        if not self.take("from"):
            self.fail('"from" and a list')
        array = self.postfix()
        condition = None
        if self.take("where") or self.take(":"):
            condition = self.expression()
        return Range(name, array, condition, self.since(start))

    def variable(self) -> str:
        if not nameable(self.token):
            self.fail("a name for the variable")
        return self.advance().text


def nameable(token: Token) -> bool:
    """Whether a variable may have this name."""
    free = token.word not in NOT_A_VARIABLE and token.text != "xEvent"
    return free and token.kind == "name"
