"""An image that KServe starts as a modelcar lends its weights; any other start is as ever."""

import signal
import subprocess
import sys

import pytest

from mealkit.runtime.modelcar import modelcar_exit

CHECK = (
    "echo 'Pre-fetching modelcar registry.example.org/kit:1: ' && [ -d /models ] && "
    "[ \"$(ls -A /models)\" ] && echo 'OK ... Prefetched and valid (/models exists)' || "
    "(echo 'NOK ... Prefetched but modelcar is invalid (/models does not exist or is empty)'"
    " && exit 1)"
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ln -sf /proc/$$/root/models {0}/mnt && sleep infinity", "mnt"),
        ("ln -s /proc/$$/root/models {0}/mnt && sleep infinity", "mnt"),
        (
            "mkdir -p {0}/deep && ln -sf /proc/$$/root/models {0}/deep/m && sleep infinity",
            "deep/m",
        ),
    ],
)
def test_the_link_is_to_the_weights_of_the_process_until_it_is_told_to_end(tmp_path, text, name):
    """In each form that KServe has had; a link that a restart left is replaced."""
    link = tmp_path / name
    if name == "mnt":
        link.symlink_to("/proc/1/root/models")
    command = [sys.executable, "-m", "mealkit.runtime", "sh", "-c", text.format(tmp_path)]
    process = subprocess.Popen(command, cwd=tmp_path)
    wanted = f"/proc/{process.pid}/root/models"
    while not link.is_symlink() or str(link.readlink()) != wanted:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def test_the_check_before_says_whether_the_image_has_weights(tmp_path, capsys):
    """A lean image has none."""
    assert modelcar_exit(["sh", "-c", CHECK], tmp_path) == 1
    (tmp_path / "models").mkdir()
    assert modelcar_exit(["sh", "-c", CHECK], tmp_path) == 1
    (tmp_path / "models" / "config.json").touch()
    assert modelcar_exit(["sh", "-c", CHECK], tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "/models is empty: a lean image has no weights",
        "/models has weights",
    ]


@pytest.mark.parametrize(
    "arguments", [[], ["sh"], ["sh", "-c", "ls"], ["bash", "-c", CHECK], ["sh", "-c", CHECK, "x"]]
)
def test_other_arguments_are_not_for_it(arguments):
    """They are ignored, as they always were: the image serves."""
    assert modelcar_exit(arguments) is None
