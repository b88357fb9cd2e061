"""The audiences that a command's rule may read: those of a definitions file, or none."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from perso_core.cli.definitions import checked
from perso_core.definitions.audience import Audience
from perso_core.definitions.document import Definitions
from perso_core.definitions.edge_check import event_window_of
from perso_core.definitions.schema import field_types
from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.pql.instants import DAY_MS
from perso_core.pql.nodes import Node
from perso_core.settings import Settings


class AudienceRules(Struct, frozen=True):
    """Checked definitions with their rules compiled. compiled, nodes: by audience id."""

    definitions: Definitions
    compiled: Mapping[str, CompiledRule]
    nodes: Mapping[str, Node]

    def compile(self, text: str, *, event_window_ms: int) -> CompiledRule:
        """A rule among these definitions, held to their schema. Raises RuleFaults."""
        types = field_types(self.definitions.schema)
        return compile_rule(text, event_window_ms=event_window_ms, schema=types)

    def name_of(self, audience_id: str) -> str:
        """The name; the id where no audience has it."""
        names = [one.name for one in self.definitions.audiences if one.id == audience_id]
        return names[0] if names else audience_id

    def by_word(self) -> dict[str, Audience]:
        """The audiences by each word that people may write for them: name, alias, id."""
        found = {one.name: one for one in self.definitions.audiences}
        found |= {one.alias: one for one in self.definitions.audiences if one.alias}
        return found | {one.id: one for one in self.definitions.audiences}


def rules_of(definitions: Definitions, settings: Settings) -> AudienceRules:
    """Checked definitions, compiled."""
    default_ms = settings.event_window_days * DAY_MS
    compiled = {
        one.id: compile_rule(one.pql, event_window_ms=event_window_of(one, default_ms))
        for one in definitions.audiences
    }
    nodes = {audience_id: rule.node for audience_id, rule in compiled.items()}
    return AudienceRules(definitions, compiled, nodes)


def rules_from(path: str | None, settings: Settings) -> AudienceRules:
    """The rules of a definitions file; None: of no definitions. Raises DefinitionFaults after it
    printed each fault."""
    return rules_of(Definitions(org="") if path is None else checked(path, settings), settings)
