"""An identity as a file states it."""

from __future__ import annotations

import re

from perso_core.decision.graph import OF_DEVICES
from perso_core.decision.identity import is_ecid
from perso_core.definitions.finding import shown

# A namespace ends at the first colon of a profile's key: two identities must never share a key.
NAMESPACE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
MAX_ID_LENGTH = 256


def identity_problem(namespace: str, identity_id: str) -> tuple[str, str] | None:
    """What is wrong with an identity that an operator wrote, and how to mend it; None: nothing."""
    if not NAMESPACE.fullmatch(namespace):
        return (
            f"The namespace {shown(namespace)} is not a letter followed by letters, digits, _ -.",
            "Write the namespace's code, e.g. ECID or CRMID.",
        )
    if namespace == "ECID" and not is_ecid(identity_id):
        return (f"The ECID {shown(identity_id)} is not 38 digits.", "Copy it whole, as text.")
    if not (0 < len(identity_id) <= MAX_ID_LENGTH and identity_id.isprintable()):
        return (
            f"The id {shown(identity_id)} is not 1 to {MAX_ID_LENGTH} printable characters.",
            "Write the id as the namespace's own system has it.",
        )
    return None


def is_plain(identity_id: str) -> bool:
    """Whether it is an id of any namespace but ECID that row_problem finds nothing wrong with."""
    return (
        0 < len(identity_id) <= MAX_ID_LENGTH
        and identity_id.isprintable()
        and identity_id[0] != " "
        and identity_id[-1] != " "
    )


def row_problem(namespace: str, identity_id: str) -> str | None:
    """The same of a row, which a tool wrote: also a space that nobody sees, and a namespace of
    devices under which nothing is kept."""
    problem = identity_problem(namespace, identity_id)
    if problem is None and namespace != "ECID" and namespace.upper() in OF_DEVICES:
        problem = (
            f"The namespace {shown(namespace)} names devices, and nothing is kept under it.",
            "Write ECID for a device, or a person's namespace, e.g. CRMID.",
        )
    if problem is None and identity_id != identity_id.strip():
        problem = (f"The id {shown(identity_id)} begins or ends with a space.", "Take it out.")
    return " ".join(problem) if problem else None
