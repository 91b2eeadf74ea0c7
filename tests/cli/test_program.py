"""The program keeps results and talk apart, and every failure has its code, owner and exit code."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.little import little_base
from typer.testing import CliRunner

from mealkit import __version__
from mealkit.cli.program import app, verb_names
from mealkit.errors import CATALOGUE
from mealkit.stores.local import LocalStore


def _read_terminal(process: subprocess.Popen[bytes], master: int) -> str:
    """Return what a process wrote to a terminal."""
    seen = b""
    try:
        while chunk := os.read(master, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    process.wait(timeout=60)
    return seen.decode()


def _on_terminal(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mealkit", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    try:
        return _read_terminal(process, master)
    finally:
        os.close(master)


@pytest.mark.parametrize("verb", ["", *verb_names()])
def test_every_help_has_examples(verb):
    """And fits a terminal."""
    arguments = [*verb.split(), "--help"]
    result = CliRunner().invoke(app, arguments, terminal_width=80)
    assert result.exit_code == 0
    assert "\n  Examples:\n    mealkit " in result.stdout or "docker build" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


def test_no_verb_summary_is_cut():
    """The lists of verbs are readable on eighty columns."""
    for group in ([], ["audit"], ["catalog"], ["deploy"]):
        shown = CliRunner().invoke(app, [*group, "--help"], terminal_width=80).stdout
        assert "..." not in shown.replace("COMMAND [ARGS]...", "")


def test_the_verbs_are_listed_in_chapters(mealkit):
    """Each verb once, with all summaries in one column."""
    listed = mealkit("--help").stdout.partition("Write and build a kit:\n")[2].splitlines()
    rows = [line for line in listed if line.startswith("  ")]
    names = dict.fromkeys(name.partition(" ")[0] for name in verb_names())
    assert [row.split()[0] for row in rows] == list(names)
    assert len({len(row) - len(row[2:].partition(" ")[2].lstrip()) for row in rows}) == 1
    assert "Sign, and check what others signed:" in listed


def test_results_go_to_stdout_and_talk_to_stderr(mealkit, kit):
    """So that a script can use what is printed."""
    result = mealkit("check", "soup")
    assert result.returncode == 0
    assert result.stdout == "soup 0.1.0 is valid\n"
    assert "mealkit lock" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["check", "nothing"], "KIT_NOT_FOUND", 3),
        (["new", "Bad Name"], "KIT_INVALID", 3),
        (["lock", "soup", "--check"], "LOCK_MISSING", 4),
        (["lock", "soup", "--check", "--upgrade", "base"], "USAGE", 2),
        (["build", "soup", "--locked"], "LOCK_MISSING", 4),
        (["inspect", "nobody:1"], "IMAGE_NOT_FOUND", 6),
        (["explain", "KIT_INVALDI"], "USAGE", 2),
        (["stop", "nobody"], "CONTAINER_NOT_FOUND", 9),
        (["logs", "nobody"], "CONTAINER_NOT_FOUND", 9),
    ],
)
def test_a_failure_has_its_code_owner_and_exit_code(arguments, code, exit_code, mealkit, kit):
    """On stderr; stdout stays empty."""
    result = mealkit(*arguments)
    assert result.returncode == exit_code == CATALOGUE[code].error.exit_code
    assert result.stdout == ""
    assert f"error[{code}] " in result.stderr
    assert f"  owner {CATALOGUE[code].owner}\n" in result.stderr
    assert "Traceback" not in result.stderr


def test_failures_are_json_when_json_is_wanted(mealkit):
    """One line on stderr, and nothing on stdout."""
    result = mealkit("check", "nothing", "--json")
    assert (result.returncode, result.stdout) == (3, "")
    (problem,) = json.loads(result.stderr)["problems"]
    assert set(problem) == {"code", "message", "hint", "where", "owner"}
    assert problem["code"] == "KIT_NOT_FOUND"


def test_all_problems_of_a_kit_are_shown_at_once(mealkit, kit):
    """Each with its line."""
    (kit / "graph" / "model.onnx").unlink()
    file = kit / "kit.yaml"
    spoiled = file.read_text().replace('python: "3.13"', "python: 3.13").replace("mean", "max")
    file.write_text(spoiled.replace("gpu: none", "gpu: some"))
    result = mealkit("check", "soup")
    assert result.stderr.count("error[") == 4
    assert "there is no model.onnx" in result.stderr
    assert "hyperparameters.pooling is 'max'" in result.stderr
    assert "soup/kit.yaml:" in result.stderr


def test_a_wrong_use_exits_with_two(mealkit):
    """Unknown verbs, unknown options, missing arguments, values out of range."""
    for arguments in (["cook"], ["check", "--fast"], ["inspect"], ["logs", "x", "--tail", "-1"]):
        result = mealkit(*arguments)
        assert result.returncode == 2
        assert "Usage: mealkit" in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["push"], "mealkit push my-kit registry.example.org/team/my-kit:1.0.0"),
        (["push", "soup"], "mealkit push soup REGISTRY/soup:VERSION"),
        (["key", "list"], "mealkit key list --file keys.txt"),
        (["key", "remove", "--name", "a"], "mealkit key remove --name team-a --file keys.txt"),
        (["explain", "FOO"], "mealkit explain lists all codes"),
    ],
)
@pytest.mark.usefixtures("kit")
def test_an_argument_that_is_missing_is_answered_with_a_command(mealkit, arguments, hint):
    """A command that can be typed, and exit code 2."""
    result = mealkit(*arguments)
    assert result.returncode == 2
    assert "error[USAGE]" in result.stderr
    assert f"hint  {hint}" in result.stderr


def test_without_a_verb_the_help_is_shown(mealkit):
    """And nothing is done."""
    result = mealkit()
    assert "Write and build a kit:" in result.stdout + result.stderr


def test_the_version_is_printed(mealkit):
    """As an option and as a verb, for people and for programs."""
    assert mealkit("--version").stdout.startswith(f"mealkit {__version__} ")
    assert mealkit("version").stdout == mealkit("--version").stdout
    assert json.loads(mealkit("version", "--json").stdout)["mealkit"] == __version__


def test_colours_are_for_terminals(mealkit, environment, tmp_path):
    """Not in a pipe, and nowhere when NO_COLOR is set."""
    assert "\033[" not in mealkit("check", "nothing").stderr
    plain = {**environment, "TERM": "xterm"}
    assert "\033[31;1merror[KIT_NOT_FOUND]" in _on_terminal(["check", "nothing"], plain, tmp_path)
    refused = {**plain, "NO_COLOR": "1"}
    assert "\033[" not in _on_terminal(["check", "nothing"], refused, tmp_path)
    dumb = {**plain, "TERM": "dumb"}
    assert "\033[" not in _on_terminal(["check", "nothing"], dumb, tmp_path)


def test_text_from_a_kit_cannot_steer_the_terminal(mealkit, kit):
    """A control character in a value is shown as its escape."""
    file = kit / "kit.yaml"
    file.write_text(file.read_text().replace("gpu: none", 'gpu: "\\e]0;owned\\a"'))
    result = mealkit("check", "soup")
    assert result.returncode == 3
    assert "\033" not in result.stderr
    assert "\a" not in result.stderr


def test_a_reader_that_goes_away_is_no_failure(environment, tmp_path):
    """``mealkit explain | head -1`` ends quietly, as SIGPIPE would end it."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "mealkit", "schema"],
        cwd=tmp_path,
        env=environment,
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(read)
    os.close(write)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (141, b"")


