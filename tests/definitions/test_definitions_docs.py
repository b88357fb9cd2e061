"""docs/definitions.md says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct, structs

from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.destination import AttributeMapping, Destination
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.shape import TABLES
from perso_core.definitions.toml_file import definitions_from_toml

DOCUMENT = (Path(__file__).parents[2] / "docs" / "definitions.md").read_text("utf-8")
STRUCTS: dict[str, type[Struct]] = {
    "datastream": Datastream,
    "destination": Destination,
    "attribute": AttributeMapping,
    "audience": Audience,
    "activation": Activation,
    "issuer": Issuer,
}


def test_the_documents_example_is_without_a_fault() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)

    assert len(definitions_from_toml(example).activations) == 2


def test_the_document_has_every_table_and_key_with_required_as_checked() -> None:
    documented: dict[str, dict[str, bool]] = {}
    for section in re.split(r"^#+ ", DOCUMENT, flags=re.MULTILINE)[1:]:
        title = section.split("\n", 1)[0]
        rows = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|", section, re.MULTILINE)
        if rows:
            name = re.sub(r".*[.\[](\w+)\].*", r"\1", title) if "[" in title else ""
            documented[name] = {key: required == "yes" for key, required in rows}

    checked = {name: {key.name: key.required for key in keys} for name, keys in TABLES.items()}
    assert documented == checked


def test_every_field_of_a_definition_is_a_key_required_where_it_has_no_default() -> None:
    for table, kind in STRUCTS.items():
        fields = {field.name.removesuffix("s"): field.required for field in structs.fields(kind)}
        keys = {key.name.removesuffix("s"): key.required for key in TABLES[table]}
        assert fields == keys
