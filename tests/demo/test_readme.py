"""What the README tells a newcomer to type gives what it says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

from tests.demo.running import Demo

README = Path(__file__).parents[2] / "README.md"


def test_the_curl_line_of_the_readme_returns_the_audiences_per_alias(demo: Demo) -> None:
    told = re.search(r"^curl .*?'$(?=\n```)", README.read_text(), re.MULTILINE | re.DOTALL)
    assert told is not None
    command = told[0].replace("\\\n", " ").replace("http://127.0.0.1:8080", demo.shop)

    ran = subprocess.run(shlex.split(command), capture_output=True, check=True, timeout=20)

    pulls = [h for h in json.loads(ran.stdout)["handle"] if h["type"] == "activation:pull"]
    (pull,) = pulls
    assert {"personalizationAlias", "adServerAlias"} <= {one["alias"] for one in pull["payload"]}
    assert all(one["type"] == "profileLookup" for one in pull["payload"])
    assert any(one["segments"] for one in pull["payload"])
