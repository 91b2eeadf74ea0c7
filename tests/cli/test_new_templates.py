"""``mealkit new`` as people use it: templates listed and chosen, scripts run only after a yes."""

import json
import os
import pty
import subprocess
import sys

import pytest
from fakes.kills import nursery, points
from fakes.torch_kits import torch_wheel

from mealkit.importing.scaffold import new_kits

COMMAND = "run it with: bash chat/get_wheel.sh"


def test_the_templates_are_listed(mealkit):
    """With what has to run first; as JSON, too."""
    lines = mealkit("new", "--list").stdout.splitlines()
    assert len(lines) == len(new_kits()) + 1
    assert any(line.split()[:3] == ["vllm", "embeddings", "get_wheel.sh"] for line in lines)
    rows = json.loads(mealkit("new", "--list", "--json").stdout)
    assert {"engine", "task", "what", "prepare"} == set(rows[0])
    assert len(rows) == len(new_kits())


def test_the_usual_kit_needs_nothing_from_elsewhere(mealkit, tmp_path):
    """No hub, no compiler, no script: a paper's own code, which the check accepts as written."""
    result = mealkit("new", "soup")
    assert (result.returncode, result.stdout) == (0, "soup/kit.yaml\n")
    assert "script" not in result.stderr
    text = (tmp_path / "soup" / "kit.yaml").read_text()
    assert "engine: python" in text
    assert "source: hub" not in text.partition("model:")[2]
    assert mealkit("check", "soup").returncode == 0


def test_a_task_alone_chooses_an_engine(mealkit, tmp_path):
    """One whose packages are on the package index."""
    assert mealkit("new", "ranks", "--task", "reranking").returncode == 0
    assert "engine: onnx" in (tmp_path / "ranks" / "kit.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ([], "the new kit has no name", "mealkit new my-kit"),
        (["soup", "--task", "rerank"], "there is no task 'rerank'", "did you mean reranking?"),
        (
            ["soup", "--engine", "python", "--task", "reranking"],
            "there is no template for reranking with the engine python",
            "--engine onnx or transformers has one; python has one for prediction",
        ),
        (["there/soup"], "there does not exist", "mkdir -p"),
        (
            ["soup", "--task", "generation", "--from", "hub", "a/b"],
            "--task is for templates, not for --from",
            "leave --task out",
        ),
    ],
)
def test_what_cannot_be_written_is_a_problem(mealkit, tmp_path, arguments, message, hint):
    """With what to write instead; nothing is left."""
    result = mealkit("new", *arguments)
    assert result.returncode != 0
    assert message in result.stderr
    assert hint in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []


def test_a_script_is_only_named_without_a_yes(mealkit, tmp_path):
    """Where there is no terminal to ask on; then check and lock name it, too."""
    result = mealkit("new", "chat", "--engine", "transformers")
    assert result.returncode == 0
    assert COMMAND in result.stderr
    assert "Downloads the CPU build of torch" in result.stderr
    assert [path.name for path in (tmp_path / "chat" / "wheels").iterdir()] == ["README.md"]
    for verb in ("check", "lock"):
        refused = mealkit(verb, "chat")
        assert refused.returncode == 3
        assert "bash chat/get_wheel.sh" in refused.stderr


def test_a_script_runs_with_prepare(mealkit, tmp_path):
    """The real script, which finds the wheel in a folder; then the check accepts the kit."""
    more = {"PIP_FIND_LINKS": str(torch_wheel().parent), "PIP_NO_INDEX": "1"}
    result = mealkit("new", "chat", "--engine", "transformers", "--prepare", more=more)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "chat" / "wheels" / torch_wheel().name).is_file()
    assert mealkit("check", "chat").returncode == 0


def test_a_script_that_fails_leaves_the_kit(mealkit, tmp_path):
    """The kit is written; the problem has the command that runs the script again."""
    more = {"PIP_FIND_LINKS": str(tmp_path), "PIP_NO_INDEX": "1"}
    result = mealkit("new", "chat", "--engine", "transformers", "--prepare", more=more)
    assert result.returncode == 3
    assert "error[KIT_PREPARE]" in result.stderr
    assert "bash chat/get_wheel.sh" in result.stderr
    assert (tmp_path / "chat" / "kit.yaml").is_file()


def test_on_a_terminal_the_user_is_asked(tmp_path, environment):
    """A no runs nothing, and the command is shown."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "mealkit", "new", "chat", "--engine", "transformers"],
            cwd=tmp_path,
            env=environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        told = b""
        while b"Run it now? [y/N]" not in told:
            told += terminal.read(4096)
        terminal.write(b"n\n")
        while COMMAND.encode() not in told:
            told += terminal.read(4096)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert [path.name for path in (tmp_path / "chat" / "wheels").iterdir()] == ["README.md"]


def test_a_killed_writer_leaves_no_half_kit(tmp_path):
    """At any moment: the folder is not there, or whole; the next attempt clears what is left."""
    work = "fakes.begun_kits:write_kit"
    with nursery(tmp_path, "fakes.begun_kits", "mealkit.engines.python.engine") as forked:
        folder = tmp_path / "whole"
        folder.mkdir()
        moments = forked.finish(work, folder / "soup")
        names = sorted(path.name for path in (folder / "soup").rglob("*"))
        for point in points(moments, 12, seed=15):
            place = tmp_path / f"at-{point}"
            place.mkdir()
            assert forked.run(work, place / "soup", die_at=point).killed
            if (place / "soup").exists():
                assert sorted(path.name for path in (place / "soup").rglob("*")) == names
            else:
                forked.finish(work, place / "soup")
            assert sorted(path.name for path in (place / "soup").rglob("*")) == names
            assert [path.name for path in place.iterdir()] == ["soup"]
