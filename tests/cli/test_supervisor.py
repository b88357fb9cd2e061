"""Workers that do what workers should not: a real supervisor over small scripts."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from perso_core.cli.at_start import stop_within_s
from perso_core.cli.supervisor import Supervisor, pause_s, told
from perso_core.cli.worker_pipe import READY
from perso_core.cli.worker_process import WorkerProcess
from perso_core.settings import Settings

LIMIT_S = 30

# A worker as the supervisor sees it: it says R once it answers, and then a dot now and then.
WELL = """
import os, sys, time
pipe = int(sys.argv[sys.argv.index("--pipe") + 1])
os.write(pipe, b"R")
while True:
    os.write(pipe, b".")
    time.sleep(0.05)
"""
HANGING = WELL.replace("    os.write", "    pass # os.write")
ENDING = WELL.replace("while True:", "sys.exit(3)\nwhile True:")
NEVER_READY = WELL.replace('b"R"', 'b""').replace("while True:", "sys.exit(4)\nwhile True:")
DEAF = WELL.replace(
    "import os, sys, time", "import os, sys, time, signal\nsignal.signal(signal.SIGTERM, print)"
)
# What a test holds up: it writes its process id down, and answers once a file `go` is there. Told
# to stop, or to leave, it does once a file `end` is there.
HELD = """
import os, signal, sys, time
from pathlib import Path
here = Path(HERE)
with (here / "started").open("a") as started:
    started.write(f"{os.getpid()}\\n")
stopping = []
for told in signal.SIGTERM, signal.SIGUSR1:
    signal.signal(told, lambda *_: stopping.append(1))
pipe = int(sys.argv[sys.argv.index("--pipe") + 1])
while not (here / "go").exists() and not stopping:
    time.sleep(0.02)
os.write(pipe, b"R")
while not (stopping and (here / "end").exists()):
    if stopping:
        (here / "stopping").touch()
    else:
        os.write(pipe, b".")
    time.sleep(0.02)
"""

# It accepts connections and says so on each; while a file `loop` is there, it ends, and its
# successors do before they listen.
ACCEPTING = """
import os, socket, sys, time
from pathlib import Path
here = Path(HERE)
pipe = int(sys.argv[sys.argv.index("--pipe") + 1])
number = int(sys.argv[sys.argv.index("--sockets") + 1])
def may_end():
    if (here / "loop").exists():
        sys.exit(3)
may_end()
accepting = socket.socket(fileno=number)
accepting.listen()
accepting.settimeout(0.02)
(here / "port").write_text(str(accepting.getsockname()[1]))
os.write(pipe, b"R")
while True:
    may_end()
    os.write(pipe, b".")
    try:
        accepting.accept()[0].sendall(b"here")
    except TimeoutError:
        pass
