"""The harness measures what it says it measures, leaves out what is not here, and cleans up."""

import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.caller import quantile
from benchmarks.docker_peer import _sent_bytes, find_docker
from benchmarks.figures import Row, Table, against, markdown, show_bytes, show_seconds
from benchmarks.lab import disk_bytes
from benchmarks.measured import CannotMeasureError, measure, take_turns
from benchmarks.report import MARK, write_section
from benchmarks.synthetic import make_kit
from mealkit.kit.load import load_kit
from mealkit.sources.ranges import FileRanges
from mealkit.sources.safetensors import read_safetensors

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024


def test_a_run_is_measured_by_its_own_memory_not_by_that_of_whoever_started_it():
    """A child that takes 64 MiB shows them, one that takes nothing does not show its parent's."""
    ballast = bytearray(128 * MIB)
    large = measure([sys.executable, "-I", "-S", "-c", "x = bytearray(64 << 20)"])
    small = measure([sys.executable, "-I", "-S", "-c", "print('said')"])
    assert len(ballast) == 128 * MIB
    assert large.peak_bytes > 64 * MIB
    assert small.peak_bytes < 48 * MIB
    assert small.output == "said\n"
    assert small.seconds > 0


def test_a_command_that_fails_is_not_counted():
    """A failed run raises, with its code and what it said."""
    with pytest.raises(CannotMeasureError, match="ended with 3: no luck"):
        measure(
            [sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"]
        )


def test_a_command_that_is_not_here_is_not_counted():
    """A program that does not exist raises too."""
    with pytest.raises(CannotMeasureError):
        measure(["/nonexistent/program"])


def test_a_measured_command_ends_with_the_harness(tmp_path):
    """A harness that is stopped takes the command that it measures with it."""
    script = (
        "import signal, sys; from benchmarks.measured import measure\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "measure([sys.executable, '-c', 'import os, sys, time;"
        ' open(sys.argv[1], "w").write(str(os.getpid())); time.sleep(600)\', sys.argv[1]])\n'
    )
    told = tmp_path / "pid"
    harness = subprocess.Popen([sys.executable, "-c", script, str(told)], cwd=ROOT)
    while not (told.exists() and told.read_text()):
        assert harness.poll() is None
    measured = os.pidfd_open(int(told.read_text()))
    harness.terminate()
    assert harness.wait() == 143
    readable, _, _ = select.select([measured], [], [], 30)
    os.close(measured)
    assert readable


def test_contenders_take_turns_and_one_that_fails_leaves_the_others_alone():
    """Every round starts with another contender; a contender that fails is named with its reason."""
    order = []

    def contender(name):
        def run(number):
            order.append((number, name))
            if name == "broken":
                raise CannotMeasureError("it is not installed")
            return measure([sys.executable, "-I", "-S", "-c", "pass"])

        return run

    field = take_turns({name: contender(name) for name in ("a", "broken", "b")}, 3, lambda _: None)
    assert order == [(0, "a"), (0, "broken"), (0, "b"), (1, "b"), (1, "a"), (2, "b"), (2, "a")]
    assert field.absent == {"broken": "it is not installed"}
    assert len(field.samples("a")) == len(field.samples("b")) == 3
    assert field.seconds("broken") is None


def test_a_synthetic_kit_is_a_kit_and_its_weights_are_safetensors(tmp_path):
    """What is measured is what a user would have: mealkit reads the kit and the weights' headers."""
    kit = make_kit(tmp_path, "bench", 4 * MIB, 4)
    assert load_kit(kit.folder, allowed=[tmp_path]).kit.name == "bench"
    assert len(kit.weights) == 4
    for path in kit.weights:
        assert read_safetensors(path.name, FileRanges(path)).parameters == MIB
        assert path.stat().st_size > MIB


def test_a_ratio_is_judged_by_its_budget_only_where_there_is_one():
    """Under the budget is met, over it is missed, and without one there is no verdict."""
    assert against("x", [1.1], ("y", [1.0]), 1.15)[0].verdict == "met"
    assert against("x", [1.2], ("y", [1.0]), 1.15)[0].verdict == "**missed**"
    assert against("x", [1.2], ("y", [1.0]))[0].verdict == ""
    assert against("x", [], ("y", [1.0]), 1.15) == []
    assert against("x", [1.0], ("y", []), 1.15) == []
    # A round that was slow for both says nothing: 10/8 and 1/1 are 1.25 and 1, not 5.5/4.5.
    assert against("x", [10.0, 1.0], ("y", [8.0, 1.0]))[0].ratio == pytest.approx(1.125)


def test_tables_become_markdown_and_json():
    """A table keeps its notes and cells in Markdown, and its single runs in JSON."""
    row = Row("a | b", "1 s", "c", 0.5, "≤ 1", met=True, samples={"runs": [1.0, 2.0]})
    table = Table("Title", [row], ["a note"])
    assert "| a / b | 1 s | c | 0.5 | ≤ 1 | met |" in markdown(table)
    assert "- a note" in markdown(table)
    assert json.loads(json.dumps(table.as_json()))["rows"][0]["samples"] == {"runs": [1.0, 2.0]}


def test_figures_go_between_the_marks_of_a_document(tmp_path):
    """Only what stands between the marks is replaced; a document without them is left alone."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARK}\nold\n{MARK}\nafter\n")
    write_section(page, "new")
    assert page.read_text() == f"before\n{MARK}\nnew\n{MARK}\nafter\n"
    page.write_text("no marks\n")
    with pytest.raises(SystemExit, match="nothing was written"):
        write_section(page, "new")
    assert page.read_text() == "no marks\n"


def test_numbers_are_shown_with_digits_that_mean_something():
    """Milliseconds below a tenth of a second, and sizes in binary units."""
    assert [show_seconds(value) for value in (0.0123, 1.234, 12.34)] == [
        "12.3 ms",
        "1.23 s",
        "12.3 s",
    ]
    assert [show_bytes(value) for value in (12, 2048, 3 * MIB)] == ["12 bytes", "2 KiB", "3 MiB"]
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_disk_is_counted_in_blocks_and_hard_links_once(tmp_path):
    """A sparse file takes no disk, and a second name for a file takes none either."""
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(8 * MIB)
    (tmp_path / "full").write_bytes(os.urandom(MIB))
    before = disk_bytes(tmp_path)
    os.link(tmp_path / "full", tmp_path / "again")
    assert MIB <= before < 2 * MIB
    assert disk_bytes(tmp_path) == before


def test_what_buildkit_says_it_was_sent_is_understood():
    """The largest amount counts: BuildKit tells the same transfer again and again."""
    talk = "#4 transferring context: 512.10MB 1.2s\n#4 transferring context: 1.07GB 4.9s done\n"
    assert _sent_bytes(talk) == pytest.approx(1.07e9)
    assert _sent_bytes("#4 transferring context: 2B") == 2
    assert _sent_bytes("nothing") == 0


def test_without_docker_its_peers_are_not_measured(monkeypatch, tmp_path):
    """A missing docker is a reason, not a crash."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotMeasureError, match="no docker on PATH"):
        find_docker()


def test_the_shortest_topic_runs_end_to_end(tmp_path, capsys):
    """Figures go to the terminal, to JSON with every single run, and to Markdown."""
    result, page = tmp_path / "result.json", tmp_path / "page.md"
    options = ["--only", "help", "--runs", "1", "--scratch", str(tmp_path)]
    code = main([*options, "--json", str(result), "--markdown", str(page)])
    assert code == 0
    rows = json.loads(result.read_bytes())["tables"][0]["rows"]
    assert rows[0]["what"] == "mealkit --help"
    assert len(rows[0]["samples"]["seconds"]) >= 1
    assert "| mealkit --help |" in page.read_text()
    assert "mealkit --help" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.md", "result.json"]


@pytest.mark.parametrize("size", ["", "1", "MiB", "0MiB", "-1GiB", "1.5GiB", "1TB"])
def test_a_size_that_is_none_is_refused(size, capsys):
    """Sizes are whole numbers of binary units."""
    with pytest.raises(SystemExit):
        main([f"--sizes={size}"])
    assert "is not a size" in capsys.readouterr().err


@pytest.mark.online
def test_builds_and_requests_are_measured_without_any_peer(tmp_path):
    """With no docker, skopeo or registry on PATH, mealkit's own figures are there all the same."""
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "gpgv").symlink_to(shutil.which("gpgv") or "/usr/bin/gpgv")
    topics = ("build", "rebuild", "push", "requests")
    form = _bench(tmp_path, topics, {"PATH": str(bare)})
    notes = [note for table in form["tables"] for note in table["notes"]]
    assert any("there is no docker on PATH" in note for note in notes)
    assert any("docker-registry is not installed" in note for note in notes)
    rows = _rows(form)
    assert rows["layers that changed"]["measured"] == "kit"
    assert rows["first build"]["ratio"] > 0
    assert rows["added to a request, p50"]["measured"]


@pytest.mark.docker
@pytest.mark.online
def test_peers_are_measured_and_nothing_is_left_in_docker(tmp_path):
    """Both builders and a push take part; images, containers and scratch are gone afterwards."""
    form = _bench(tmp_path, ("build", "rebuild", "push"), {})
    rows = [row for table in form["tables"] for row in table["rows"]]
    held = " ".join(row["baseline"] for row in rows)
    for peer in ("docker build (BuildKit)", "docker build (legacy)", "skopeo copy", "docker push"):
        assert peer in held
    # Every push again asks for each layer and the config once, and uploads nothing.
    assert _rows(form)["requests of a push again"]["met"]
    docker = find_docker().program
    listed = subprocess.run([docker, "image", "ls"], capture_output=True, text=True, check=True)
    assert form["name"] not in listed.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def _bench(folder, topics, environment):
    """Run the harness as a process, with weights of 2 MiB; return its JSON."""
    result = folder / "result.json"
    only = [word for topic in topics for word in ("--only", topic)]
    command = [sys.executable, "-m", "benchmarks", "--sizes", "2MiB", "--runs", "1", *only]
    process = subprocess.Popen(
        [*command, "--json", str(result), "--scratch", str(folder)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return {**json.loads(result.read_bytes()), "name": f"mealkit-bench-{process.pid}"}


def _rows(form):
    return {row["what"]: row for table in form["tables"] for row in table["rows"]}
