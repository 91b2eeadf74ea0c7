"""``mealkit save`` and ``mealkit load`` from the command line: what they print, and their codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.little import little_base
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.image import BytesBlob
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.trust.bundle import BUNDLE_TYPE

KEY = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    "-----END PUBLIC KEY-----\n"
)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch) -> None:
    """An empty folder, a home with one image, and no policy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEALKIT_HOME", "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir(0o700)
    LocalStore(tmp_path / "here" / "store").put(little_base(), ["base:1"])
    (tmp_path / "team.pub").write_text(KEY)


def run(line: str, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_what_is_saved_can_be_listed_and_loaded(monkeypatch):
    """For people and for programs; the second load changes nothing."""
    digest = str(little_base().digest)
    out, _ = run("save base:1 kit.tar --key team.pub --json")
    saved = json.loads(out)
    assert saved["images"] == [{"names": ["base:1"], "digest": digest}]
    (file,) = saved["files"]
    assert (Path(file["path"]).name, file["written"]) == ("kit.tar", True)
    monkeypatch.setenv("MEALKIT_HOME", "there")
    listed = json.loads(run("load --list kit.tar --json")[0])
    assert (listed["loaded"], listed["images"][0]["names"]) == (False, ["base:1"])
    assert [item["name"] for item in listed["proposed"]] == ["team.pub"]
    for line in ("load kit.tar --proposal proposed", "load kit.tar"):
        out, _ = run(line)
        first, second = out.splitlines()
        assert first.split()[:3] == ["base:1", digest, "linux/amd64"]
        assert second.startswith("proposed   team.pub (public key, fingerprint ")
    assert Path("proposed/team.pub").read_text() == KEY


def test_what_is_about_an_image_is_counted():
    """In words for the types that mealkit writes, each on one line."""
    store = LocalStore(Path("here/store"))
    for text in (b"one", b"two"):
        blob = Attachment(BUNDLE_TYPE, BytesBlob(text), {})
        subject = little_base().descriptor
        Attached(store).add(artifact_of(BUNDLE_TYPE, [blob], subject=subject))
    other = Attachment("text/x", BytesBlob(b"x"), {})
    Attached(store).add(artifact_of("text/x", [other], subject=little_base().descriptor))
    run("save base:1 kit.tar")
    out, _ = run("load --list kit.tar")
    assert sorted(out.splitlines()[1:]) == [
        "  with  1 artifact of the type text/x",
        "  with  2 signed statements",
    ]
    assert "next: mealkit run base:1" in run("load kit.tar")[1]


def test_volumes_are_told_as_sha256sum_prints_them():
    """So that a person can compare them with the list."""
    out, told = run("save base:1 kit.tar --volume 64KiB")
    assert out == Path("kit.tar.sha256").read_text().partition("\n")[2]
    assert "kit.tar.001 is complete" in told
    assert "kit.tar.001 was complete" in run("save base:1 kit.tar --volume 64KiB")[1]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("save kit.tar", 2, "USAGE"),
        ("save base:1 kit.tar --volume large", 2, "USAGE"),
        ("save base:1 kit.tar --volume 1KiB", 2, "USAGE"),
        ("save base:2 kit.tar", 6, "IMAGE_NOT_FOUND"),
        ("save base:1 kit.tar --architecture arm64", 6, "IMAGE_NOT_FOUND"),
        ("save base:1 kit.tar --policy missing.yaml", 6, "DISK_DENIED"),
        ("load missing.tar", 6, "IMAGE_NOT_FOUND"),
        ("load team.pub", 6, "IMAGE_INVALID"),
    ],
)
def test_what_cannot_be_done_is_said(line, code, said):
    """With the code of its class, and no traceback."""
    _, told = run(line, code)
    assert said in told
    assert not list(Path().glob("kit.tar*"))


def test_the_standard_input_is_read_if_it_is_a_file_and_nothing_is_saved_to_a_stream(tmp_path):
    """An archive is read in any order, so a pipe is refused with what to do; as is its output."""
    run("save base:1 kit.tar")
    command = [sys.executable, "-m", "mealkit", "load", "-"]
    environment = {**os.environ, "MEALKIT_HOME": "there"}
    with Path("kit.tar").open() as file:
        done = subprocess.run(
            command, stdin=file, env=environment, capture_output=True, text=True, check=True
        )
    assert done.stdout.startswith("base:1  ")
    raw = Path("kit.tar").read_bytes()
    done = subprocess.run(command, input=raw, env=environment, capture_output=True, check=False)
    assert (done.returncode, b"to a file first" in done.stderr) == (6, True)
    os.mkfifo(tmp_path / "pipe")
    for target in ("-", "pipe"):
        assert "error[USAGE]" in run(f"save base:1 {target}", 2)[1]
    assert not Path("-").exists()
