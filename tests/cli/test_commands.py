"""The commands, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.canaries.process import python_module
from tests.cli import ready
from tests.definitions.whole import WHOLE, changed

ROOT = Path(__file__).parents[2]
ECID = "38407190248302938471029384710293847102"
COMMAND_LIMIT_S = 60
COUNTED = "1 datastream, 2 destinations, 2 audiences, 2 activations"


def command(*words: str) -> list[str]:
    # What an operator is told may hold attributes; what a server says may not.
    server = words[:1] == ("serve",)
    run = python_module("perso_core") if server else [sys.executable, "-m", "perso_core"]
    return [*run, *words]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERSO_")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def _done(
    words: Sequence[str],
    directory: Path,
    variables: Mapping[str, str],
    given: bytes,
    *,
    fresh: bool,
) -> subprocess.CompletedProcess[bytes]:
    """fresh: by an interpreter of its own, which reads the variables as it starts."""
    if not fresh and words[:1] != ("serve",):
        return ready.run(
            words,
            directory=directory,
            environment=variables,
            stdin=given,
            limit_s=COMMAND_LIMIT_S,
        )
    return subprocess.run(
        command(*words),
        cwd=directory,
        env=variables,
        input=given,
        capture_output=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )


def perso(
    directory: Path, *words: str, stdin: str | bytes = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """One command in a directory, run to its end. It never shows a traceback."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = _done(words, directory, environment(**variables), given, fresh=bool(variables))
    told = subprocess.CompletedProcess(
        words, done.returncode, done.stdout.decode(), done.stderr.decode()
    )
    assert "Traceback" not in told.stderr, told.stderr
    return told


def write(directory: Path, text: str = WHOLE, name: str = "perso.toml") -> Path:
    path = directory / name
    path.write_text(text, "utf-8")
    return path