def test_a_full_disk_under_stdout_is_no_success(environment, tmp_path):
    """What could not be written was not printed."""
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "mealkit", "schema"],
            cwd=tmp_path,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert result.returncode != 0
    assert b"INTERNAL" in result.stderr
    assert b"Traceback" not in result.stderr


def test_an_interrupt_ends_with_130(environment, tmp_path):
    """Ctrl-C while a verb waits."""
    with subprocess.Popen(
        [sys.executable, "-c", _WAITING],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in errors


# A verb of its own in the real program: it waits until it is interrupted.
_WAITING = """
import signal
import threading
from mealkit.cli import program

# As in a terminal: a shell lets what it starts in the background ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

@program.app.command("wait")
def wait() -> None:
    print("waiting", flush=True)
    # Not signal.pause(): a signal that came just before it would be waited for again.
    threading.Event().wait()

program.app(["wait"], prog_name="mealkit")
"""

_CRASHING = """
from mealkit.cli import program

@program.app.command("crash")
def crash() -> None:
    raise ZeroDivisionError("no such spoon")

program.app(["crash"], prog_name="mealkit")
"""


def test_what_nobody_expected_leaves_a_log(environment, tmp_path):
    """With the traceback and the versions in it, and the environment not."""
    result = subprocess.run(
        [sys.executable, "-c", _CRASHING],
        cwd=tmp_path,
        env={**environment, "TMPDIR": str(tmp_path), "SECRET_TOKEN": "hush"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "error[INTERNAL] ZeroDivisionError: no such spoon" in result.stderr
    assert "Traceback" not in result.stderr
    (log,) = tmp_path.glob("mealkit-*.log")
    assert str(log) in result.stderr
    text = log.read_text()
    assert text.startswith("mealkit ")
    assert "Traceback" in text
    assert "hush" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_produced(shell, mealkit):
    """For the common shells."""
    script = mealkit("--show-completion", more={"SHELL": f"/bin/{shell}"})
    direct = mealkit(more={"_MEALKIT_COMPLETE": f"source_{shell}"})
    assert "_MEALKIT_COMPLETE" in direct.stdout or "_MEALKIT_COMPLETE" in script.stdout


def test_verbs_are_completed(mealkit):
    """What the script asks for is answered."""
    asked = {"_MEALKIT_COMPLETE": "complete_bash", "COMP_WORDS": "mealkit ex", "COMP_CWORD": "1"}
    assert "explain" in mealkit(more=asked).stdout


@pytest.mark.parametrize("verb", ["run", "sign", "push", "save", "rmi", "inspect"])
def test_names_in_the_local_store_are_completed(verb, monkeypatch, tmp_path):
    """What begins as it was typed; a store that is not there has no names."""
    monkeypatch.setenv("MEALKIT_HOME", str(tmp_path / "home"))
    words = {
        "_MEALKIT_COMPLETE": "complete_bash",
        "COMP_WORDS": f"mealkit {verb} ba",
        "COMP_CWORD": "2",
    }
    before = CliRunner().invoke(app, [], prog_name="mealkit", env=words).stdout
    (tmp_path / "home").mkdir(0o700, exist_ok=True)
    LocalStore(tmp_path / "home" / "store").put(little_base(), ["base:1", "other:1"])
    after = CliRunner().invoke(app, [], prog_name="mealkit", env=words).stdout
    assert (before.split(), after.split()) == ([], ["base:1"])


@pytest.mark.parametrize("verb", ["up", "rollback", "status", "logs", "audit show"])
def test_names_of_deployments_are_completed(verb, monkeypatch, tmp_path):
    """Those of this machine that begin with what was typed."""
    monkeypatch.setenv("MEALKIT_HOME", str(tmp_path))
    for name in ("search", "summaries"):
        folder = tmp_path / "deployments" / name
        folder.mkdir(parents=True)
        (folder / "deployment.json").touch()
    words = {
        "_MEALKIT_COMPLETE": "complete_bash",
        "COMP_WORDS": f"mealkit {verb} se",
        "COMP_CWORD": str(len(verb.split()) + 1),
    }
    shown = CliRunner().invoke(app, [], prog_name="mealkit", env=words).stdout
    assert shown.split() == ["search"]


def test_heavy_imports_are_late(environment, tmp_path):
    """Help needs none of the libraries that work needs."""
    code = (
        "import sys\n"
        "from mealkit.cli.program import app\n"
        "app(['--help'], prog_name='mealkit', standalone_mode=False)\n"
        "heavy = {'pydantic', 'yaml', 'jinja2', 'docker', 'httpx2', 'huggingface_hub', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.strip() == "[]"


def test_a_prompt_that_is_no_template_is_refused(mealkit, kit):
    """With its file and line, before anything is locked."""
    file = kit / "kit.yaml"
    file.write_text(
        file.read_text().replace("prompts: {}", "prompts: {query: {file: prompts/query.jinja}}")
    )
    (kit / "prompts" / "query.jinja").write_text("fine\n{{ broken\n")
    result = mealkit("check", "soup")
    assert result.returncode == 3
    assert "error[KIT_PROMPT_INVALID]" in result.stderr
    assert "prompts/query.jinja:2" in result.stderr
