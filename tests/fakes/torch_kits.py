"""Copies of the example kits with torch's build for CPUs, which one wheel serves."""

import shutil
from pathlib import Path

import pytest

from fakes.served import ROOT

MODEL = ROOT / "kits" / "tiny-llama"
WHEELS = ROOT / "kits" / "tiny-chat-transformers" / "wheels"
_NAME = "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"


def torch_wheel() -> Path:
    """The wheel that ``make test`` has fetched."""
    wheel = WHEELS / _NAME
    if not wheel.is_file():
        pytest.skip("the wheel of torch is not there: make .engines/transformers/.ready")
    return wheel


def copy_with_wheel(kit: Path, folder: Path) -> Path:
    """Copy a kit beside a copy of its model; the wheel is large, and linked."""
    wheel = torch_wheel()
    shutil.copytree(MODEL, folder / MODEL.name)
    copy = folder / kit.name
    shutil.copytree(kit, copy, ignore=shutil.ignore_patterns("wheels"))
    (copy / "wheels").mkdir()
    (copy / "wheels" / wheel.name).symlink_to(wheel)
    return copy
