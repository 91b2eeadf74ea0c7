"""Progress is drawn on terminals, told in lines elsewhere, and silent when asked for."""

import json
import os
import pty
import subprocess
import sys

import pytest

from mealkit.cli import progress_display
from mealkit.cli.progress_display import Lines, Quiet, display_for
from mealkit.errors import problem

_WORK = """
from mealkit.cli.progress_display import display_for
from mealkit.errors import problem

progress = display_for(quiet=False, as_json=False)
progress.phase("resolving packages")
first = progress.task("fetching [bold]x[/bold]", 4 * 1024 * 1024)
second = progress.task("hashing", None)
for _ in range(4):
    first.advance(1024 * 1024)
    second.advance(512 * 1024)
second.done("one was here")
progress.notice(problem("KIT_PICKLE_ALLOWED", "it is allowed"))
first.done()
"""


def _on_terminal(code: str) -> str:
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env=environment,
    )
    os.close(slave)
    seen = b""
    try:
        while chunk := os.read(master, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(master)
    assert process.wait(timeout=60) == 0
    return seen.decode()


def test_a_terminal_gets_bars_and_a_line_for_what_is_done():
    """Titles are text, not markup, and the cursor comes back."""
    seen = _on_terminal(_WORK)
    assert "resolving packages" in seen
    assert "fetching [bold]x[/bold]: 4.0 MiB" in seen
    assert "(one was here)" in seen
    assert "warning[KIT_PICKLE_ALLOWED]" in seen
    assert seen.rfind("\033[?25h") > seen.rfind("\033[?25l")


def test_elsewhere_each_piece_of_work_is_one_line():
    """A log has no cursor to move."""
    result = subprocess.run(
        [sys.executable, "-c", _WORK], capture_output=True, text=True, check=True
    )
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == "resolving packages"
    assert lines[1].startswith("hashing: 2.0 MiB, ")
    assert lines[1].endswith("(one was here)")
    assert lines[-1].startswith("fetching [bold]x[/bold]: 4.0 MiB, ")
    assert "\033" not in result.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_silence_still_tells_warnings(as_json, capsys):
    """As text with --quiet, as JSON with --json."""
    progress = display_for(quiet=True, as_json=as_json)
    progress.phase("working")
    task = progress.task("more work", 10)
    task.advance(10)
    task.done()
    progress.notice(problem("KIT_PICKLE_ALLOWED", "it is allowed"))
    captured = capsys.readouterr()
    assert captured.out == ""
    if as_json:
        assert json.loads(captured.err)["warning"]["code"] == "KIT_PICKLE_ALLOWED"
    else:
        assert captured.err.startswith("warning[KIT_PICKLE_ALLOWED] it is allowed\n")


def test_the_listener_suits_what_is_asked_for():
    """In a test stderr is no terminal."""
    assert type(display_for(quiet=False, as_json=False)) is Lines
    assert type(display_for(quiet=True, as_json=False)) is Quiet


_COUNTED = """
from mealkit.cli.progress_display import display_for

progress = display_for(quiet=False, as_json=False)
with progress.step("resolving packages"):
    work = progress.count("compiling [b]engine[/b]", 4209, "modules")
    work.advance(1200)
    progress.progress.refresh()
    work.done()
"""


def test_a_terminal_shows_what_is_counted():
    """Modules are no bytes, and a step without a known end is a bar, too."""
    seen = _on_terminal(_COUNTED)
    assert "resolving packages" in seen
    assert "compiling [b]engine[/b]" in seen
    assert "1,200 of 4,209 modules (28 %)" in seen
    assert "compiling [b]engine[/b]: 1,200 modules, " in seen
    assert "0/?" not in seen


@pytest.fixture
def at_once(monkeypatch):
    """Lines are due at once, which would otherwise take seconds."""
    monkeypatch.setattr(progress_display, "LINE_SECONDS", 0.0)


def test_a_log_tells_how_far_long_work_is(at_once, capsys):
    """A line has what is done, of how much, and the time."""
    progress = display_for(quiet=False, as_json=False)
    counted = progress.count("compiling engine", 4209, "modules")
    counted.advance(1200)
    counted.done()
    sized = progress.task("writing engine", 4 * 1024**2)
    sized.advance(1024**2)
    unknown = progress.task("pruning", None)
    unknown.advance(2048)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "compiling engine: 1,200 of 4,209 modules (28 %) after 0 s"
    assert lines[1].startswith("compiling engine: 1,200 modules, ")
    assert lines[2] == "writing engine: 1.0 MiB of 4.0 MiB (25 %) after 0 s"
    assert lines[3] == "pruning: 2.0 KiB after 0 s"


def test_short_work_is_one_line(capsys):
    """Between two lines about the same work are seconds."""
    task = display_for(quiet=False, as_json=False).task("hashing", 10)
    for _ in range(10):
        task.advance(1)
    task.done()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_machines_read_how_far_long_work_is(at_once, capsys):
    """With --json a line is an object, also for a step whose end is not known."""
    progress = display_for(quiet=False, as_json=True)
    progress.count("compiling engine", 4209, "modules").advance(1200)
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)["progress"]
    assert told.pop("seconds") >= 0
    assert told == {"title": "compiling engine", "done": 1200, "total": 4209, "unit": "modules"}


@pytest.mark.parametrize("as_json", [False, True])
def test_a_step_that_lasts_is_told_while_it_lasts(monkeypatch, capsys, as_json):
    """A resolver does not say how far it is, so the time is told."""
    monkeypatch.setattr(progress_display, "LINE_SECONDS", 0.001)
    seen = ""
    with display_for(quiet=False, as_json=as_json).step("resolving packages"):
        while seen.count("\n") < 3:
            seen += capsys.readouterr().err
    assert seen.count("resolving packages") >= 3


def test_quiet_is_quiet(at_once, capsys):
    """No progress at all."""
    progress = display_for(quiet=True, as_json=False)
    with progress.step("resolving packages"):
        progress.count("compiling engine", 10, "modules").advance(5)
        progress.task("writing", 10).advance(5)
    assert capsys.readouterr().err == ""
