"""Children of the gateway: their exit is reported, their output stored, and nothing survives."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mealkit.errors import problem
from mealkit.runtime.life.worker_process import ChildProcess, ProcessExit, Reaper, read_problem


def run(program, lines=None):
    """Run a Python program as a child until it has ended and fallen silent."""

    async def live():
        reaper = Reaper()
        reaper.start()
        child = await ChildProcess.start(
            [sys.executable, "-c", program],
            {"PATH": os.environ["PATH"], "ONLY": "this"},
            reaper,
            lambda stream, line: None if lines is None else lines.append((stream, line)),
        )
        how = await child.exited
        await child.wait_silent(10)
        return child, how

    return asyncio.run(live())


@pytest.mark.parametrize(
    ("program", "how", "text"),
    [
        ("", ProcessExit(0, None), "exit code 0"),
        ("raise SystemExit(7)", ProcessExit(7, None), "exit code 7"),
        ("import os; os.kill(os.getpid(), 9)", ProcessExit(None, "SIGKILL"), "SIGKILL"),
        ("import os; os.kill(os.getpid(), 11)", ProcessExit(None, "SIGSEGV"), "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 2)", None, None),
    ],
)
def test_ends(program, how, text):
    """A child's exit code, or the name of its signal, is reported."""
    _, found = run(program)
    assert found == (how or found)
    assert str(found) == (text or str(found))
    assert (found.code is None) != (found.signal_name is None)


def test_output():
    """Both streams come line by line; the tail keeps the last lines; a line has an end."""
    lines = []
    program = """if True:
        import sys
        print("out")
        for number in range(30): print(number, file=sys.stderr)
        print("x" * 100_000, file=sys.stderr)
        sys.stderr.write("unfinished")
    """
    child, _ = run(program, lines)
    assert ("stdout", "out") in lines
    assert ("stderr", "29") in lines
    assert max(len(line) for _, line in lines) <= 4096
    assert child.tail.endswith("unfinished")
    assert len(child.tail.splitlines()) == 20


def test_environment_is_exactly_what_was_given():
    """A child inherits nothing."""
    lines = []
    run("import os; print(*sorted(os.environ.keys() - {'LC_CTYPE'}))", lines)
    assert lines == [("stdout", "ONLY PATH")]


def test_grandchildren_end_too():
    """What a child started ends with it."""
    lines = []
    program = """if True:
        import subprocess, sys
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        print(sleeper.pid, flush=True)
    """
    run(program, lines)
    # Falling silent means that the grandchild, which held the pipe too, is on its way out; as an
    # orphan it may then wait for the machine's first process to collect it.
    status = Path(f"/proc/{lines[0][1]}/stat")
    deadline = time.monotonic() + 60
    while _state(status) not in {"Z", "X", None}:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _state(status: Path) -> str | None:
    try:
        return status.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def test_orphans_are_collected():
    """As the first process of a container, the gateway collects what others left behind."""
    program = """if True:
        import asyncio, ctypes, os, sys
        from mealkit.runtime.life.worker_process import ChildProcess, Reaper

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        # It outlives the one in the middle, whose end closes its input.
        ORPHAN = "import os, sys; os.setsid(); print('alive', flush=True); sys.stdin.read()"
        MIDDLE = (
            "import subprocess as s, sys; s.Popen([sys.executable, '-c', sys.argv[1]], stdin=s.PIPE)"
        )

        async def live():
            reaper = Reaper()
            reaper.start()
            command = [sys.executable, "-c", MIDDLE, ORPHAN]
            child = await ChildProcess.start(command, os.environ, reaper, lambda *_: None)
            await child.exited
            while True:  # until no child is left, dead or alive
                try:
                    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                except ChildProcessError:
                    return
                await asyncio.sleep(0.005)

        asyncio.run(live())
    """
    done = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert done.returncode == 0


def test_nothing_of_a_container_outlives_its_first_process():
    """Not even what has left its starter's session: it could listen where the kit has listened."""
    program = """if True:
        import os, subprocess, sys
        from mealkit.runtime.life.worker_process import end_others

        SLEEP = "import time; print('alive', flush=True); time.sleep(3600)"
        command = [sys.executable, "-c", SLEEP]
        orphan = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert orphan.stdout.readline()
        end_others()
        sys.exit(0 if orphan.wait() == -9 else 1)
    """
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    done = subprocess.run([*unshare, sys.executable, "-c", program], timeout=30, check=False)
    assert done.returncode == 0


def test_command_that_cannot_be_run():
    """A command that is not there is an error, and leaves no open file behind."""

    async def live():
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        with pytest.raises(FileNotFoundError):
            await ChildProcess.start(["/nowhere"], {}, Reaper(), lambda *_: None)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208

    asyncio.run(live())


def test_reported_problem():
    """A problem that a child prints is read; owner and unknown fields are not taken from it."""
    original = problem("WEIGHTS_MISSING", "no file", hint="look", where="/models")
    assert read_problem(json.dumps(original.as_json())) == original
    forged = original.as_json() | {"owner": "caller", "more": "x"}
    assert read_problem(json.dumps(forged)) == original


@pytest.mark.parametrize(
    "line",
    ["", "text", "{", "[]", "{}", '{"code": "NO_SUCH"}', '{"code": "INTERNAL"}', '{"code": []}'],
)
def test_lines_that_are_no_problem(line):
    """Any other line is just a line."""
    assert read_problem(line) is None
