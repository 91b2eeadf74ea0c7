"""What is true of this process: its ports, folders and device files."""

import socket

import pytest

from mealkit.preflight.here import closed_folders, has_gpu_devices, port_is_free


def test_a_port_is_free_or_taken():
    """A port that cannot be tried is neither."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port_is_free("127.0.0.1", port) is False
    assert port_is_free("127.0.0.1", port) is True
    assert port_is_free("::1", 0) is True
    assert port_is_free("203.0.113.1", 80) is None


def test_folders_that_are_to_be_made(tmp_path):
    """The nearest folder above counts, and a file in the way is named."""
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "a" / "b"
    assert closed_folders((tmp_path, tmp_path / "new" / "deep")) == {}
    assert closed_folders((below,)) == {str(below): f"{tmp_path / 'file'} is not a folder"}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("nvidia0",), True),
        (("nvidia12", "null"), True),
        (("kfd",), True),
        (("dxg",), True),
        (("nvidiactl", "nvidia-uvm", "nvidia-caps", "nvidia0a", "dri"), False),
        ((), False),
    ],
)
def test_device_files_of_gpus(tmp_path, names, found):
    """Those that only control a driver are none."""
    for name in names:
        (tmp_path / name).touch()
    assert has_gpu_devices(tmp_path) is found
