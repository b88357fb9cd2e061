"""`perso` of a version that is yet to come: it knows one step of the tables more. TEST_OLDEST: the
step that a Perso has to know at least to go on beside it."""

from __future__ import annotations

import os
import sys

from perso_core.cli import main
from perso_core.stores import migrations

NUMBER = migrations.newest() + 1

if __name__ == "__main__":
    migrations.STEPS += (
        migrations.Step(
            number=NUMBER,
            oldest=int(os.environ["TEST_OLDEST"]),
            made="CREATE TABLE later (n INTEGER);",
            undone="DROP TABLE later;",
        ),
    )
    sys.exit(main())
