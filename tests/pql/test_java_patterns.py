"""Patterns of Java mean the same here, or are refused with how to write them."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleTypeError
from perso_core.pql.compiler import compile_rule
from perso_core.pql.java_patterns import PROPERTIES
from tests.pql.faults import fault_of

# The pattern as a rule has it, what is marked in it, and what to write for that.
READ_OTHERWISE = [
    (r"[a-z&&[^b]]", "&&", "Write out the characters that are meant; & once for the sign."),
    (r"[a[b]]", "[", r"Write the characters in one class; \\[ for the sign."),
    (r"[[:alpha:]_]", "[:alpha:]", "Write A-Za-z."),
    (r"[[:xdigit:]]", "[:xdigit:]", "Write 0-9A-Fa-f."),
    (r"^\\C", r"\\C", "Write . for a character."),
    (r"a\\v", r"\\v", r"Write [\\n\\x0B\\f\\r]."),
    (r"[\\v,]", r"\\v", r"Write \\n\\x0B\\f\\r."),
    (r"(a)\\12", r"\\12", "Write out what has to come again."),
    (r"\\0", r"\\0", r"Write \\x00."),
    (r"\\0123", r"\\0123", r"Write \\x{53}."),
    (r"(?U)a+", "(?U)", "Take it out; known are i, m and s."),
    (r"(?i-U:a+)", "(?i-U:", "Take it out; known are i, m and s."),
    (r"a{,5}", "{,5}", "Write {0,5}."),
    (r"\\b{g}x", r"\\b{g}", r"Write \\b."),
]
NOT_KNOWN = [
    (r"a++b", "++", "Write +."),
    (r"a*+", "*+", "Write *."),
    (r"[0-9]{2,3}+", "{2,3}+", "Write {2,3}."),
    (r"a\\Z", r"\\Z", r"Write \\n?$."),
    (r"a\\R", r"\\R", r"Write (?:\\r\\n|[\\n\\r])."),
    (r"\\h+", r"\\h", r"Write [\\t\\x20]."),
    (r"[\\h,]", r"\\h", r"Write \\t\\x20."),
    (r"\\H", r"\\H", r"Write [^\\t\\x20]."),
    (r"\\V", r"\\V", r"Write [^\\n\\x0B\\f\\r]."),
    (r"\\X", r"\\X", "Write . for a character."),
    (r"\\Ga", r"\\G", "Take it out: a text is searched once, from its beginning."),
    (r"\\e", r"\\e", r"Write \\x1B."),
    (r"\\cA", r"\\cA", r"Write \\x{1}."),
    (r"\\u0041", r"\\u0041", r"Write \\x{0041}."),
    (r"\\N{DIGIT ONE}", r"\\N{DIGIT ONE}", r"Write the character, or \\x{...}."),
    (r"(a)\\1", r"\\1", "Write out what has to come again."),
    (r"(?<n>a)\\k<n>", r"\\k<n>", "Write out what has to come again."),
    (r"a(?=b)", "(?=", "Ask for it in a condition of its own."),
    (r"(?<!b)a", "(?<!", "Ask for it in a condition of its own."),
    (r"(?>a)", "(?>", "Write (?:...)."),
    (r"(?ux)a", "(?ux)", "Take it out; known are i, m and s."),
    (r"(?d)a", "(?d)", "Take it out; known are i, m and s."),
    (r"\\p{javaLowerCase}", r"\\p{javaLowerCase}", r"Write [\\p{Ll}]."),
    (r"[\\p{Alpha}_]", r"\\p{Alpha}", "Write A-Za-z."),
    (r"\\P{Digit}", r"\\P{Digit}", "Write [^0-9]."),
    (r"\\p{IsLatin}", r"\\p{IsLatin}", r"Write \\p{Latin}."),
    (r"\\P{script=Greek}", r"\\P{script=Greek}", r"Write \\P{Greek}."),
    (r"\\uD83D\\uDE00", r"\\uD83D\\uDE00", r"Write \\x{1F600}."),
    (r"[\\uD83D\\uDE00,]", r"\\uD83D\\uDE00", r"Write \\x{1F600}."),
    (r"\\uD83D\\uDEzz", r"\\uD83D", r"Write the whole character, such as \\x{1F600}."),
    (r"\\uD83Dx", r"\\uD83D", r"Write the whole character, such as \\x{1F600}."),
    (r"[\\P{Digit}_]", r"\\P{Digit}", r"Write \\x{0}-\\x{2F}\\x{3A}-\\x{10FFFF}."),
    (r"[^\\P{Digit}]", r"\\P{Digit}", r"Write \\x{0}-\\x{2F}\\x{3A}-\\x{10FFFF}."),
    (
        r"[\\H]",
        r"\\H",
        r"Write \\x{0}-\\x{8}\\x{A}-\\x{1F}\\x{21}-\\x{10FFFF}.",
    ),
    (
        r"[\\V,]",
        r"\\V",
        r"Write \\x{0}-\\x{9}\\x{E}-\\x{10FFFF}.",
    ),
    (r"[\\R]", r"\\R", r"Write \\n\\r."),
    (r"[\\P{Space}]", r"\\P{Space}", r"Write \\S."),
    (r"[\\P{IsDigit}]", r"\\P{IsDigit}", r"Write \\P{Nd}."),
    (r"[[:^digit:]]", "[:^digit:]", r"Write \\x{0}-\\x{2F}\\x{3A}-\\x{10FFFF}."),
    (r"[[:^word:]]", "[:^word:]", r"Write \\W."),
    (r"\\p{Is_Latin}", r"\\p{Is_Latin}", r"Write \\p{Latin}."),
    (r"\\P{IsLATIN}", r"\\P{IsLATIN}", r"Write \\P{Latin}."),
    (r"\\p{IsOld_Italic}", r"\\p{IsOld_Italic}", r"Write \\p{Old_Italic}."),
    (
        r"\\p{InBasicLatin}",
        r"\\p{InBasicLatin}",
        r"Write a category or a script, such as \\p{Lu} or \\p{Greek}.",
    ),
    (r"\\p{Foo}", r"\\p{Foo}", r"Write a category or a script, such as \\p{Lu} or \\p{Greek}."),
]


@pytest.mark.parametrize(("pattern", "marked", "fix"), READ_OTHERWISE + NOT_KNOWN)
def test_what_java_means_otherwise_is_told_at_its_place(
    pattern: str, marked: str, fix: str
) -> None:
    """[a&&[b]], \\C, \\v, \\12 and others were taken, and found other visitors than in Adobe's."""
    fault = fault_of(f'tier = "x" or page.matches("{pattern}")')
    line, caret = fault.excerpt.split("\n")

    assert type(fault) is RuleTypeError
    assert line[caret.index("^") : len(caret)] == marked
    assert fault.fix == fix


