"""One exported segment definition: the audience that comes of it, or why none does.

The fields are those of Adobe's API. Whatever changes its meaning on the way here is a note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import structs

from perso_core.definitions.audience import Audience
from perso_core.definitions.finding import shown
from perso_core.definitions.imported_meaning import dependencies_note, method_of, notes_of
from perso_core.definitions.imported_outcome import Outcome, Reason, told
from perso_core.definitions.imported_page import Entry
from perso_core.definitions.imported_rule import event_window_days, rule_notes, rule_of
from perso_core.pql.compiler import CompiledRule
from perso_core.pql.fields import FieldTypes

MAX_ID_LENGTH = 128
MAX_NAME_LENGTH = 256
PROFILE_SCHEMA = "_xdm.context.profile"
_PROFILE_SCHEMA_ID = re.compile(r"https://ns\.adobe\.com/xdm/context/profile(?:__union)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# `active` is the older word for published; some answers have a state in place of it.
_EVALUATED = ("published", "active", "enabled")
_STATES = ("lifecycleState", "state")

# The fields that are read, here or for notes; any other is told as not kept.
READ_FIELDS = frozenset(
    (
        *("id", "audienceId", "name", "description", "expression", "evaluationInfo", "schema"),
        *("ttlInDays", "mergePolicyId", "mergePolicy", "dataGovernancePolicy", "dependencies"),
        *("lifecycleState", "state", "type", "labels", "imsOrgId"),
    )
)
# An export has some thirty fields; of one that has thousands these will do.
MAX_NOT_KEPT = 100

_AGAIN = "Export it again."
_CONVERT = (
    "Convert it with Adobe's POST /segment/conversion, write the expression that it answers in"
    " place of this one, and import it again."
)

# One fault of the definition itself. Its rule's have places of their own.
Faults = Iterator[Reason]
# A rule's text -> the rule, or why there is none.
Compile = Callable[[str], CompiledRule | list[Reason]]


def outcome_of(entry: Entry, *, event_window_ms: int, schema: FieldTypes | None = None) -> Outcome:
    """What becomes of the definition taken by itself: imported, refused or skipped.

    schema: what is known of the fields where it is imported; None: nothing.

    Cost: that of compiling its rule.
    """
    fields = entry.value
    outcome = Outcome(place=entry.place, becomes="refused", id=entry.key or "")
    if not isinstance(fields, dict):
        detail = f"This is {told(fields)}, not a definition."
        return outcome.turned("refused", Reason(detail, _AGAIN))
    outcome = structs.replace(
        outcome, id=_text(fields.get("id", entry.key)), name=name_here(_text(fields.get("name")))
    )
    failed = [*_failure(fields)]
    if failed:
        return outcome.turned("refused", *failed)
    skipped = [*_skipped(fields)]
    if skipped:
        return outcome.turned("skipped", *skipped)
    return _imported(
        outcome,
        fields,
        entry.key,
        lambda text: rule_of(text, event_window_ms=event_window_ms, schema=schema),
    )


def _imported(
    outcome: Outcome, fields: Mapping[str, Any], key: str | None, compiled: Compile
) -> Outcome:
    faults = [*_identity(fields, outcome), *_kind(fields), *_expression(fields)]
    rule = None if [*_expression(fields)] else fields["expression"]["value"]
    if rule is not None:
        rule = compiled(rule)
        faults += rule if isinstance(rule, list) else []
    if faults or not isinstance(rule, CompiledRule):
        return outcome.turned("refused", *faults)
    days = event_window_days(rule)
    audience = Audience(
        id=outcome.id,
        name=outcome.name,
        pql=rule.text,
        description=description_here(_text(fields.get("description"))),
        edge="edge-classic" if method_of(fields) == "edge" else "local",
        event_window_days=days,
    )
    return structs.replace(
        outcome,
        becomes="imported",
        audience=audience,
        rule=rule,
        notes=(*_notes(outcome, fields, key, rule.reads.audience_ids), *rule_notes(rule, days)),
        not_kept=tuple(name for name in fields if name not in READ_FIELDS)[:MAX_NOT_KEPT],
        org=org_of(fields),
    )


# ---- whether it is a definition, and one to evaluate ---------------------------


def _failure(fields: Mapping[str, Any]) -> Faults:
    """An entry that says why there is no definition, as bulk answers have them."""
    said = [fields[key] for key in ("status", "title", "message", "detail") if key in fields]
    if said and "expression" not in fields and "type" not in fields:
        words = ", ".join(told(one) for one in said)
        yield Reason(f"Adobe gave no definition, but {words}.", "Ask for it again, or leave it.")


def _skipped(fields: Mapping[str, Any]) -> Faults:
    if _text(fields.get("type")).casefold() == "externalsegment":
        yield Reason(
            "It is an external audience: its members are delivered, there is no rule to evaluate."
        )
    for key in _STATES:
        state = fields.get(key)
        if isinstance(state, str) and state.casefold() not in _EVALUATED:
            yield Reason(f"Its {key} is {shown(state)}; only published ones are evaluated.")
    schema = _schema(fields)
    if schema is not None and not _is_profile(schema):
        yield Reason(f"It is about {shown(schema)}; Perso evaluates profiles of persons.")


def _schema(fields: Mapping[str, Any]) -> str | None:
    """What the definition names as its schema; None: nothing that can be read."""
    schema = fields.get("schema")
    named = schema.get("name", schema.get("id")) if isinstance(schema, dict) else None
    return named if isinstance(named, str) else None


def _is_profile(schema: str) -> bool:
    return schema == PROFILE_SCHEMA or _PROFILE_SCHEMA_ID.fullmatch(schema) is not None


# ---- its faults ----------------------------------------------------------------


def _identity(fields: Mapping[str, Any], outcome: Outcome) -> Faults:
    given_id, given_name = fields.get("id", outcome.id), fields.get("name")
    if not isinstance(given_id, str):
        yield Reason(f"Its id is {told(given_id)}, not text.", 'Write "id": "…", in quotes.')
    elif not given_id:
        yield Reason("It has no id.", "Write the id by which its answers are known.")
    elif len(given_id) > MAX_ID_LENGTH or not given_id.isprintable() or " " in given_id:
        yield Reason(
            f"Its id {shown(given_id)} is not 1 to {MAX_ID_LENGTH} printable characters without"
            " spaces.",
            "Mend the id, and every inSegment that names it.",
        )
    if given_name is not None and not isinstance(given_name, str):
        yield Reason(f"Its name is {told(given_name)}, not text.", "Give it a name.")
    elif not outcome.name:
        yield Reason("It has no name.", "Give it a name that people recognise.")
    elif len(outcome.name) > MAX_NAME_LENGTH:
        yield Reason(
            f"Its name {shown(outcome.name)} has more than {MAX_NAME_LENGTH} characters.",
            "Give it a shorter one.",
        )


def _kind(fields: Mapping[str, Any]) -> Faults:
    kind = fields.get("type", "SegmentDefinition")
    if not isinstance(kind, str) or kind.casefold() != "segmentdefinition":
        yield Reason(
            f"Its type is {told(kind)}; known are SegmentDefinition and ExternalSegment.",
            "Leave it out of the import.",
        )
    for key in _STATES:
        state = fields.get(key)
        if state is not None and not isinstance(state, str):
            yield Reason(f"Its {key} is {told(state)}, not text.", 'Write "published".')
    if fields.get("schema") is not None and _schema(fields) is None:
        yield Reason(
            "Its schema has no name that is text.",
            f'Write "schema": {{"name": "{PROFILE_SCHEMA}"}}.',
        )


def _expression(fields: Mapping[str, Any]) -> Faults:
    expression = fields.get("expression")
    if expression is None:
        yield Reason("It has no expression.", "Export it with its expression.")
        return
    if not isinstance(expression, dict):
        yield Reason(f"Its expression is {told(expression)}, not an object.", _AGAIN)
        return
    kind, form = expression.get("type", "PQL"), expression.get("format", "pql/text")
    if not isinstance(kind, str) or kind.casefold() != "pql":
        yield Reason(f"Its expression is of the type {told(kind)}.", "Write the rule in PQL.")
    elif form == "pql/json" or isinstance(expression.get("value"), dict):
        yield Reason("Its rule is in the format pql/json, a tree in place of text.", _CONVERT)
    elif not isinstance(form, str) or form.casefold() != "pql/text":
        yield Reason(f"Its expression has the format {told(form)}.", "Export it as pql/text.")
    elif not isinstance(expression.get("value"), str) or not expression["value"].strip():
        yield Reason(f"Its expression's value is {told(expression.get('value'))}, no rule.", _AGAIN)


# ---- what is otherwise here ----------------------------------------------------


def _notes(
    outcome: Outcome, fields: Mapping[str, Any], key: str | None, reads: frozenset[str]
) -> Iterator[str]:
    yield from _identity_notes(outcome, fields, key)
    description = fields.get("description")
    if description is not None and not isinstance(description, str):
        yield f"Its description is {told(description)}, not text; it is left out."
    elif description_here(_text(description)) != _text(description):
        yield "Half characters of its description are left out."
    if fields.get("schema") is None:
        yield "It names no schema; it is taken for one about profiles of persons."
    yield from notes_of(fields)
    differing = dependencies_note(fields, reads)
    if differing:
        yield differing


def _identity_notes(outcome: Outcome, fields: Mapping[str, Any], key: str | None) -> Iterator[str]:
    if not _UUID.fullmatch(outcome.id):
        yield "Its id is not a UUID, as Adobe's are; it is kept as it stands."
    if key is not None and "id" not in fields:
        yield "It has no id of its own; it has the one that it was asked for by."
    elif key is not None and key != outcome.id:
        yield f"It was asked for by the id {shown(key)}; its own one counts."
    if fields.get("audienceId", outcome.id) != outcome.id:
        yield f"Its audienceId {told(fields['audienceId'])} is not kept; its id counts."
    if fields["name"] != outcome.name:
        yield f"Its name {shown(fields['name'])} is written {shown(outcome.name)} here."


def name_here(name: str) -> str:
    """A name without blanks around it, and with no character that cannot be seen."""
    visible = ("" if not one.isprintable() else one for one in re.sub(r"\s", " ", name))
    return "".join(visible).strip()


def description_here(description: str) -> str:
    """A description without halves of characters, which no file can hold."""
    return description.encode(errors="ignore").decode()


def org_of(fields: Mapping[str, Any]) -> str | None:
    """The organisation; None: not named. Samples have a placeholder in braces there."""
    org = fields.get("imsOrgId")
    return org if isinstance(org, str) and org and "{" not in org else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
