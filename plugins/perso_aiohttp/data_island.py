"""JSON inside a page."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

# What could end the script element, begin a comment in it, or end an attribute. U+2028 and
# U+2029 are escaped by json.dumps as everything outside ASCII is.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&'"}


def script_json(value: Any) -> Markup:
    """JSON for `<script type="application/json">…</script>`, also between single quotes.

    Raises TypeError for what JSON cannot say and ValueError for NaN and infinities.
    """
    return Markup(json.dumps(value, allow_nan=False).translate(_ESCAPES))
