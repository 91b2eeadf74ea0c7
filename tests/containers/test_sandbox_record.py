"""The record of a sandbox says who runs and how it ended, and takes nobody else for it."""

import json
import os
import subprocess
import sys

import pytest

from mealkit.containers.container import Container, Exit
from mealkit.containers.sandbox_record import (
    Record,
    boot,
    create,
    has_ended,
    locked_state,
    records,
)
from mealkit.errors import MealkitError

CONTAINER = Container("kit", "kit", "sandbox", "a:1", "r", "127.0.0.1", 8000, 1.5, {"a": "b"})


@pytest.fixture
def record(tmp_path):
    """A sandbox that was planned and not started."""
    return create(tmp_path / "runs", CONTAINER, {"groups": [], "root": "/w\udcff"})


@pytest.fixture
def process():
    """A process that waits for its input to end."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as started:
        yield started
        started.kill()


def identify(record, process, name="init", **changes):
    with open(f"/proc/{process.pid}/stat") as stat:  # noqa: PTH123
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    form = {"pid": process.pid, "start_ticks": ticks, **changes}
    (record.folder / f"{name}.json").write_text(json.dumps(form))


def ended(record, **form):
    (record.folder / "exit.json").write_text(json.dumps(form))
    return record.now().exit


def test_a_record_is_read_back(record):
    """With a plan whose paths have any bytes; only its owner may look."""
    again = Record.read(record.folder)
    assert again == record
    assert again.container == CONTAINER
    assert again.plan()["root"] == "/w\udcff"
    assert record.folder.stat().st_mode & 0o777 == 0o700
    assert record.log.read_bytes() == b""


def test_a_name_is_taken_once(record, tmp_path):
    """The first sandbox keeps its record."""
    with pytest.raises(MealkitError, match="CONTAINER_EXISTS"):
        create(tmp_path / "runs", CONTAINER, {})
    assert Record.read(record.folder) == record


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"container": {}, "boot": "x"}'])
def test_what_is_no_record_is_not_found_and_left_alone(record, tmp_path, text):
    """Folders of others, files, and names that begin with a dot."""
    other = tmp_path / "runs" / "other"
    other.mkdir()
    if text is not None:
        (other / "record.json").write_text(text)
    (tmp_path / "runs" / "file").write_text("")
    (tmp_path / "runs" / ".hidden").mkdir()
    with pytest.raises(MealkitError, match="CONTAINER_NOT_FOUND"):
        Record.read(other)
    assert records(tmp_path / "runs") == [record]
    assert other.is_dir()


def test_a_state_that_is_not_there_has_no_records(tmp_path):
    """Nor is it made by looking."""
    assert records(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["init", "keeper"])
def test_it_runs_as_long_as_one_of_its_processes_does(record, process, name):
    """Afterwards it has ended, though its record still names the process."""
    identify(record, process, name)
    opened = record.process(name)
    assert opened is not None
    assert not has_ended(opened)
    assert record.now().exit is None
    process.kill()
    assert has_ended(opened, 60)
    os.close(opened)
    assert record.process(name) is None
    assert record.now().exit == Exit()


def test_a_pid_of_another_start_or_boot_is_another_process(record, process):
    """Numbers are given again."""
    identify(record, process, start_ticks=1)
    assert record.process("init") is None
    identify(record, process)
    earlier = Record(record.folder, record.container, "another-boot")
    assert earlier.process("init") is None
    assert record.boot == boot()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"code": 3}, Exit(3)),
        ({"signal": 9}, Exit(137, "SIGKILL")),
        ({"signal": 9, "out_of_memory": True}, Exit(137, "SIGKILL", out_of_memory=True)),
        ({"code": 143}, Exit(143, "SIGTERM")),
        ({}, Exit()),
    ],
)
def test_its_end_is_what_the_keeper_wrote(record, form, expected):
    """Nothing, if the keeper was killed too."""
    assert ended(record, **form) == expected


def test_a_deleted_record_takes_its_groups_along(record, tmp_path):
    """Those that are empty; a group that is gone already is no error."""
    (tmp_path / "group").mkdir()
    groups = [str(tmp_path / "group"), str(tmp_path / "gone")]
    (record.folder / "plan.json").write_text(json.dumps({"groups": groups}))
    record.delete()
    assert not record.folder.exists()
    assert not (tmp_path / "group").exists()


def test_a_state_can_be_locked_before_anything_is_in_it(tmp_path):
    """Only its owner may look into it."""
    with locked_state(tmp_path / "new" / "runs"):
        assert (tmp_path / "new" / "runs").stat().st_mode & 0o777 == 0o700
