"""Progress is drawn on terminals, told in lines elsewhere, and silent when asked for."""

import json
import os
import pty
import subprocess
import sys

import pytest

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