@pytest.mark.parametrize(
    ("pattern", "marked", "fix"),
    [
        (pattern, marked, fix)
        for pattern, marked, fix in READ_OTHERWISE + NOT_KNOWN
        if fix.startswith("Write ") and " " not in fix[6:] and "..." not in fix
    ],
)
def test_what_is_to_be_written_is_taken(pattern: str, marked: str, fix: str) -> None:
    meant = pattern.replace(marked, fix.removeprefix("Write ")[:-1])

    compile_rule(f'page.matches("{meant}")')


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?i)^a.b$",
        r"(?i-s:a)(?<n>b)(?:c)(?m)",
        r"\\bx\\b\\B\\A\\z\\d\\D\\w\\W\\s\\S",
        r"a*?b+?c??d{2,}?",
        r"[(?]x[*+]+[]a&][^]b]\\[\\]&&\\++",
        r"[a\\]&\\[]",
        r"\\Q[a&&b]++\\E",
        r"\\p{L}\\pN\\P{Greek}[\\p{Lu}]",
        r"\\07\\012\\x41\\x{1F600}\\t\\n\\r\\f\\a",
        r"\\\\C",
        r"[:alpha:]",
    ],
)
def test_what_both_read_alike_is_taken(pattern: str) -> None:
    compile_rule(f'page.matches("{pattern}")')


