"""Words and functions of other languages, and what stands for them in a rule."""

from __future__ import annotations

from collections.abc import Mapping

LENGTH = 'Write count() of a list; of a text, matches("^.{3,}$") asks for its length.'
ANY_CASE = 'Write false as the last argument: equals("gold", false).'
EMPTY = 'Write isNull() for no value, = "" for an empty text, count() = 0 for an empty list.'
PRESENT = "Write isNotNull()."
PART = 'Write startsWith("x"); endsWith("x"); regexGroup("^(.)", 1).'
DAY_OR_HOUR = "Write occurs with a window: now occurs >= 9 hours after today."
WEEK = "Write joined occurs this week."
AGE = "Write birthDate occurs >= 18 years before today."
WINDOW = "Write joined occurs <= 5 days before now."
INCLUDES = 'Write interests.includes("sport").'
NOTHING = "Keep what it gives in an attribute of the profile."
LATEST = "Write topN(timestamp, 1).head()."

# By the name in small letters.
FUNCTIONS: Mapping[str, str] = {
    **dict.fromkeys(("length", "len", "size", "strlen", "cardinality"), LENGTH),
    **dict.fromkeys(("tolowercase", "touppercase", "lower", "upper", "lowercase"), ANY_CASE),
    **dict.fromkeys(("uppercase", "tolower", "toupper", "casefold"), ANY_CASE),
    **dict.fromkeys(("equalsignorecase", "iequals"), ANY_CASE),
    **dict.fromkeys(("isempty", "empty", "isblank", "isnullorempty"), EMPTY),
    **dict.fromkeys(("isnotempty", "notempty", "isnotblank", "ispresent", "notnull"), PRESENT),
    **dict.fromkeys(("isdefined", "haskey", "hasvalue"), PRESENT),
    "has": INCLUDES,
    **dict.fromkeys(("substring", "substr", "slice", "charat", "left", "right", "mid"), PART),
    **dict.fromkeys(("indexof", "find", "search", "test", "match"), 'Write contains("x").'),
    **dict.fromkeys(("regex", "regexp", "rlike"), 'Write matches("^x").'),
    **dict.fromkeys(("some", "any", "anymatch"), "Write exists(price > 9)."),
    **dict.fromkeys(("every", "all", "allmatch"), "Write forall(price > 9)."),
    **dict.fromkeys(("where", "select"), "Write filter(price > 9)."),
    **dict.fromkeys(("first", "firstordefault"), "Write head()."),
    **dict.fromkeys(("last", "latest"), LATEST),
    **dict.fromkeys(("sort", "sortby", "orderby", "sorted"), "Write topN(price, 3)."),
    **dict.fromkeys(("reverse", "reversed"), "Write bottomN(price, 3)."),
    **dict.fromkeys(("avg", "mean"), "Write average(price)."),
    **dict.fromkeys(("maximum", "greatest"), "Write max(price)."),
    **dict.fromkeys(("minimum", "least"), "Write min(price)."),
    **dict.fromkeys(("reduce", "total"), "Write sum(price)."),
    **dict.fromkeys(("unique", "uniq", "distinctcount"), "Write distinct().count()."),
    **dict.fromkeys(("coalesce", "ifnull", "nvl", "isnullor"), "Write if(a.isNull(), 0, a)."),
    **dict.fromkeys(("gethours", "gethour", "hour", "hourofday", "currenthour"), DAY_OR_HOUR),
    **dict.fromkeys(("getminutes", "getminute", "minute", "currentminute"), DAY_OR_HOUR),
    "currentday": "Write currentDayOfMonth().",
    **dict.fromkeys(
        ("getday", "dayofweek", "getdayofweek", "currentdayofweek", "weekday"), NOTHING
    ),
    **dict.fromkeys(("getweekday", "currentweekday", "isweekend"), NOTHING),
    **dict.fromkeys(("getweek", "getweekofyear", "weekofyear", "week", "currentweek"), WEEK),
    **dict.fromkeys(("getage", "age"), AGE),
    **dict.fromkeys(("getdate", "dayofmonth", "day"), "Write getDayOfMonth()."),
    **dict.fromkeys(("month",), "Write getMonth()."),
    **dict.fromkeys(("year", "getfullyear"), "Write getYear()."),
    **dict.fromkeys(("isbefore", "before"), "Write joined occurs before today."),
    **dict.fromkeys(("isafter", "after"), "Write joined occurs after today."),
    **dict.fromkeys(("now", "today", "yesterday", "tomorrow"), "Write the word without brackets."),
    **dict.fromkeys(("currentdate", "currenttime"), "Write today."),
    **dict.fromkeys(("in", "isin", "oneof", "anyof"), 'Write tier in ["gold", "silver"].'),
    **dict.fromkeys(("notin", "noneof"), 'Write tier notIn ["gold", "silver"].'),
    **dict.fromkeys(("like", "ilike"), 'Write page like "sale/%".'),
    **dict.fromkeys(("between", "inrange"), "Write points >= 1 and points <= 5."),
    **dict.fromkeys(("eq", "equal", "is"), 'Write tier = "gold".'),
    **dict.fromkeys(("ne", "neq"), 'Write tier != "gold".'),
    **dict.fromkeys(("gt", "greaterthan"), "Write points > 5."),
    **dict.fromkeys(("gte", "ge", "atleast"), "Write points >= 5."),
    **dict.fromkeys(("lt", "lessthan"), "Write points < 5."),
    **dict.fromkeys(("lte", "le", "atmost"), "Write points <= 5."),
    **dict.fromkeys(("trim", "strip", "replace", "split", "concat", "join"), NOTHING),
    **dict.fromkeys(("round", "floor", "ceil", "abs", "pow", "sqrt", "cast", "tostring"), NOTHING),
    **dict.fromkeys(("parseint", "tonumber", "int", "float", "str"), NOTHING),
    **dict.fromkeys(("toint", "tointeger", "tofloat", "todouble", "number"), NOTHING),
    **dict.fromkeys(("datediff", "daysbetween", "dayssince", "timediff", "diff"), WINDOW),
    **dict.fromkeys(
        ("plusdays", "minusdays", "adddays", "dateadd", "datesub", "addmonths"), WINDOW
    ),
    **dict.fromkeys(("todate", "parsedate", "datetime", "timestamp"), "Write date(2026, 12, 31)."),
}

