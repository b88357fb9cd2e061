"""`perso audience explain`: why a profile is in an audience or not, since when, until when."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from perso_core.cli.audience_check import unreadable
from perso_core.cli.audience_rules import AudienceRules, rules_from, rules_of
from perso_core.cli.audience_until import REALIZED, changes_at, with_memberships
from perso_core.cli.definitions import in_force, kept
from perso_core.cli.files import settings_of, text_of
from perso_core.cli.nothing_kept import nothing_kept
from perso_core.cli.terminal import shown
from perso_core.decision.identity import Identity
from perso_core.decision.profile import Profile, view
from perso_core.definitions.audience import Audience
from perso_core.definitions.document import Definitions
from perso_core.definitions.finding import nearest
from perso_core.errors import BadAudienceFile, UnknownAudience
from perso_core.imports.identity import identity_problem
from perso_core.pql.compiler import CompiledRule
from perso_core.pql.explain import Explanation, Until, explain_rule, reason
from perso_core.pql.instants import instant_of, iso_exact
from perso_core.pql.kept_events import as_kept, no_events
from perso_core.pql.lacking import lacking
from perso_core.pql.sound import read, unsound
from perso_core.pql.telling import Standing, told
from perso_core.pql.windows import FOREVER_MS
from perso_core.settings import Settings

# A part of a rule among the audiences: no audience has this id.
PART = ""
MAX_PROFILE_BYTES = 64 * 1024 * 1024


class Asked(Struct, frozen=True):
    """A profile to ask about. view: as rules read it. since_ms: by audience id, where kept.
    stated: its memberships were given with it, and time changes none of them."""

    rules: AudienceRules
    view: Mapping[str, Any]
    now_ms: int
    since_ms: Mapping[str, int]
    stated: bool = False

    def until(self) -> Until | None:
        """When time alone changes a part that reads audiences, with those it reads."""
        if self.stated:
            return None
        compiled = self.rules.compiled

        def changes(part: CompiledRule) -> int:
            return changes_at(PART, {**compiled, PART: part}, self.view, self.now_ms)

        return changes


def explain(arguments: argparse.Namespace) -> int:
    """0 whether the profile is in or not; 1: nothing is kept of it. Raises PersoErrors."""
    problem = _misuse(arguments)
    if problem:
        print(f"error: {problem} See `perso audience explain --help`.", file=sys.stderr)
        return 2
    settings = settings_of(arguments)
    if arguments.profile_file is not None:
        asked = _from_file(arguments, settings)
    else:
        identity = _identity(arguments)
        found = _from_store(identity, arguments.datastream, settings)
        if found is None:
            kept_on = _datastreams_of(identity, settings)
            return nothing_kept(
                identity.profile_key, settings, asked=arguments.datastream, kept_on=kept_on
            )
        asked = found
    audience = _audience(arguments.audience, asked.rules)
    rule = asked.rules.compiled[audience.id]
    names = {one.id: one.name for one in asked.rules.definitions.audiences}
    explanation = explain_rule(
        rule, asked.view, asked.now_ms, names, asked.rules.compiled, asked.until()
    )
    standing = Standing(audience.name, asked.since_ms.get(audience.id))
    if arguments.json:
        print(json.dumps(_as_json(audience, explanation, standing), indent=2))
    else:
        print(shown(told(explanation, standing)))
    return 0


def _misuse(arguments: argparse.Namespace) -> str | None:
    if arguments.datastream is not None and arguments.identity is None:
        return "--datastream goes with --identity."
    given = [arguments.profile, arguments.identity, arguments.profile_file]
    if sum(one is not None for one in given) != 1:
        return "name one profile: --profile, --identity or --profile-file."
    if arguments.profile_file is not None:
        if arguments.now is not None and instant_of(arguments.now) is None:
            return f"--now is {arguments.now!r}. Write e.g. 2026-03-15T12:30:00Z."
        return None
    if arguments.now is not None or arguments.definitions is not None:
        return "--now and --definitions go with --profile-file."
    namespace, colon, name = (arguments.profile or arguments.identity).partition(":")
    if not colon or not name:
        return "a profile is named NAMESPACE:ID, e.g. CRMID:4711."
    problem = identity_problem(namespace, name) if arguments.identity else None
    return " ".join(problem) if problem else None


def _identity(arguments: argparse.Namespace) -> Identity:
    namespace, _, name = (arguments.profile or arguments.identity).partition(":")
    return Identity(namespace, name)


def _audience(word: str, rules: AudienceRules) -> Audience:
    """By id, alias or name. Raises UnknownAudience."""
    known = rules.by_word()
    if word in known:
        return known[word]
    near = nearest(word, known)
    raise UnknownAudience(
        f"{word!r}.", fix=f"Write {near!r}." if near else "Use the id, alias or name of one."
    )


# ---- from the store ---------------------------------------------------------


def _from_store(identity: Identity, datastream_id: str | None, settings: Settings) -> Asked | None:
    """None: nothing is kept of the identity, as the datastream's servers know it. A server on the
    store is neither disturbed nor waited for. Raises NothingDefined, StoreUnavailable."""
    from perso_core.beside import kept_profile

    stored = kept(settings)
    now_ms = _clock_ms()
    profile = kept_profile(identity, stored, settings, now_ms=now_ms, datastream_id=datastream_id)
    return _asked(profile, stored.definitions, settings, now_ms) if profile else None


def _datastreams_of(identity: Identity, settings: Settings) -> list[str]:
    from perso_core.beside import datastreams_of

    return datastreams_of(identity, kept(settings), settings, now_ms=_clock_ms())


def _asked(profile: Profile, definitions: Definitions, settings: Settings, now_ms: int) -> Asked:
    realized = {
        member.audience_id: REALIZED
        for member in profile.memberships.values()
        if member.status == "realized"
    }
    since = {one.audience_id: one.since_ms for one in profile.memberships.values()}
    # The memberships are as of this instant: a clock that is a little behind changes nothing.
    at_ms = max(now_ms, profile.evaluated_ms)
    return Asked(rules_of(definitions, settings), view(profile, realized), at_ms, since)


# ---- from a file ------------------------------------------------------------


def _from_file(arguments: argparse.Namespace, settings: Settings) -> Asked:
    """Raises BadAudienceFile, NothingDefined, DefinitionFaults."""
    profile = _profile(arguments.profile_file)
    if arguments.definitions is not None:
        rules = rules_from(arguments.definitions, settings)
    else:
        rules = rules_of(in_force(settings), settings)
    now_ms = instant_of(arguments.now) if arguments.now is not None else _clock_ms()
    assert now_ms is not None, "_misuse has read it"
    stated = "segmentMembership" in profile
    if not stated:
        profile, _ = with_memberships(profile, rules.compiled, now_ms)
    return Asked(rules, profile, now_ms, {}, stated)


def _clock_ms() -> int:
    from perso_core.assembly import system_clock_ms

    return system_clock_ms()


def _profile(path: str) -> dict[str, Any]:
    text = text_of(path, max_bytes=MAX_PROFILE_BYTES, problem=unreadable, stdin=True)
    try:
        profile = read(text.removeprefix("\ufeff"))
    except (RecursionError, ValueError) as error:
        raise BadAudienceFile(
            f"{path} is not JSON that can be read: {error}.", fix="Mend it there."
        ) from None
    if not isinstance(profile, dict):
        raise BadAudienceFile(
            f"{path} is no JSON object.", fix='Write {"loyalty": {…}, "xEvent": [{…}]}.'
        )
    problem = unsound(profile, "profile") or no_events(profile)
    if problem:
        raise BadAudienceFile(f"{path}: {problem[0]}.", fix=problem[1])
    return as_kept(profile)


# ---- for programs -----------------------------------------------------------


def _as_json(audience: Audience, explanation: Explanation, standing: Standing) -> dict[str, Any]:
    missing = lacking(explanation)
    return {
        "audience": {"id": audience.id, "name": audience.name},
        "in": explanation.holds,
        "since": None if standing.since_ms is None else iso_exact(standing.since_ms),
        "until": _until(explanation.until_ms),
        "sentence": reason(explanation),
        "lacking": {
            "parts": [{"place": part.place, "says": part.says} for part in missing.parts],
            "exact": missing.exact,
        },
        "tree": _tree(explanation),
    }


def _until(until_ms: int) -> str | None:
    return None if until_ms >= FOREVER_MS else iso_exact(until_ms)


def _tree(part: Explanation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": part.kind,
        "holds": part.holds,
        "says": part.says,
        "got": part.got,
        "place": part.place,
        "text": part.text,
        "until": _until(part.until_ms),
    }
    if part.steps:
        found["steps"] = msgspec.to_builtins(part.steps)
    if part.because is not None:
        found["because"] = _tree(part.because)
    if part.children:
        found["children"] = [_tree(child) for child in part.children]
    return found
