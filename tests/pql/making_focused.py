"""Rules that lie where answers go wrong: counts, sequences, absence, calendar units, lists against
single values, names that exist at every level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.pql.making_profiles import TEXTS, Chooser, tapes

OPS = ("=", "!=", "<", "<=", ">", ">=")
UNITS = ("milliseconds", "hours", "hours", "days", "days", "weeks", "months", "months", "years")
PERIODS = ("this", "last", "next")
FIELDS = ("a", "b", "n", "t", "u", "tags", "m.k", "os.a", "os.n", "os.tags", "m", 'm.get("a")')
LIKES = ('"%a"', '"a%"', '"_"', '"%"', '""', '"%a%"', '"s_le/%"')
PATTERNS = ('"^a"', '"(?i)B$"', '"^$"', '"."')
# Greek has two small sigmas, Turkish a dotted capital I; sharp s has no single capital.
ANY_CASE = ('"ς"', '"Σ"', '"σ"', '"i̇"', '"İ"', '"SS"', '"SALE/A"')
GROUPS = ('"a(.)"', '"."')
COMMON = ("tags", '["a", 1]')
OTHERS = ('["a", "b"]', "a", "[1]", "[]")
MEMBERS = ('"a"', "1", "true", "b")
CURRENT = ("currentMonth()", "currentDayOfMonth()", "today.getDayOfMonth()", "currentYear()")
SETS = ("intersects", "subsetOf", "supersetOf")
KEYS = ("n", "u", "a", "b")
TEXT_TESTS = (
    "equals",
    "notEqualTo",
    "contains",
    "doesNotContain",
    "startsWith",
    "doesNotStartWith",
    "endsWith",
    "doesNotEndWith",
)

Option = str | Callable[[], str]


class Author(Chooser):
    """Writes one rule. left: how many more levels a part may have."""

    def one(self, *options: Option) -> str:
        chosen = self.pick(options)
        return chosen if isinstance(chosen, str) else str(chosen())

    def op(self) -> str:
        return self.one(*OPS)

    def text(self) -> str:
        return f'"{self.one(*TEXTS)}"'

    def literal(self) -> str:
        return self.one("true", "false", "0", "1", "2", "1.0", "0.5", self.text, self.text)

    def field(self) -> str:
        return self.one(*FIELDS)

    # ---- values

    def number(self, left: int) -> str:
        options: list[Option] = ["0", "1", "2", "3", "n", "n", "tags.count()", "os.count()", "-n"]
        if left > 0:
            options += [
                lambda: f"({self.number(left - 1)} {self.one(*'+-*/%')} {self.number(left - 1)})",
                lambda: f"{self.listed(left - 1)}.{self.one('count()', 'sum(n)', 'max(n)')}",
                lambda: f"{self.listed(left - 1)}.average(n)",
                lambda: f"(sum X.n over X from os where {self.condition(left - 2)})",
                lambda: f"(max X.n over X from xEvent where {self.condition(left - 2)})",
                lambda: self.one("currentMonth()", "t.getMonth()", "u.getYear()"),
            ]
        return self.one(*options)

    def listed(self, left: int) -> str:
        plain: list[Option] = ["os", "os", "xEvent", "tags", "a", "t", "xEvent.os", "xEvent.n"]
        if left <= 0:
            return self.one(*plain)
        inner = self.listed(left - 1)
        key = self.one(*KEYS)
        return self.one(
            *plain,
            lambda: f"{inner}[{self.condition(left - 1)}]",
            lambda: f"{inner}.filter(X => {self.condition(left - 1)})",
            f"{inner}.distinct()",
            lambda: f"{inner}.{self.one('topN', 'bottomN')}({key}, {self.one('0', '1', '2')})",
            lambda: f"{inner}.map({self.one('a', 'n', 'tags', 'X => X.b')})",
            lambda: f"(select X from {inner} where {self.condition(left - 1)})",
            lambda: f"{inner}.intersection({self.one(*COMMON)})",
            f"{inner}.groupBy({self.one('b', 'u')}).map((K, G) => G.count())",
        )

    # ---- times

    def time(self) -> str:
        return self.one(
            *("now", "now", "now", "now", "today", "today", "yesterday", "tomorrow", "t", "u"),
            lambda: f"{self.one(*PERIODS)} {self.one('day', 'week', 'month', 'year')}",
            self.day,
            "xEvent.topN(n, 1).head().u",
        )

    def day(self) -> str:
        return self.one(
            "date(2026, 3, 31)",
            "date(2026, 2, 28)",
            "date(2026, n, 29)",
            "date(currentYear(), currentMonth(), 1)",
        )

    def fixed_time(self) -> str:
        return self.one("t", "u", self.day)

    def window(self, time: Callable[[], str]) -> str:
        side = self.one("before", "before", "after", "from")
        form = self.below(10)
        if form in (0, 3):
            return f"{side} {time()}"
        if form == 1:
            return f"between {time()} and {time()}"
        if form == 2:
            return time()
        amount = self.one("0", "1", "1", "2", "3", "7", "12", "31", "35")
        return (
            f"{self.one('<=', '<', self.op, self.op)} {amount} {self.one(*UNITS)} {side} {time()}"
        )

    def temporal(self) -> str:
        subject = self.one("t", "u", "u", "xEvent.u", "os.t", "xEvent.timestamp")
        subject = self.one(subject, subject, subject, "[t, u]", "os.t.distinct()", "xEvent.max(u)")
        moving, other = [self.one("now", "now", "today", "tomorrow", "yesterday") for _ in "12"]
        return self.one(
            lambda: f"{subject} occurs {self.window(self.time)}",
            lambda: f"{subject} occurs {self.window(self.time)}",
            lambda: f"{subject} occurs {self.window(self.time)}",
            lambda: f"{self.one(*CURRENT)} {self.op()} {self.one('1', '2', '12', 'n')}",
            lambda: f"{subject} {self.op()} {self.one(moving, self.day)}",
            lambda: f"{moving} {self.op()} {self.fixed_time()}",
            lambda: f"{moving} {self.op()} {other}",
            lambda: f"{moving} occurs {self.window(self.time)}",
            lambda: f"{subject} occurs {self.months_from_hours()}",
            lambda: f"{moving} occurs {self.window(self.fixed_time)}",
        )

    def months_from_hours(self) -> str:
        op, amount = self.one("<=", ">", self.op), self.one("0", "1", "2")
        side = self.one("before", "after", "from")
        unit, period = self.one("months", "years"), self.one("hour", "minute")
        return f"{op} {amount} {unit} {side} this {period}"

    # ---- conditions

    def condition(self, left: int) -> str:
        if left <= 0:
            return self.one(self.atom, self.atom, self.atom, self.temporal)

        def inner() -> str:
            return self.condition(left - 1)

        return self.one(
            self.temporal,
            self.temporal,
            lambda: self.many(left),
            lambda: self.many(left),
            lambda: self.chain(left),
            lambda: self.chain(left),
            lambda: f"not({inner()})",
            lambda: f"let L = {self.number(left - 1)} in ({inner()} or L > 1)",
            lambda: f"(({inner()}) {self.one('and', 'or')} ({inner()}))",
            lambda: f"if({inner()}, {inner()}, {inner()})",
        )

    def atom(self) -> str:
        field = self.field()
        case = self.one("", ", false", ", true")
        single = self.one("a", "b", "tags")
        return self.one(
            lambda: f"{field} {self.one('=', '!=')} {self.literal()}",
            lambda: f"{field} {self.op()} {self.field()}",
            lambda: f"n {self.op()} {self.one('0', '1', '2')}",
            lambda: f"{single}.{self.one(*TEXT_TESTS)}({self.text()}{case})",
            lambda: f"{single}.{self.one(*TEXT_TESTS)}({self.one('b', 'tags')}{case})",
            lambda: f"{single}.{self.one(*TEXT_TESTS)}({self.one(*ANY_CASE)}, false)",
            lambda: f"{single}.{self.one(*TEXT_TESTS[:2])}({self.text()}, {self.text()}{case})",
            lambda: f'stringCompare("{self.one(*TEXT_TESTS)}", {field}, {self.texts()}{case})',
            lambda: f"{field} {self.one('in', 'notIn')} [{self.literal()}, {self.literal()}]",
            lambda: f"{field} {self.one('in', 'notIn')} {self.field()}",
            lambda: f"{single} like {self.one(*LIKES)}",
            lambda: f"{single}.matches({self.one(*PATTERNS)})",
            lambda: f"{field}.{self.one('isNull()', 'isNotNull()')}",
            field,
            lambda: f"{field}.{self.one(*SETS)}({self.one(*OTHERS)})",
            lambda: f"{field}.includes({self.one(*MEMBERS)})",
            'inSegment("s")',
            lambda: f"{self.made_list()} {self.op()} {self.one('0', '1', '2', 'n')}",
            lambda: f"{self.made_list()}.{self.one(*TEXT_TESTS)}({self.text()}{case})",
            lambda: f"{self.made_list()} like {self.one(*LIKES)}",
            lambda: f"os.groupBy({self.one(*KEYS)}).get({self.literal()}).count() > 0",
            lambda: f"b.regexGroup({self.one(*GROUPS)}) = {self.text()}",
        )

    def made_list(self) -> str:
        """A list that the rule makes."""
        return self.one(
            *("[n, b]", "tags.distinct()", "m.values()", "os.topN(n, 2).n.distinct()"),
            *("[2, b]", "(select X from tags)", "os.groupBy(n).keys()"),
        )

    def texts(self) -> str:
        return f"[{self.text()}, {self.text()}]"

    def many(self, left: int) -> str:
        """Counts, absence, quantifiers."""
        return self.one(
            lambda: f"xEvent[{self.condition(left - 1)}].count() {self.compared()}",
            lambda: f"{self.listed(left - 1)}.count() {self.compared()}",
            lambda: f"{self.listed(left - 1)}.exists({self.condition(left - 1)})",
            lambda: f"{self.listed(left - 1)}.forall({self.condition(left - 1)})",
            lambda: f"(exists {self.range(left)}, Y from X.os where Y.n > 0)",
            lambda: f"(forall {self.range(left)}, Y from X.tags where Y != 1)",
            lambda: f"(select {self.range(left)}, Y from X.os where Y.n > 0).count() > 1",
            lambda: f"{self.listed(left - 1)}.isNull()",
            lambda: f"xEvent[os[n {self.op()} ^n]].count() {self.compared()}",
            lambda: f"{self.listed(left - 1)}.head().{self.one(*KEYS)} = {self.literal()}",
            lambda: f"{self.number(left - 1)} {self.op()} {self.number(left - 1)}",
        )

    def compared(self) -> str:
        return f"{self.op()} {self.one('0', '1', '2')}"

    def range(self, left: int) -> str:
        return f"X from {self.listed(left - 1)} where {self.condition(left - 1)}"

    # ---- chains

    def chain(self, left: int) -> str:
        number = (1, 1, 2, 2, 2, 3, 3, 4)[self.below(8)]
        steps = [self.step(position, number, left) for position in range(number)]
        order = self.one("timestamp", "timestamp", "timestamp", "timestamp", "u")
        return f"CHAIN(xEvent, {order}, [{', '.join(steps)}])"

    def step(self, position: int, number: int, left: int) -> str:
        what = self.one(self.kind, self.kind, self.kind, lambda: self.condition(left - 2))
        ops: Sequence[str] = OPS if number == 1 else (">=", ">")
        count = f" COUNT({self.one(*ops)} {self.one('0', '1', '1', '2', '2', '3')})"
        count = count.replace("(< 0)", "(< 1)")  # no number is less than 0
        labels = [f"C{earlier}" for earlier in range(position)][-2:]
        return f"C{position}: WHAT({what}){self.when(labels)}{self.one('', '', '', count)}"

    def kind(self) -> str:
        return self.one(
            *('e = "x"', 'e = "x"', 'e = "y"', 'e.equals("X", false)', "n > 0", 'e != "x"'),
            *("os.isNotNull()", "e.isNotNull()", 'e in ["x", "y"]'),
        )

    def when(self, labels: list[str]) -> str:
        plain = self.one("", "", "", self.passing, lambda: f" WHEN({self.window(self.time)})")
        if not labels:
            return plain
        label = self.one(*labels)
        length = self.one("1 hours", "2 hours", "3 hours", "5 hours", "1 days", "3 days", "0 hours")
        side = self.one("after", "after", "after", "after", "before", "from")
        op = self.one("<=", "<=", "<", self.op)
        anchored = f" WHEN({op} {length} {side} {label})"
        between = self.one(f"{label} and {self.time()}", f"{self.time()} and {label}")
        return self.one(
            plain, anchored, anchored, f" WHEN(after {label})", f" WHEN(between {between})"
        )

    def passing(self) -> str:
        """A window that neighbours come into and leave hour by hour."""
        op = self.one("<=", "<", ">=", ">", "=", "!=")
        return f" WHEN({op} {self.one('1', '2', '3', '4', '6')} hours before now)"


def written(part: Callable[[Author], str]) -> st.SearchStrategy[str]:
    @st.composite
    def texts(draw: Any) -> str:
        return part(Author(draw(tapes)))

    return texts()


chains = written(lambda author: author.chain(2))
times = written(lambda author: author.temporal())
conditions = written(lambda author: author.condition(2))
numbers = written(lambda author: author.number(3))
lists = written(lambda author: author.listed(3))
passing = written(
    lambda author: (
        f"CHAIN(xEvent, timestamp, [A: WHAT({author.kind()}){author.passing()},"
        f" B: WHAT({author.kind()}){author.one('', author.passing)}])"
    )
)
windows = written(lambda author: f"{author.one('u', 't')} occurs {author.window(author.time)}")
rules = st.one_of(conditions, chains, times, windows, passing)