# Where an operator has to stand, by the word in small letters.
OPERATORS: Mapping[str, str] = {
    "between": "Write points >= 1 and points <= 5; of times, joined occurs between yesterday and"
    " now.",
    "ilike": 'Write matches "(?i)^x".',
    **dict.fromkeys(("regexp", "rlike", "regex", "similar"), 'Write matches "^x".'),
    "is": 'Write =, as in tier = "gold"; isNull() asks whether there is a value.',
    **dict.fromkeys(("isnull",), "Write tier.isNull()."),
    **dict.fromkeys(("notnull", "isnotnull", "exists"), "Write tier.isNotNull()."),
    **dict.fromkeys(("has", "include", "includes"), INCLUDES),
    **dict.fromkeys(("contain", "contains"), 'Write tier.contains("x").'),
    **dict.fromkeys(("starts", "startswith", "begins"), 'Write tier.startsWith("x").'),
    **dict.fromkeys(("ends", "endswith"), 'Write tier.endsWith("x").'),
    **dict.fromkeys(("eq", "equals", "equal"), 'Write tier = "gold".'),
    **dict.fromkeys(("ne", "neq"), 'Write tier != "gold".'),
    "gt": "Write points > 5.",
    **dict.fromkeys(("ge", "gte"), "Write points >= 5."),
    "lt": "Write points < 5.",
    **dict.fromkeys(("le", "lte"), "Write points <= 5."),
    "xor": "Write (a or b) and not(a and b).",
    **dict.fromkeys(("then", "else", "?"), "Write if(a > 1, 10, 0)."),
    **dict.fromkeys(("mod", "div"), "Write points % 2 or points / 2."),
    "not": 'Write not before the whole comparison: not(page like "sale/%").',
    "~": 'Write matches "^x".',
    ";": "Take it out: a rule is one expression.",
    "#": "Take it out: a rule has no remarks.",
    "//": "Take it out: a rule has no remarks.",
    "/*": "Take it out: a rule has no remarks.",
    "`": "Write the name without quotes around it.",
    "=>": "Write >= in place of =>.",
    **dict.fromkeys(("−", "–", "—"), "Write - in place of it."),
    **dict.fromkeys(("∧", "∩"), "Write a and b."),
    **dict.fromkeys(("∨", "∪"), "Write a or b."),
    "¬": "Write not(a).",
    "∈": 'Write tier in ["gold", "silver"].',
    "∉": 'Write tier notIn ["gold", "silver"].',
    "＝": 'Write tier = "gold".',
    "×": "Write * in place of it.",
    "÷": "Write / in place of it.",
}
# What HTML has for a sign, and what to write.
AROUND: Mapping[str, str] = {
    **dict.fromkeys(("quot", "#34", "apos", "#39"), 'a straight quote: "'),
    "lt": "<",
    "gt": ">",
    "amp": "and",
    "nbsp": "a blank",
}
# No value, as others write it.
NO_VALUES = frozenset(("null", "NULL", "Null", "None", "undefined", "nil"))
