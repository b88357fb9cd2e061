"""Tokens to nodes. The docstring of a parsing function begins with its grammar lines; docs/pql.md
holds exactly these. No function calls itself more than MAX_DEPTH deep."""

from __future__ import annotations

from typing import cast

from perso_core.errors import RuleTooLarge
from perso_core.pql.bindings import Bindings
from perso_core.pql.clauses import Clauses
from perso_core.pql.cursor import (
    ADDITIVE,
    AND,
    COMPARISON,
    COMPARISONS,
    LAMBDA,
    MULTIPLICATIVE,
    NOT,
    NOT_A_NAME,
    OR,
    UNARY,
)
from perso_core.pql.hints import too_deep
from perso_core.pql.lexer import Token, tokens_of, words
from perso_core.pql.nodes import (
    And,
    Call,
    Compare,
    Comparison,
    Constant,
    Element,
    Filter,
    ListOf,
    Member,
    Method,
    Negative,
    Node,
    Not,
    ObjectOf,
    Occurs,
    Or,
    Param,
    Path,
    Pattern,
    TimeWord,
    children,
    joined,
    path_of,
    product_of,
    sum_of,
)
from perso_core.pql.source import MAX_DEPTH, MAX_NODES, Source, source_of

TIME_WORDS = frozenset(("now", "today", "yesterday", "tomorrow"))
# What can follow a value and make it part of a larger one.
POSTFIXES = frozenset((".", "["))
OPERATORS = COMPARISONS | words("+ - * / % in notin like matches occurs")
# What begins neither a value nor "-".
PREFIXES = words("not ! select exists forall let sum average min max")
# What ends an argument or a member of a list.
ENDS = frozenset((",", ")", "]"))
# A token gives up to three nodes, one below the other: `today` as a window is On, Path, Element.
NODES_PER_TOKEN = 3


def parse(text: str) -> Node:
    """The rule's nodes, names not yet resolved.

    Raises RuleSyntaxError at the first token that cannot continue a rule, RuleTooLarge over a
    limit. O(length).
    """
    source = source_of(text)
    return parse_tokens(source, tokens_of(source))


def parse_tokens(source: Source, tokens: list[Token]) -> Node:
    """The same of these tokens: those of the source, or what its author meant by them."""
    parser = Parser(source, tokens)
    try:
        node = parser.query()
    except RecursionError:  # the caller's own stack was deep already
        raise parser.too_deep() from None
    if len(parser.tokens) * NODES_PER_TOKEN > MAX_DEPTH:
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