def record(ecid: str = ECID, **attributes: object) -> str:
    return json.dumps({"identity": {"namespace": "ECID", "id": ecid}, "attributes": attributes})


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@contextmanager
def serving(directory: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server on a free port, and the address that it printed."""
    server = subprocess.Popen(
        command("serve", "--port", free_port(), *words),
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert "http://" in line, line
        yield server, next(word for word in line.split() if word.startswith("http")).rstrip(".")
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(COMMAND_LIMIT_S) == 0
        assert server.stdout is not None
        server.stdout.close()


# ---- apply and export --------------------------------------------------------


def test_a_right_file_is_put_in_force_and_counted(tmp_path: Path) -> None:
    write(tmp_path)

    first = perso(tmp_path, "apply", "perso.toml")
    second = perso(tmp_path, "apply", "perso.toml")

    assert (first.returncode, first.stdout) == (0, f"Version 1 in force: {COUNTED}.\n")
    assert second.stdout == f"Version 2 in force: {COUNTED}.\n"


def test_every_fault_is_told_with_file_line_caret_and_fix_and_nothing_is_put_in_force(
    tmp_path: Path,
) -> None:
    write(tmp_path, changed('alias = "gold"', 'alias = "GOLD"').replace("> 10'''", ">'''"))

    told = perso(tmp_path, "apply", "perso.toml")

    lines = told.stderr.split("\n")
    assert told.returncode == 1
    assert [line.split(" ")[0] for line in lines if line.startswith("perso.toml:")] == [
        "perso.toml:30:",
        "perso.toml:38:",
    ]
    assert any(line.strip() == "^" for line in lines)
    assert "error: " in told.stderr
    assert "2 faults" in lines[-2]
    assert perso(tmp_path, "export").returncode == 1


def test_a_dry_run_checks_and_leaves_no_trace(tmp_path: Path) -> None:
    write(tmp_path)

    told = perso(tmp_path, "apply", "perso.toml", "--dry-run")

    assert (told.returncode, COUNTED in told.stdout) == (0, True)
    assert [path.name for path in tmp_path.iterdir()] == ["perso.toml"]


def test_what_is_exported_can_be_applied_again(tmp_path: Path) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")

    exported = perso(tmp_path, "export")
    to_file = perso(tmp_path, "export", "-o", "again.toml")

    assert exported.returncode == to_file.returncode == 0
    assert (tmp_path / "again.toml").read_text("utf-8") == exported.stdout
    assert perso(tmp_path, "apply", "again.toml").returncode == 0
    assert perso(tmp_path, "export").stdout == exported.stdout


def test_an_export_before_any_apply_says_what_to_do(tmp_path: Path) -> None:
    told = perso(tmp_path, "export")

    assert told.returncode == 1
    assert told.stderr.startswith("error: ")
    assert "perso apply" in told.stderr


def test_what_only_reads_makes_no_store(tmp_path: Path) -> None:
    exported = perso(tmp_path, "export", "--data-dir", "typo")
    got = perso(tmp_path, "profile", "get", "ECID", ECID, "--data-dir", "typo")

    assert (exported.returncode, got.returncode) == (1, 1)
    assert not (tmp_path / "typo").exists()


# ---- a running server --------------------------------------------------------


def asked(address: str, cookies: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(
        f"{address}/v1/interact?datastreamId=demo",
        data=b'{"events":[{"xdm":{"eventType":"web.webpagedetails.pageViews"}}]}',
        headers={"Content-Type": "text/plain; charset=UTF-8", "Cookie": cookies},
    )
    try:
        with urllib.request.urlopen(request, timeout=COMMAND_LIMIT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, problem.read()


def test_definitions_that_are_applied_are_in_force_on_a_running_server(tmp_path: Path) -> None:
    write(tmp_path)
    with serving(tmp_path) as (_, address):
        assert asked(address)[0] != 200

        assert perso(tmp_path, "apply", "perso.toml").returncode == 0

        status, body = asked(address)
        assert (status, b"personalizationAlias" in body) == (200, True)


def test_attributes_that_are_put_change_what_a_running_server_answers(tmp_path: Path) -> None:
    write(tmp_path)
    with serving(tmp_path, "--definitions", "perso.toml") as (_, address):
        _, before = asked(address)
        handles = {one["type"]: one["payload"] for one in json.loads(before)["handle"]}
        ecid = handles["identity:result"][0]["id"]
        cookies = "; ".join(f"{one['key']}={one['value']}" for one in handles["state:store"])

        put = perso(tmp_path, "profile", "put", "-", stdin=record(ecid, loyalty={"tier": "gold"}))
        _, after = asked(address, cookies)

    assert put.returncode == 0
    assert b'"a-gold"' not in before
    assert b'"a-gold"' in after


def test_a_server_may_apply_a_file_as_it_starts(tmp_path: Path) -> None:
    write(tmp_path)
    with serving(tmp_path, "--definitions", "perso.toml") as (_, address):
        assert asked(address)[0] == 200


def test_ctrl_c_stops_a_server_in_order(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, _):
        server.send_signal(signal.SIGINT)

        assert server.wait(COMMAND_LIMIT_S) == 0


def test_ctrl_c_stops_a_waiting_command_without_a_traceback(tmp_path: Path) -> None:
    waiting = subprocess.Popen(
        command("profile", "put", "-"),
        cwd=tmp_path,
        env=environment(PYTHONUNBUFFERED="1"),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A suite that a shell runs in the background inherits an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    # More than a pipe holds: when this is written, the command reads.
    assert waiting.stdin is not None
    waiting.stdin.write(b" " * 1024 * 1024)
    waiting.stdin.flush()
    waiting.send_signal(signal.SIGINT)
    _, stderr = waiting.communicate(timeout=COMMAND_LIMIT_S)

    assert waiting.returncode == 130
    assert stderr.decode().strip() == "Stopped."


# ---- what people get wrong ---------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["apply", "missing.toml"],
        ["apply", "."],
        ["apply", "latin1.toml"],
        ["apply", "perso.toml", "--settings", "missing.toml"],
        ["apply", "perso.toml", "--settings", "latin1.toml"],
        ["apply", "perso.toml", "--data-dir", "perso.toml"],
        ["apply", "perso.toml", "--data-dir", ""],
        ["export", "-o", "no/such/directory.toml"],
        ["serve", "--port", "99999"],
        ["serve", "--port", "eighty"],
        ["serve", "--definitions", "missing.toml"],
        ["profile", "put", "missing.json"],
        ["profile", "put", "latin1.toml"],
        ["profile", "put", "."],
    ],
)
def test_a_file_or_value_that_cannot_be_used_is_an_error_with_its_name(
    words: list[str], tmp_path: Path
) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml", "--data-dir", ".perso")
    (tmp_path / "latin1.toml").write_bytes("\n# größe".encode("latin-1"))

    told = perso(tmp_path, *words)

    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr.startswith("error: "), told.stderr


def test_a_port_that_is_taken_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        told = perso(tmp_path, "serve", "--port", port)

    assert told.returncode == 1
    assert f"port {port}" in told.stderr
    assert "--port" in told.stderr


def test_a_closed_standard_input_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command("profile", "put", "-")],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_closed_standard_output_is_no_traceback(tmp_path: Path) -> None:
    write(tmp_path)
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command("apply", "perso.toml", "--dry-run")],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path: Path) -> None:
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")
    export = subprocess.Popen(
        command("export"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert export.stdout is not None
    export.stdout.close()
    assert export.stderr is not None
    told = export.stderr.read()
    export.stderr.close()

    assert export.wait(COMMAND_LIMIT_S) == 1
    assert told == b""


def test_the_demo_is_given_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "demo_site").mkdir()
    program = "import sys\nprint(sys.argv[1:])\nsys.exit('no such page')"
    (tmp_path / "demo_site" / "__main__.py").write_text(program, "utf-8")
    (tmp_path / "demo_site" / "__init__.py").touch()

    told = perso(tmp_path, "demo", "--ad-port", "8081", "shop")

    assert told.returncode == 1
    assert told.stdout == "['--ad-port', '8081', 'shop']\n"
    assert told.stderr == "error: no such page\n"


def test_what_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin1.toml").write_bytes("\n# größe".encode("latin-1"))

    assert "latin1.toml:2: this line is not UTF-8" in perso(tmp_path, "apply", "latin1.toml").stderr


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["aply"],
        ["apply"],
        ["apply", "a", "b"],
        ["apply", "a", "--dry"],
        ["profile"],
        ["profile", "get", "ECID"],
        ["profile", "get", "ECID", "123"],
        ["profile", "get", "A:B", "123"],
        ["serve", "--prot", "80"],
    ],
)
def test_a_command_that_is_typed_wrongly_is_an_error_and_exit_code_2(
    words: list[str], tmp_path: Path
) -> None:
    told = perso(tmp_path, *words)

    assert told.returncode == 2
    assert told.stderr.startswith("error: ")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["serve"],
        ["demo"],
        ["apply"],
        ["export"],
        ["profile"],
        ["profile", "put"],
        ["profile", "get"],
    ],
)
def test_every_command_has_help_with_an_example(words: list[str], tmp_path: Path) -> None:
    told = perso(tmp_path, *words, "--help")

    assert told.returncode == 0
    assert "Example: perso" in told.stdout


def test_a_setting_in_the_environment_reaches_the_commands(tmp_path: Path) -> None:
    write(tmp_path)

    told = perso(tmp_path, "apply", "perso.toml", PERSO_DATA_DIR="elsewhere")

    assert told.returncode == 0
    assert (tmp_path / "elsewhere").is_dir()


def test_a_terminal_without_unicode_gets_escapes(tmp_path: Path) -> None:
    write(tmp_path, name="göld.toml")

    told = perso(tmp_path, "apply", "göld.toml", "--dry-run", PYTHONIOENCODING="ascii")

    assert told.returncode == 0
    assert "g\\xf6ld" in told.stdout


def test_a_profile_is_printed_to_a_terminal_without_unicode(tmp_path: Path) -> None:
    perso(tmp_path, "profile", "put", "-", stdin=record(city="Köln"))

    got = perso(tmp_path, "profile", "get", "ECID", ECID, PYTHONIOENCODING="ascii")

    assert got.returncode == 0
    assert json.loads(got.stdout)["attributes"] == {"city": "Köln"}


def test_help_loads_neither_the_server_nor_the_store(tmp_path: Path) -> None:
    program = (
        "import sys; from perso_core.cli import main; main(['--help']);"
        "print([name for name in ('aiohttp', 'apsw', 'asyncio', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=True,
    )

    assert done.stdout.endswith("[]\n")
