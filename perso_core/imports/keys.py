"""Under which profiles an operator's word on an identity goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perso_core.decision.identity import Identity, server_key
from perso_core.definitions.document import Definitions

Keys = Callable[[str, str], Sequence[str]]


def keys_of(definitions: Definitions, datastreams: Sequence[str]) -> Keys:
    """From a namespace and an id: of an ECID its device; of any other identity what the servers of
    these datastreams know it by. datastreams none: of all, and the operator's own profile of it,
    as `perso profile put` has it.
    """
    org = definitions.org
    asked = datastreams or [one.id for one in definitions.datastreams]
    heads = [f"{org} {datastream_id} " for datastream_id in asked]
    if not datastreams:
        heads = ["", *heads]
    made = server_key(Identity("N", "1"), org="o", datastream_id="d")
    assert made == "o d N:1", "keys are made as server_key makes them"

    def keys(namespace: str, identity: str) -> list[str]:
        own = f"{namespace}:{identity}"
        return [own] if namespace == "ECID" else [head + own for head in heads]

    return keys