"""


class Held(Struct):
    """Workers that a directory holds up."""

    here: Path

    @property
    def script(self) -> str:
        return HELD.replace("HERE", repr(str(self.here)))

    def may(self, word: str, *, holds: bool = True) -> None:
        if holds:
            (self.here / word).touch()
        else:
            (self.here / word).unlink(missing_ok=True)

    @property
    def started(self) -> list[int]:
        """Process ids, in order."""
        path = self.here / "started"
        return [int(one) for one in path.read_text().split()] if path.exists() else []

    @property
    def living(self) -> list[int]:
        return [one for one in self.started if Path(f"/proc/{one}").exists()]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    """Nothing is held up yet."""
    workers = Held(tmp_path)
    workers.may("go")
    workers.may("end")
    yield workers
    for one in workers.living:  # where a test has failed
        os.kill(one, signal.SIGKILL)


class Told(Struct):
    """What a supervisor told, and how to wait for more of it."""

    lines: list[str] = field(default_factory=list)
    status: list[int] = field(default_factory=list)

    async def until(self, holds: Callable[[str], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds("\n".join(self.lines)):  # noqa: ASYNC110 - other processes do it
                await asyncio.sleep(0.02)


@asynccontextmanager
async def supervising(
    script: str,
    *,
    count: int = 1,
    silent_after_s: float = LIMIT_S,
    stop_within_s: float = LIMIT_S,
    up: bool = True,
) -> AsyncIterator[Told]:
    """Runs until the block ends; then it is told to stop. up: the block begins once all answer."""
    told = Told()
    supervisor = Supervisor(
        [sys.executable, "-c", script],
        host="127.0.0.1",
        port=0,
        count=count,
        stop_within_s=lambda: stop_within_s,
        silent_after_s=silent_after_s,
        tell=told.lines.append,
    )
    running = asyncio.create_task(supervisor.run(lambda: told.lines.append("ready")))
    try:
        await told.until(lambda text: not up or "ready" in text or running.done())
        yield told
    finally:
        if not running.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(LIMIT_S):
            told.status.append(await running)


async def test_workers_that_are_well_stop_when_told_to() -> None:
    async with supervising(WELL, count=2) as told:
        pass
    assert (told.lines, told.status) == (["ready"], [0])


@pytest.mark.skipif(sys.platform != "linux", reason="the claim is Linux's")
async def test_of_two_that_begin_in_the_same_moment_one_has_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both find that nobody listens there yet."""
    monkeypatch.setattr("perso_core.cli.supervisor.refuse_taken", lambda host, port: None)

    def begun(port: int) -> Supervisor:
        return Supervisor(
            [], host="127.0.0.1", port=port, count=1, stop_within_s=lambda: 1, tell=print
        )

    first = begun(0)
    with pytest.raises(OSError, match="in use"):
        begun(first.port)
    await first._stop_all()
    await begun(first.port)._stop_all()


async def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    async with supervising(HANGING, silent_after_s=0.3) as told:
        await told.until(lambda text: "was ended by SIGKILL. Another one starts." in text)
    assert "has hung for" in told.lines[1]


