"""`python -m perso_core` is `perso`."""

import sys

from perso_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