def test_the_caret_stands_right_after_escapes_of_the_text() -> None:
    fault = fault_of(r'page.matches("é\u0041\uD83D\uDE00\"\\Z")')

    assert fault.column == 1 + len(r'page.matches("é\u0041\uD83D\uDE00\"')


@pytest.mark.parametrize("text", ['page matches "a++"', 'page.regexGroup("a++") = "a"'])
def test_a_pattern_is_looked_at_wherever_it_stands(text: str) -> None:
    assert fault_of(text).fix == "Write +."


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_what_a_class_excludes_is_all_that_it_does_not_take(name: str) -> None:
    """[\\P{Alpha}] was told to be written [^A-Za-z] in a class, which is refused there."""
    taken = fault_of(f'page.matches("[\\\\p{{{name}}}]")').fix.removeprefix("Write ")[:-1]
    excluded = fault_of(f'page.matches("[\\\\P{{{name}}}]")').fix.removeprefix("Write ")[:-1]
    of_class, others = (compile_rule(f'page.matches("^[{inner}]$")') for inner in (taken, excluded))

    for sign in map(chr, [*range(1, 0x180), 0x2028, 0x1F600]):
        view = {"page": sign}
        assert of_class.evaluate(view, 0).holds is not others.evaluate(view, 0).holds, sign


def test_no_pattern_is_taken_because_another_rule_had_one_in_its_place() -> None:
    for _ in range(3):
        compile_rule('page.matches("a+b")')
        assert fault_of('page.matches("a++")').fix == "Write +."
        assert fault_of('page.matches("[a&&b]")').column == 17


def test_signs_of_a_like_pattern_stand_for_themselves() -> None:
    rule = compile_rule('page like "[a&&b]++_\0"')

    assert rule.evaluate({"page": "[a&&b]++x\0"}, 0).holds


@pytest.mark.parametrize(
    ("pattern", "marked", "fix"),
    [
        (r"[\\b]", r"\\b", r"Write it outside of the class; \\x08 is a backspace."),
        (r"x[a\\Z]", r"\\Z", "Write it outside of the class."),
        (r"[^\\B]", r"\\B", "Write it outside of the class."),
        (r"a\\y", r"\\y", r"Write the sign without a backslash; \\\\ is a backslash itself."),
        (r"a\\", r"\\", r"Write \\\\ for a backslash itself, or take it out."),
        (r"(a[)](b", "(", r"Write ) where the group ends, or \\( for the sign."),
        (r"(a)\\))b", ")", r"Write ( where the group begins, or \\) for the sign."),
        (r"\\Q(\\E)", ")", r"Write ( where the group begins, or \\) for the sign."),
        (r"[a", "[", r"Write ] where it ends, or \\[ for the sign; \\] is the sign in a class."),
        (r"x[z-a]", "z-a", r"Write the lower one first: [a-z]. In a class \\- is the sign."),
        (r"*a", "*", r"Write before it what may come again; \\* is the sign."),
        (r"a**", "**", "Write one of them, or (?:...) around the inner one."),
        (r"a{5000}", "{5000}", "Write the lower number first, and 1000 at most."),
        (
            r"(?#x)a",
            "(?#",
            r"Known are (...), (?:...), (?<name>...), (?i), (?m) and (?s); \\( is the sign.",
        ),
    ],
)
def test_what_is_no_pattern_is_marked_where_it_is_none(pattern: str, marked: str, fix: str) -> None:
    """Of these RE2 alone had spoken, and the whole text was marked."""
    fault = fault_of(f'a.matches("{pattern}")')

    carets = fault.excerpt.split("\n")[1]
    at = len(carets) - len(carets.lstrip())
    assert fault.excerpt[at : len(carets)] == marked
    assert at >= len('a.matches("')
    assert fault.fix == fix
