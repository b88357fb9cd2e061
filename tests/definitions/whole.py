"""A whole definitions file, and what is told of it after a change."""

from __future__ import annotations

import pytest

from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.errors import DefinitionFault, DefinitionFaults

WHOLE = """\
org = "5BFE274A5F6980A50A495C08@AdobeOrg"

[[datastream]]
id = "demo"
name = "Demo"
allowed_origins = ["https://www.shop.test", "http://localhost:8080"]
default_consent = "in"

[[destination]]
id = "d-cms"
kind = "custom-personalization"
name = "Pages"
integration_alias = "personalizationAlias"
datastream = "demo"

[[destination]]
id = "d-server"
kind = "custom-personalization-with-attributes"
name = "Server"
integration_alias = "serverAlias"
datastream = "demo"

[[destination.attribute]]
source = "person.name.firstName"
target = "firstName"

[[audience]]
id = "a-gold"
name = "Gold"
alias = "gold"
pql = 'loyalty.tier.equals("gold", false)'

[[audience]]
id = "a-both"
name = "Gold with points"
pql = '''
inSegment("a-gold")
and loyalty.points > 10'''

[[activation]]
audience = "a-gold"
destination = "d-cms"
start_date = 2026-01-01
end_date = 2026-12-31

[[activation]]
audience = "a-both"
destination = "d-cms"
"""


def faults_of(text: str) -> list[DefinitionFault]:
    with pytest.raises(DefinitionFaults) as raised:
        definitions_from_toml(text)
    return list(raised.value.faults)


def fault_of(text: str) -> DefinitionFault:
    (fault,) = faults_of(text)
    return fault


def changed(before: str, after: str) -> str:
    assert WHOLE.count(before) == 1, before
    return WHOLE.replace(before, after)


def line_of(text: str, fault: DefinitionFault) -> str:
    """The line of the file that a fault names; "" where it names none."""
    return ["", *text.split("\n")][fault.line]