async def test_after_all_of_a_machine_stood_still_no_worker_is_taken_for_hung(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a container that is paused does: its workers said nothing meanwhile, and nobody heard."""
    stood_still_s = 0.0

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + stood_still_s

    for module in ("supervisor", "worker_process"):
        monkeypatch.setattr(f"perso_core.cli.{module}.time", Clock)
    async with supervising(HANGING, silent_after_s=1) as told:
        stood_still_s = 100
        await told.until(lambda text: "has hung for" in text)
    hung_s = int(told.lines[1].partition("has hung for ")[2].split()[0])
    assert hung_s < stood_still_s, "it hangs, but not for so long"


async def test_workers_that_end_at_once_are_started_ever_later_and_the_log_says_so() -> None:
    async with supervising(ENDING) as told:
        await told.until(lambda text: "The next one starts in 0.4 s." in text)
    text = "\n".join(told.lines)
    assert text.count("ended with status 3") == 4
    assert text.count("Worker 0 ended 3 times in a row within 10 s") == 1
    assert text.index("starts in 0.1 s.") < text.index("starts in 0.2 s.")


async def test_workers_that_never_come_up_end_the_first_start_with_an_error() -> None:
    async with supervising(NEVER_READY) as told:
        pass
    assert (told.lines, told.status) == ([], [1])


async def test_a_worker_that_is_killed_before_it_answers_is_told_of_and_replaced(
    held: Held,
) -> None:
    held.may("go", holds=False)
    async with supervising(held.script, up=False) as told:
        await told.until(lambda _: len(held.started) == 1)
        os.kill(held.started[0], signal.SIGKILL)
        await told.until(lambda _: len(held.started) == 2)
        held.may("go")
        await told.until(lambda text: "ready" in text)
    how = f"Worker 0 (process {held.started[0]}) was ended by SIGKILL. Another one starts."
    assert (told.lines, told.status) == ([how, "ready"], [0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_one_of_several_that_ends_while_they_start_is_replaced_at_once(
    held: Held, number: signal.Signals
) -> None:
    script = held.script.replace(
        "while not (here", 'while "\\n" in (here / "started").read_text()[:-1] and not (here', 1
    ).replace("stopping.append(1)", "sys.exit()")
    held.may("go", holds=False)
    async with supervising(script, count=4, up=False) as told:
        await told.until(lambda _: len(held.started) == 4)
        os.kill(held.started[2], number)
        await told.until(lambda _: len(held.started) == 5)
        assert "ready" not in told.lines
        held.may("go")
        await told.until(lambda text: "ready" in text)
        assert len(held.living) == 4
    assert (len(told.lines), told.status) == (2, [0])
    assert f"(process {held.started[2]})" in told.lines[0]


async def test_workers_that_are_killed_again_and_again_as_they_start_end_it_with_an_error() -> None:
    killed = NEVER_READY.replace("sys.exit(4)", "os.kill(os.getpid(), 9)")
    async with supervising(killed, count=2) as told:
        pass
    assert told.status == [1]
    assert [line.split(") ")[1] for line in told.lines] == [
        "was ended by SIGKILL. Another one starts.",
        "was ended by SIGKILL. The next one starts in 0.1 s.",
        "was ended by SIGKILL, as those before it: nothing is served.",
    ]


async def test_a_worker_that_never_answers_ends_the_first_start_with_a_word(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perso_core.cli.supervisor.READY_WITHIN_S", 1)
    held.may("go", holds=False)
    async with supervising(held.script) as told:
        pass
    [line] = told.lines
    assert line.endswith("did not answer within 1 s: nothing is served.")
    assert (held.living, told.status) == ([], [1])


async def test_a_worker_that_does_not_stop_is_killed_in_the_end() -> None:
    async with supervising(DEAF, stop_within_s=0.2) as told:
        pass
    assert told.status == [0]


def test_who_raises_the_time_to_stop_has_it_waited_for_also_by_the_supervisor(
    tmp_path: Path,
) -> None:
    """Workers that had read the settings anew were killed after the time of before."""
    file = tmp_path / "settings.toml"
    arguments = argparse.Namespace(settings=str(file))

    def told(text: str) -> float:
        file.write_text(text, encoding="utf-8")
        return stop_within_s(arguments, Settings(drain_timeout_s=10))

    assert told("drain_timeout_s = 60") == 65
    # Those that run may have read the longer one.
    assert told("drain_timeout_s = 1") == 15
    assert told("drain_timeout_s = ") == 15


# ---- one slot, and all that may happen to it at once ----------------------------


async def test_a_worker_killed_while_a_restart_replaces_it_has_one_successor_that_is_watched(
    held: Held,
) -> None:
    async with supervising(held.script) as told:
        held.may("go", holds=False)
        os.kill(os.getpid(), signal.SIGHUP)
        await told.until(lambda _: len(held.started) == 2)
        os.kill(held.started[0], signal.SIGKILL)
        await told.until(lambda _: len(held.living) == 1)
        held.may("go")
        await told.until(lambda text: "All 1 workers are restarted." in text)
        assert len(held.started) == 2

        os.kill(held.started[1], signal.SIGKILL)
        await told.until(lambda text: "was ended by SIGKILL. Another one starts." in text)
        await told.until(lambda _: len(held.started) == 3)
    assert (held.living, told.status) == ([], [0])


async def test_a_worker_that_a_signal_without_a_name_ends_is_replaced(held: Held) -> None:
    """The supervisor had ended with a traceback, and all workers with it."""
    async with supervising(held.script) as told:
        os.kill(held.started[0], signal.SIGRTMIN + 6)
        await told.until(lambda _: len(held.started) == 2)
    assert f"was ended by signal {signal.SIGRTMIN + 6}. Another one starts." in told.lines[1]


async def test_a_worker_is_replaced_also_while_the_one_before_it_still_answers_its_last(
    held: Held,
) -> None:
    held.may("end", holds=False)
    async with supervising(held.script, silent_after_s=3) as told:
        os.kill(os.getpid(), signal.SIGHUP)
        await told.until(lambda _: (held.here / "stopping").exists())
        first, second = held.started
        os.kill(second, signal.SIGKILL)
        await told.until(lambda _: len(held.started) == 3)
        assert first in held.living
        held.may("end")
        await told.until(lambda text: "All 1 workers are restarted." in text)
        assert held.living == held.started[2:]
    assert "hung" not in "\n".join(told.lines)


@pytest.mark.parametrize(
    ("killed", "why"), [(True, "was ended by SIGKILL"), (False, "did not answer within 1 s")]
)
async def test_how_a_new_worker_did_not_come_up_is_told_where_it_could_not_say_it(
    held: Held, monkeypatch: pytest.MonkeyPatch, killed: bool, why: str
) -> None:
    """It had been said that what it wrote tells why, also of one that was short of memory."""
    async with supervising(held.script) as told:
        if not killed:
            monkeypatch.setattr("perso_core.cli.supervisor.READY_WITHIN_S", 1)
        held.may("go", holds=False)
        os.kill(os.getpid(), signal.SIGHUP)
        await told.until(lambda _: len(held.started) == 2)
        if killed:
            os.kill(held.started[1], signal.SIGKILL)
        await told.until(lambda text: "are left as they are" in text)
    assert told.lines[-1] == (
        f"Worker 0 (process {held.started[1]}) {why}. The workers that run are left as they are."
    )


async def test_a_restart_asked_for_during_another_one_comes_after_it(held: Held) -> None:
    async with supervising(held.script, count=2) as told:
        held.may("go", holds=False)
        os.kill(os.getpid(), signal.SIGHUP)
        await told.until(lambda _: len(held.started) == 3)
        os.kill(os.getpid(), signal.SIGHUP)
        held.may("go")
        await told.until(lambda text: text.count("All 2 workers are restarted.") == 2)
        assert held.living == held.started[4:]
    assert (len(held.started), held.living, told.status) == (6, [], [0])


@pytest.mark.parametrize("count", [1, 2])
async def test_a_stop_during_a_restart_leaves_nothing_behind(held: Held, count: int) -> None:
    async with supervising(held.script, count=count) as told:
        held.may("go", holds=False)
        os.kill(os.getpid(), signal.SIGHUP)
        await told.until(lambda _: len(held.started) == count + 1)
    assert (held.living, told.lines, told.status) == ([], ["ready"], [0])


async def test_a_stop_during_the_first_start_leaves_nothing_behind(held: Held) -> None:
    held.may("go", holds=False)
    async with supervising(held.script, count=2, up=False) as told:
        await told.until(lambda _: len(held.started) == 1)
    assert (held.living, told.lines, told.status) == ([], [], [0])


async def test_a_worker_that_does_not_come_up_in_time_is_replaced_as_one_that_hangs(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(held.script, silent_after_s=1) as told:
        monkeypatch.setattr("perso_core.cli.supervisor.READY_WITHIN_S", 1)
        held.may("go", holds=False)
        os.kill(held.started[0], signal.SIGKILL)
        await told.until(lambda text: "has hung for" in text)
        held.may("go")
        await told.until(lambda _: len(held.started) >= 3)
    assert (held.living, told.status) == ([], [0])


async def test_a_restart_ends_a_loop_of_short_lives_at_once(held: Held) -> None:
    ending = held.script.replace("stopping = []", 'stopping = [1] * (here / "loop").exists()')
    async with supervising(ending) as told:
        held.may("loop")
        os.kill(held.started[0], signal.SIGKILL)
        await told.until(lambda text: "The next one starts in 0.8 s." in text)
        held.may("loop", holds=False)
        os.kill(os.getpid(), signal.SIGHUP)
        await told.until(lambda text: "All 1 workers are restarted." in text)
        [survivor] = held.living
        os.kill(survivor, signal.SIGKILL)
        await told.until(lambda text: text.count("by SIGKILL. Another one starts.") == 2)
    assert (held.living, told.status) == ([], [0])


async def test_while_all_workers_end_again_and_again_visitors_wait_for_one_that_stays(
    held: Held,
) -> None:
    script = ACCEPTING.replace("HERE", repr(str(held.here)))
    async with supervising(script, count=2) as told:
        port = int((held.here / "port").read_text())
        held.may("loop")
        await told.until(lambda text: text.count("The next one starts in 0.4 s.") == 2)
        visits = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        held.may("loop", holds=False)
        async with asyncio.timeout(LIMIT_S):
            said = [await reader.readexactly(4) for reader, _ in visits]
        for _, writer in visits:
            writer.close()
    assert said == [b"here"] * 4
    assert "The next one takes its connections." in "\n".join(told.lines)


async def test_a_fault_that_lasts_is_told_to_visitors_by_a_refusal(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perso_core.cli.supervisor.WAITED_FOR_S", 0.3)
    script = ACCEPTING.replace("HERE", repr(str(held.here)))
    async with supervising(script) as told:
        port = int((held.here / "port").read_text())
        held.may("loop")
        await told.until(lambda text: "The next one starts in 0.4 s." in text)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """Put errors in: each is what the system answers to one attempt to start a process."""
    start, errors = asyncio.create_subprocess_exec, list[OSError]()

    async def started(*words: Any, **options: Any) -> asyncio.subprocess.Process:
        if errors:
            raise errors.pop()
        return await start(*words, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", started)
    return errors


async def test_a_worker_for_which_there_was_no_memory_is_started_later(
    held: Held, refused: list[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perso_core.cli.supervisor.LONGEST_PAUSE_S", 0.0)
    async with supervising(held.script) as told:
        refused.append(OSError(errno.ENOMEM, "no memory"))
        os.kill(held.started[0], signal.SIGKILL)
        await told.until(lambda _: len(held.started) == 2)
    assert "Worker 0 cannot be started: no memory. The next attempt" in told.lines[2]


async def test_a_first_start_for_which_there_is_no_memory_ends_with_a_word(
    held: Held, refused: list[OSError]
) -> None:
    refused.append(OSError(errno.ENOMEM, "no memory"))
    async with supervising(held.script) as told:
        pass
    assert (told.lines, told.status) == (["Worker 0 cannot be started: no memory."], [1])


async def test_a_restart_for_which_there_is_no_memory_leaves_the_workers_alone(
    held: Held, refused: list[OSError]
) -> None:
    async with supervising(held.script) as told:
        refused.append(OSError(errno.ENOMEM, "no memory"))
        os.kill(os.getpid(), signal.SIGHUP)
        await told.until(lambda text: "are left as they are" in text)
        assert held.living == held.started
    assert (len(held.started), told.status) == (1, [0])


# ---- what is heard, and how long is waited ------------------------------------------


async def test_a_worker_of_which_nothing_is_heard_for_once_is_heard_later() -> None:
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WELL, "--pipe", "1"), stdout=asyncio.subprocess.DEVNULL
    )
    worker = WorkerProcess(process, reading)

    try:
        worker._hear()  # as the loop does where it wakes for nothing
        os.write(writing, READY)
        os.close(writing)
        assert await asyncio.wait_for(worker.up, LIMIT_S)
    finally:
        await worker.stop(LIMIT_S)


@pytest.mark.parametrize("log", ["full disk", "nobody reads"])
def test_a_log_that_takes_nothing_is_no_end_of_supervision(
    log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ended while the log's disk was full had taken all the others with it."""
    reading, writing = os.pipe()
    os.close(reading)
    if log == "full disk":
        os.close(writing)
        writing = os.open("/dev/full", os.O_WRONLY)
    stream = os.fdopen(writing, "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", stream)

    told("Worker 0 ended with status 1. Another one starts.")

    monkeypatch.undo()
    with suppress(OSError):  # as it could not be written
        stream.close()


@pytest.mark.parametrize(
    ("short_lives", "pause"), [(0, 0.0), (1, 0.0), (2, 0.1), (3, 0.2), (9, 10.0), (1_000, 10.0)]
)
def test_a_worker_that_ends_again_and_again_is_started_ever_later(
    short_lives: int, pause: float
) -> None:
    assert pause_s(short_lives) == pause