class Parser(Bindings, Clauses):
    """One pass over the tokens of one rule."""

    def query(self) -> Node:
        """query = expression END ;"""
        node = self.expression()
        if self.token.kind != "end":
            self.fail("an operator or the end of the rule")
        return node

    def expression(self) -> Node:
        """expression = lambda | or ;"""
        return self.operation(LAMBDA)

    # ---- operators

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
        left: Node | None = None
        if loosest == LAMBDA and (token.word == "(" or self.ahead().word == "=>"):
            left = self.function()
        if left is None and loosest <= NOT and token.word in PREFIXES:
            left = self.prefixed(token)
        if left is None:
            left = self.compared(loosest, start)
        if self.token.word == "and" and loosest <= AND:
            left = self.joined(left, start)
        if self.token.word == "or" and loosest <= OR:
            left = self.joined(left, start)
        self.depth -= 1
        return left

    def prefixed(self, token: Token) -> Node | None:
        """A negation or a binder; None where the word is a plain name after all."""
        if token.word not in ("not", "!"):
            return self.bound()
        self.advance()
        return Not(self.operation(NOT), self.since(token.span[0]))

    def joined(self, left: Node, start: int) -> Node:
        word = self.token.word
        operands = [left]
        while self.take(word):
            operands.append(self.operation(NOT if word == "and" else AND))
        return joined(And if word == "and" else Or, operands, self.since(start))

    def compared(self, loosest: int, start: int) -> Node:
        """A value and the operators on values that follow it, tightest first."""
        if self.take("-"):
            left: Node = Negative(self.operation(UNARY), self.since(start))
        else:
            left = self.postfix()
        if self.token.word in OPERATORS:
            if loosest <= MULTIPLICATIVE:
                left = self.products(left, start)
            if loosest <= ADDITIVE:
                left = self.sums(left, start)
            if loosest <= COMPARISON:
                left = self.comparison(left, start)
        return left

    def products(self, left: Node, start: int) -> Node:
        factors = [("*", left)]
        while self.token.word in ("*", "/", "%"):
            factors.append((self.advance().text, self.operation(UNARY)))
        return left if len(factors) == 1 else product_of(factors, self.since(start))

    def sums(self, left: Node, start: int) -> Node:
        terms = [("+", left)]
        while self.token.word in ("+", "-"):
            terms.append((self.advance().text, self.operation(MULTIPLICATIVE)))
        return left if len(terms) == 1 else sum_of(terms, self.since(start))

    def comparison(self, left: Node, start: int) -> Node:
        word = self.token.word
        if word not in OPERATORS:
            return left
        self.advance()
        if word == "occurs":
            window = self.window()
            return Occurs(left, window, self.since(start))
        right = self.operation(ADDITIVE)
        if word in COMPARISONS:
            return Compare(cast(Comparison, word), left, right, self.since(start))
        if word in ("in", "notin"):
            return Member(word == "notin", left, right, self.since(start))
        return Pattern(word, left, right, self.since(start))

    # ---- values

    def postfix(self) -> Node:
        """postfix = primary { "." ( NAME [ arguments ] | TEXT ) | "[" expression "]" } ;"""
        token = self.token
        start = token.span[0]
        node = self.named(token) if token.kind == "name" else self.primary()
        if self.token.word not in POSTFIXES:
            return node
        segments: list[str] = []
        while self.token.word in POSTFIXES:
            if self.token.word == "[":
                node, segments = path_of(node, segments, self.since(start)), []
                node = self.filtered(node)
                continue
            self.advance()
            if self.token.kind == "text":
                segments.append(str(self.advance().value))
            elif self.token.kind != "name":
                self.fail("a name after the dot")
            elif self.ahead().word != "(":
                segments.append(self.advance().text)
            else:
                node, segments = path_of(node, segments, self.since(start)), []
                name = self.advance()
                args = self.arguments()
                node = Method(node, name.text, args, self.since(name.span[0]))
        return path_of(node, segments, self.since(start))

    def filtered(self, base: Node) -> Node:
        start = self.advance().span[0]
        condition = self.operation(LAMBDA)
        self.expect("]", "at the end of the filter")
        return Filter(base, condition, self.since(start))

    def primary(self) -> Node:
        """primary = NUMBER | TEXT | "true" | "false" | list | object | "(" expression ")"
        | "now" | "today" | "yesterday" | "tomorrow" | "$" DIGITS | up | chain
        | NAME [ arguments ] ;"""
        token = self.token
        if token.value is not None:
            self.advance()
            return Constant(token.value, token.span)
        if self.take("("):
            node = self.operation(LAMBDA)
            self.expect(")", "to close the bracket")
            return node
        if token.word == "[":
            return self.list()
        if token.word == "{":
            return self.object()
        if token.word != "^":
            self.fail("a value: a field, a number, a text in double quotes or a function")
        return self.up()

    def named(self, token: Token) -> Node:
        word = token.word
        if word in NOT_A_NAME:
            self.fail("a value before this word")
        self.advance()
        if self.token.word == "(":
            if word == "chain":
                return self.chain(token.span[0])
            name = "if" if word == "if" else token.text
            args = self.arguments()
            return Call(name, args, self.since(token.span[0]))
        if word in ("true", "false"):
            return Constant(word == "true", token.span)
        if word in TIME_WORDS:
            return TimeWord(word, token.span)
        if token.text[0] == "$" and token.text[1:].isdecimal() and len(token.text) < 9:
            return Param(int(token.text[1:]), token.span)
        return self.field(token)

    def field(self, token: Token) -> Node:
        """The names of a path up to the first that is no plain one."""
        tokens, at = self.tokens, self.at
        segments = [token.text]
        # Within the list: before its last token there is no dot that two more do not follow.
        while tokens[at].word == "." and tokens[at + 1].kind == "name":
            if tokens[at + 2].word == "(":
                break
            segments.append(tokens[at + 1].text)
            at += 2
        self.back(at)
        start = token.span[0]
        return Path(Element(0, token.span), tuple(segments), (start, tokens[at - 1].span[1]))

    def up(self) -> Node:
        """up = "^" { "^" } [ "." ] NAME ;"""
        start = self.token.span[0]
        levels = 0
        while self.take("^"):
            levels += 1
        self.take(".")
        if self.token.kind != "name":
            self.fail("the name of a field further out")
        name = self.advance()
        element = Element(levels, (start, name.span[0]))
        return Path(element, (name.text,), self.since(start))

    def list(self) -> Node:
        """list = "[" [ expression { "," expression } ] "]" ;"""
        start = self.advance().span[0]
        items = () if self.token.word == "]" else self.separated(self.item)
        self.expect("]", "or a comma and another value")
        return ListOf(items, self.since(start))

    def item(self) -> Node:
        """An argument or a member of a list; lists of thousands of plain values are usual."""
        token = self.token
        if token.value is not None and self.ahead().word in ENDS:
            self.advance()
            return Constant(token.value, token.span)
        return self.operation(LAMBDA)

    def object(self) -> Node:
        """object = "{" [ TEXT ":" expression { "," TEXT ":" expression } ] "}" ;"""
        start = self.advance().span[0]
        entries = () if self.token.word == "}" else self.separated(self.entry)
        self.expect("}", "or a comma and another entry")
        return ObjectOf(entries, self.since(start))

    def entry(self) -> tuple[str, Node]:
        if self.token.kind != "text":
            self.fail("a key in double quotes")
        key = str(self.advance().value)
        self.expect(":", "after the key")
        return key, self.expression()

    def arguments(self) -> tuple[Node, ...]:
        """arguments = "(" [ expression { "," expression } ] ")" ;"""
        self.advance()
        args: list[Node] = []
        while self.token.word != ")":
            args.append(self.item())
            if not self.take(","):
                break
            if self.token.word == ")":
                self.fail("another argument")
        self.expect(")", "or a comma and another argument")
        return tuple(args)
