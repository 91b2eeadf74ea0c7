"""The command line as people use it: a real process, apart from the test's own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fakes.graphs import little_graph

from mealkit.engines.whole_schema import full_schema
from mealkit.importing.scaffold import write_new_kit

Mealkit = Callable[..., subprocess.CompletedProcess[str]]

_KEPT = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment that says nothing of the machine's user."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "MEALKIT_HOME": str(tmp_path / "home")}


@pytest.fixture
def mealkit(tmp_path: Path, environment: dict[str, str]) -> Mealkit:
    """Run the program in an empty folder; return what it wrote and its exit code."""

    def run(
        *arguments: str, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mealkit", *arguments],
            cwd=tmp_path,
            env={**environment, **(more or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A new kit, named soup, with the graph that its author exports first."""
    folder = write_new_kit(tmp_path / "soup", "onnx", full_schema()).parent
    (folder / "graph" / "model.onnx").write_bytes(little_graph())
    return folder
