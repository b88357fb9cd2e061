"""Tokens to nodes. The docstring of a parsing function begins with its grammar lines; docs/pql.md
holds exactly these. No function calls itself more than MAX_DEPTH deep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, cast

from perso_core.errors import RuleError, RuleTooLarge
from perso_core.pql.hints import fault_at, too_deep
from perso_core.pql.lexer import UNITS, Token, tokens_of, words
from perso_core.pql.nodes import (
    And,
    Between,
    Binder,
    Call,
    Chain,
    Compare,
    Comparison,
    Constant,
    Direction,
    Distance,
    Element,
    Filter,
    Lambda,
    Let,
    ListOf,
    Member,
    Method,
    Negative,
    Node,
    Not,
    ObjectOf,
    Occurs,
    On,
    Or,
    Over,
    Param,
    Path,
    Pattern,
    Period,
    Range,
    Side,
    Step,
    TimeWord,
    Window,
    children,
    joined,
    path_of,
    product_of,
    sum_of,
)
from perso_core.pql.source import MAX_DEPTH, MAX_NODES, Source, Span, source_of

T = TypeVar("T")

# How tightly an operator binds, loosest first.
LAMBDA, OR, AND, NOT, COMPARISON, ADDITIVE, MULTIPLICATIVE, UNARY = range(8)

COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">="))
WORD_OPERATORS = frozenset(("in", "notin", "like", "matches", "occurs"))
AGGREGATES = frozenset(("sum", "average", "min", "max"))
BINDERS = frozenset(("select", "exists", "forall"))
TIME_WORDS = frozenset(("now", "today", "yesterday", "tomorrow"))

# These begin no value: an operator or a clause begins there.
NOT_A_NAME = words("and or in notin like matches occurs over from where")
# Nobody may give these names to a variable.
NOT_A_VARIABLE = NOT_A_NAME | frozenset(("select", "not", "true", "false", "null"))


def parse(text: str) -> Node:
    """The rule's nodes, names not yet resolved.

    Raises RuleSyntaxError at the first token that cannot continue a rule, RuleTooLarge over a
    limit. O(length).
    """
    source = source_of(text)
    parser = Parser(source)
    try:
        node = parser.query()
    except RecursionError:  # the caller's own stack was deep already
        raise parser.too_deep() from None
    _within_limits(source, node)
    return node


def _within_limits(source: Source, root: Node) -> None:
    """Raises RuleTooLarge for more than MAX_DEPTH levels or MAX_NODES nodes."""
    level, nodes, depth = [root], 0, 0
    while level:
        nodes += len(level)
        depth += 1
        if nodes > MAX_NODES:
            raise source.fault(
                RuleTooLarge,
                level[0].place,
                f"The rule has more than {MAX_NODES:,} parts.",
                "Split it into audiences and combine them with inSegment(...).",
            )
        if depth > MAX_DEPTH:
            raise too_deep(source, level[0].place)
        level = [child for node in level for child in children(node)]


class Parser:
    """One pass over the tokens of one rule."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = tokens_of(source)
        self.at = 0
        self.depth = 0

    # ---- tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def ahead(self, count: int = 1) -> Token:
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def advance(self) -> Token:
        token = self.token
        self.at += token.kind not in ("end", "bad")
        return token

    def mark(self, text: str) -> bool:
        return self.token.kind == "mark" and self.token.text == text

    def take_mark(self, text: str) -> bool:
        found = self.mark(text)
        if found:
            self.advance()
        return found

    def take_word(self, word: str) -> bool:
        found = self.token.word == word
        if found:
            self.advance()
        return found

    def expect_mark(self, text: str, after: str) -> None:
        if not self.take_mark(text):
            self.fail(f'"{text}" {after}')

    def since(self, start: int) -> Span:
        """From an offset to the end of what was read last."""
        return start, max(start + 1, self.tokens[self.at - 1].span[1])

    def fail(self, expected: str) -> NoReturn:
        raise fault_at(self.source, self.tokens, self.at, expected)

    def too_deep(self) -> RuleError:
        return too_deep(self.source, self.token.span)

    def separated(self, read: Callable[[], T]) -> tuple[T, ...]:
        found = [read()]
        while self.take_mark(","):
            found.append(read())
        return tuple(found)

    # ---- the grammar

    def query(self) -> Node:
        """query = expression END ;"""
        node = self.expression()
        if self.token.kind != "end":
            self.fail("an operator or the end of the rule")
        return node

    def expression(self) -> Node:
        """expression = lambda | or ;"""
        return self.operation(LAMBDA)

    def function(self, names: tuple[str, ...]) -> Node:
        """lambda = ( NAME | "(" NAME { "," NAME } ")" ) "=>" expression ;"""
        start = self.token.span[0]
        while not self.take_mark("=>"):
            self.advance()
        return Lambda(names, self.expression(), self.since(start))

    def lambda_names(self) -> tuple[str, ...] | None:
        """The names before "=>" when a lambda begins here; reads nothing."""
        at = self.at
        if self.token.kind == "name":
            names: tuple[str, ...] = (self.token.text,)
            at += 1
        elif self.mark("("):
            names = ()
            at += 1
            while self.tokens[at].kind == "name" and self.tokens[at + 1].text in (",", ")"):
                names += (self.tokens[at].text,)
                at += 2
                if self.tokens[at - 1].text == ")":
                    break
            else:
                return None
        else:
            return None
        arrow = self.tokens[min(at, len(self.tokens) - 1)]
        return names if arrow.kind == "mark" and arrow.text == "=>" else None

    def operation(self, loosest: int) -> Node:
        """or = and { "or" and } ;
        and = not { "and" not } ;
        not = ( "not" | "!" ) not | binder | over | let | comparison ;
        comparison = additive [ COMPARISON additive | ( "in" | "notIn" ) additive
                   | ( "like" | "matches" ) additive | "occurs" window ] ;
        additive = product { ( "+" | "-" ) product } ;
        product = unary { ( "*" | "/" | "%" ) unary } ;
        unary = "-" unary | postfix ;

        loosest: the loosest operator that may be read at this place. One function reads all
        levels: a bracket costs four calls of the interpreter's stack instead of ten.
        """
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.too_deep()
        token = self.token
        start = token.span[0]
        names = self.lambda_names() if loosest == LAMBDA else None
        left: Node | None = None
        if names is not None:
            left = self.function(names)
        elif loosest <= NOT and (token.word == "not" or self.mark("!")):
            self.advance()
            left = Not(self.operation(NOT), self.since(start))
        elif loosest <= NOT:
            left = self.bound()
        if left is None:
            left = self.compared(loosest, start)
        if loosest <= AND:
            left = self.joined("and", left, start)
        if loosest <= OR:
            left = self.joined("or", left, start)
        self.depth -= 1
        return left

    def compared(self, loosest: int, start: int) -> Node:
        """A value and the operators on values that follow it, tightest first."""
        if self.take_mark("-"):
            left: Node = Negative(self.operation(UNARY), self.since(start))
        else:
            left = self.postfix()
        if loosest <= MULTIPLICATIVE:
            left = self.products(left, start)
        if loosest <= ADDITIVE:
            left = self.sums(left, start)
        if loosest <= COMPARISON:
            left = self.comparison(left, start)
        return left

    def products(self, left: Node, start: int) -> Node:
        factors = [("*", left)]
        while self.token.kind == "mark" and self.token.text in "*/%":
            factors.append((self.advance().text, self.operation(UNARY)))
        return left if len(factors) == 1 else product_of(factors, self.since(start))

    def sums(self, left: Node, start: int) -> Node:
        terms = [("+", left)]
        while self.token.kind == "mark" and self.token.text in "+-":
            terms.append((self.advance().text, self.operation(MULTIPLICATIVE)))
        return left if len(terms) == 1 else sum_of(terms, self.since(start))

    def comparison(self, left: Node, start: int) -> Node:
        token = self.token
        if token.kind == "mark" and token.text in COMPARISONS:
            self.advance()
            right = self.operation(ADDITIVE)
            return Compare(cast(Comparison, token.text), left, right, self.since(start))
        if token.word not in WORD_OPERATORS:
            return left
        self.advance()
        if token.word == "occurs":
            window = self.window()
            return Occurs(left, window, self.since(start))
        right = self.operation(ADDITIVE)
        if token.word in ("in", "notin"):
            return Member(token.word == "notin", left, right, self.since(start))
        return Pattern(token.word, left, right, self.since(start))

    def joined(self, word: str, left: Node, start: int) -> Node:
        operands = [left]
        while self.take_word(word):
            operands.append(self.operation(NOT if word == "and" else AND))
        if len(operands) == 1:
            return left
        return joined(And if word == "and" else Or, operands, self.since(start))

    # ---- binders

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
        return token.kind in ("number", "text") or token.text in ("(", "^")

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
        if self.take_word("over"):
            ranges = self.ranges()
        elif self.token.word == "from" and self.at == at + 1:
            self.at = at
            ranges = (self.range(),)
        else:
            self.fail('"over" and what is added up')
        return Over(token.word, measure, ranges, self.since(token.span[0]))

    def let(self) -> Node:
        """let = "let" NAME "=" additive "in" expression ;"""
        start = self.advance().span[0]
        name = self.variable()
        self.expect_mark("=", "after the name")
        bound = self.operation(ADDITIVE)
        if not self.take_word("in"):
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
        if not self.take_word("from"):
            self.fail('"from" and a list')
        array = self.postfix()
        condition = None
        if self.take_word("where") or self.take_mark(":"):
            condition = self.expression()
        return Range(name, array, condition, self.since(start))

    def variable(self) -> str:
        token = self.token
        if token.kind != "name" or token.word in NOT_A_VARIABLE or token.text == "xEvent":
            self.fail("a name for the variable")
        return self.advance().text

    # ---- time windows

    def window(self) -> Window:
        """window = COMPARISON WHOLE unit direction time | direction time
               | "between" time "and" time | [ "on" ] time ;
        direction = "before" | "after" | "from" ;"""
        token = self.token
        start = token.span[0]
        if token.kind == "mark" and token.text in COMPARISONS:
            return self.distance()
        ahead = self.ahead()
        soft = ahead.kind == "mark" and ahead.text not in "(^"
        if token.word in ("before", "after", "from") and not soft:
            self.advance()
            return Side(cast(Direction, token.word), self.time(), self.since(start))
        if token.word == "between" and not soft:
            self.advance()
            first = self.time()
            if not self.take_word("and"):
                self.fail('"and" and the second time')
            return Between(first, self.time(), self.since(start))
        if token.word == "on" and not soft:
            self.advance()
        return On(self.time(), self.since(start))

    def distance(self) -> Window:
        op = self.advance()
        amount = self.token
        if amount.kind != "number" or not isinstance(amount.value, int):
            self.fail("a whole number")
        self.advance()
        unit = self.unit()
        direction = self.token.word
        if direction not in ("before", "after", "from"):
            self.fail("before, after or from, and a time")
        self.advance()
        time, span = self.time(), self.since(op.span[0])
        comparison, towards = cast(Comparison, op.text), cast(Direction, direction)
        return Distance(comparison, amount.value, unit, towards, time, span)

    def unit(self) -> str:
        """unit = "millisecond" | "second" | "minute" | "hour" | "day" | "week" | "month" | "year"
        | "decade" | "century" | "millennium" ;   (* singular or plural *)"""
        unit = UNITS.get(self.token.text.lower())
        if self.token.kind != "name" or unit is None:
            self.fail("a unit of time, such as hours or days")
        self.advance()
        return unit

    def time(self) -> Node:
        """time = ( "this" | "last" | "next" ) unit | postfix ;"""
        token = self.token
        if token.word in ("this", "last", "next") and self.ahead().text.lower() in UNITS:
            self.advance()
            return Period(token.word, self.unit(), self.since(token.span[0]))
        return self.postfix()

    # ---- values

    def postfix(self) -> Node:
        """postfix = primary { "." ( NAME [ arguments ] | TEXT ) | "[" expression "]" } ;"""
        start = self.token.span[0]
        node = self.primary()
        segments: list[str] = []
        while True:
            if self.mark("["):
                node, segments = path_of(node, segments, self.since(start)), []
                node = self.filtered(node)
            elif not self.take_mark("."):
                return path_of(node, segments, self.since(start))
            elif self.token.kind == "text":
                segments.append(str(self.advance().value))
            elif self.token.kind != "name":
                self.fail("a name after the dot")
            elif self.ahead().text != "(" or self.ahead().kind != "mark":
                segments.append(self.advance().text)
            else:
                node, segments = path_of(node, segments, self.since(start)), []
                name = self.advance()
                args = self.arguments()
                node = Method(node, name.text, args, self.since(name.span[0]))

    def filtered(self, base: Node) -> Node:
        start = self.advance().span[0]
        condition = self.operation(LAMBDA)
        self.expect_mark("]", "at the end of the filter")
        return Filter(base, condition, self.since(start))

    def primary(self) -> Node:
        """primary = NUMBER | TEXT | "true" | "false" | list | object | "(" expression ")"
        | "now" | "today" | "yesterday" | "tomorrow" | "$" DIGITS | up | chain
        | NAME [ arguments ] ;"""
        token = self.token
        if token.kind in ("number", "text"):
            self.advance()
            assert token.value is not None, "numbers and texts carry their value"
            return Constant(token.value, token.span)
        if token.kind == "name":
            return self.named(token)
        if self.take_mark("("):
            node = self.operation(LAMBDA)
            self.expect_mark(")", "to close the bracket")
            return node
        if self.mark("["):
            return self.list()
        if self.mark("{"):
            return self.object()
        if not self.mark("^"):
            self.fail("a value: a field, a number, a text in double quotes or a function")
        return self.up()

    def named(self, token: Token) -> Node:
        if token.word in NOT_A_NAME:
            self.fail("a value before this word")
        self.advance()
        called = self.mark("(")
        if token.word == "chain" and called:
            return self.chain(token.span[0])
        if called:
            name = "if" if token.word == "if" else token.text
            args = self.arguments()
            return Call(name, args, self.since(token.span[0]))
        if token.word in ("true", "false"):
            return Constant(token.word == "true", token.span)
        if token.word in TIME_WORDS:
            return TimeWord(token.word, token.span)
        if token.text[0] == "$" and token.text[1:].isdecimal() and len(token.text) < 9:
            return Param(int(token.text[1:]), token.span)
        return Path(Element(0, token.span), (token.text,), token.span)

    def up(self) -> Node:
        """up = "^" { "^" } [ "." ] NAME ;"""
        start = self.token.span[0]
        levels = 0
        while self.take_mark("^"):
            levels += 1
        self.take_mark(".")
        if self.token.kind != "name":
            self.fail("the name of a field further out")
        name = self.advance()
        element = Element(levels, (start, name.span[0]))
        return Path(element, (name.text,), self.since(start))

    def list(self) -> Node:
        """list = "[" [ expression { "," expression } ] "]" ;"""
        start = self.advance().span[0]
        items = () if self.mark("]") else self.separated(self.item)
        self.expect_mark("]", "or a comma and another value")
        return ListOf(items, self.since(start))

    def item(self) -> Node:
        """A member of a list; lists of thousands of plain values are usual."""
        token = self.token
        if token.value is not None and self.ahead().text in (",", "]"):
            self.at += 1
            return Constant(token.value, token.span)
        return self.expression()

    def object(self) -> Node:
        """object = "{" [ TEXT ":" expression { "," TEXT ":" expression } ] "}" ;"""
        start = self.advance().span[0]
        entries = () if self.mark("}") else self.separated(self.entry)
        self.expect_mark("}", "or a comma and another entry")
        return ObjectOf(entries, self.since(start))

    def entry(self) -> tuple[str, Node]:
        if self.token.kind != "text":
            self.fail("a key in double quotes")
        key = str(self.advance().value)
        self.expect_mark(":", "after the key")
        return key, self.expression()

    def arguments(self) -> tuple[Node, ...]:
        """arguments = "(" [ expression { "," expression } ] ")" ;"""
        self.advance()
        args: list[Node] = []
        while not self.mark(")"):
            args.append(self.operation(LAMBDA))
            if not self.take_mark(","):
                break
            if self.mark(")"):
                self.fail("another argument")
        self.expect_mark(")", "or a comma and another argument")
        return tuple(args)

    # ---- chains

    def chain(self, start: int) -> Node:
        """chain = "chain" "(" postfix "," postfix "," "[" step { "," step } "]" ")" ;"""
        self.advance()
        events = self.postfix()
        self.expect_mark(",", "after the list of events")
        order = self.postfix()
        self.expect_mark(",", "after the field that gives the order")
        self.expect_mark("[", "and the steps")
        steps = self.separated(self.step)
        self.expect_mark("]", "or a comma and another step")
        self.expect_mark(")", "to close the chain")
        return Chain(events, order, steps, self.since(start))

    def step(self) -> Step:
        """step = NAME ":" "WHAT" "(" expression ")" { "WHERE" "(" expression ")"
        | "WHEN" "(" window ")" | "COUNT" "(" [ COMPARISON ] WHOLE ")" } ;"""
        start = self.token.span[0]
        if self.token.kind != "name":
            self.fail("a label for the step, such as C0")
        label = self.advance().text
        self.expect_mark(":", "after the label")
        if self.token.word != "what":
            self.fail("WHAT(...)")
        conditions: list[Node] = []
        windows: list[Window] = []
        counts: list[tuple[Comparison, int]] = []
        clauses: dict[str, Callable[[], Any]] = {
            "what": lambda: conditions.append(self.expression()),
            "where": lambda: conditions.append(self.expression()),
            "when": lambda: windows.append(self.window()),
            "count": lambda: counts.append(self.count()),
        }
        while self.token.word in clauses and not (conditions and self.token.word == "what"):
            clause = self.advance()
            self.expect_mark("(", f"after {clause.text}")
            clauses[clause.word]()
            self.expect_mark(")", f"to close {clause.text}")
        span = self.since(start)
        return Step(label, tuple(conditions), tuple(windows), tuple(counts), span)

    def count(self) -> tuple[Comparison, int]:
        op: Comparison = ">="
        if self.token.kind == "mark" and self.token.text in COMPARISONS:
            op = cast(Comparison, self.advance().text)
        number = self.token
        if number.kind != "number" or not isinstance(number.value, int):
            self.fail("a whole number")
        self.advance()
        return op, number.value
