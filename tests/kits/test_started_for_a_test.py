"""``mealkit test`` starts a kit, asks it, and leaves nothing behind, however it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.little import Heard, edit_kit

from mealkit.acceptance.report import Verdict
from mealkit.acceptance.target import SilentListener
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.machine.clients import running_kits
from mealkit.pipeline.proof.kit_testing import test_running
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit

KIT = Path(__file__).parents[2] / "kits" / "rake"
ROWS = 40
VERSION = "9.9.9"  # no other test has it, so its containers can be told from theirs

pytestmark = [pytest.mark.online, pytest.mark.xdist_group("started-for-a-test")]


def _claim(name: str, metric: str, **more: Any) -> dict[str, Any]:
    form = {"name": name, "source": "ours", "metric": metric, "value": 1}
    return {**form, "tolerance": {"minimum": 1}, **more}


def _change(form: dict[str, Any]) -> None:
    """Add a claim that takes long, claims about the container, and a case that fails."""
    form["version"] = VERSION
    form["datasets"] = {"slow": {"source": "folder", "path": "data", "files": ["slow.jsonl"]}}
    ask = {"kind": "prediction", "input": {"text": "text"}}
    whole = {"tolerance": {"maximum": 2**40}}
    form["claims"] = [
        # No answer is the expected one.
        _claim("slow", "json_equal", data="slow", ask=ask, value=0, tolerance={"maximum": 0.5}),
        _claim("start", "start_seconds", **whole),
        _claim("memory", "peak_memory_bytes", **whole),
    ]
    wrong = {"name": "wrong", "request": {"input": {"text": "x"}}, "expect": [{"equals": 1}]}
    form["cases"] = [form["cases"][-1], wrong]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> Home:
    root = tmp_path_factory.mktemp("started") / "home"
    files = test_cache / "home" / "files"
    files.mkdir(parents=True, exist_ok=True)
    root.mkdir()
    (root / "files").symlink_to(files)
    return home_at(root)


@pytest.fixture(scope="module")
def built(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> tuple["subprocess.CompletedProcess[str]", Path]:
    """The kit rake, whose answer to a text that begins with "slow" takes a moment, built and tested.

    Return how that ended, and the layout that was to be written.
    """
    folder = tmp_path_factory.mktemp("kit") / "rake"
    shutil.copytree(KIT, folder)
    handler = (folder / "handler.py").read_text()
    first = "        candidates = list("
    assert handler.count(first) == 1
    sleeping = f'        if text.startswith("slow"):\n            time.sleep(0.15)\n{first}'
    changed = handler.replace(first, sleeping).replace("import re\n", "import re\nimport time\n")
    (folder / "handler.py").write_text(changed)
    edit_kit(folder, _change)
    rows = [{"text": f"slow {number}", "expected": "any"} for number in range(ROWS)]
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "slow.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    layout = folder.parent / "layout"
    command = ["build", str(folder), "--test", "--output", f"oci:{layout}"]
    done = subprocess.run(
        [sys.executable, "-m", "mealkit", *command],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    return done, layout


@pytest.fixture(scope="module")
def kit(built: tuple["subprocess.CompletedProcess[str]", Path]) -> str:
    """Its image in the local store."""
    assert built
    return f"rake:{VERSION}"


def environment(home: Home) -> dict[str, str]:
    return {**os.environ, "MEALKIT_HOME": str(home.root), "NO_COLOR": "1"}


def left(home: Home) -> list[str]:
    """The containers of this kit that still run; other tests may start kits at the same time."""
    return [item.name for item in running_kits(home) if item.kit == f"rake:{VERSION}"]


def started(kit: str, home: Home, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mealkit", "test", kit, "--client", "sandbox", *options],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_fails_its_test_is_not_written_anywhere(
    built: tuple["subprocess.CompletedProcess[str]", Path], home: Home
):
    """The build ends with 14, before the layout is written; the image is in the local store."""
    done, layout = built
    assert done.returncode == 14, done.stderr
    assert "wrong  fails  owner: kit-author" in done.stderr
    assert done.stdout == ""
    assert not layout.exists()
    assert left(home) == []


def test_a_test_that_is_interrupted_stops_the_kit_and_goes_on_later(kit: str, home: Home):
    """After Ctrl-C and SIGTERM nothing runs, and the answers that came are not asked for again."""
    for number in (signal.SIGINT, signal.SIGTERM):
        process = started(kit, home, "--claim", "slow", "--concurrency", "1")
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("slow: ") and " of " in line:
                break
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode not in {0, 14}
        assert left(home) == []
    [journal] = home.journals.iterdir()
    known = [json.loads(line)["row"] for line in journal.read_text().split("\n") if line]
    assert 0 < len(known) < ROWS
    again = started(kit, home, "--claim", "slow", "--json")
    output, problems = again.communicate(timeout=100)
    assert again.returncode == 0, problems
    report = json.loads(output)
    assert report["claims"][0]["rows"] == ROWS
    expected = f"slow: {len(known)} answers are from a test that was interrupted"
    assert report["notes"] == [expected]
    assert list(home.journals.iterdir()) == []
    assert left(home) == []


def test_a_kit_that_does_not_keep_its_promise_is_stopped_by_run(kit: str, home: Home):
    """The case that fails is in the report, with what is known of the container."""
    request = RunRequest(kit, name="started-for-a-test", port=0, client="sandbox")
    running = run_kit(request, home, Heard())
    report = test_running(running, request, None, home, Heard(), SilentListener())
    assert [case.verdict for case in report.cases] == [Verdict.HOLDS, Verdict.FAILS]
    values = {result.claim.name: result for result in report.claims}
    assert values["start"].measured == running.ready_seconds
    assert 10 * 1024**2 < values["memory"].measured < 2 * 1024**3
    assert values["memory"].verdict is Verdict.HOLDS
    assert report.machine.cores is not None
    assert left(home) == []
