"""The clients that others wrote, which ``make test`` puts in a folder of their own, as a kit's callers."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fakes.served import ROOT

CLIENTS = ROOT / ".engines" / "clients"
NPM_CLIENTS = ROOT / ".engines" / "npm"
CALLS = ROOT / "tests" / "runtime" / "clients" / "calls.py"
CONVERSATIONS = ROOT / "tests" / "end_to_end" / "clients" / "calls.py"
NPM_CONVERSATIONS = CONVERSATIONS.with_suffix(".mjs")


def call(name: str, url: str, model: str, *arguments: str, calls: Path = CALLS) -> Any:
    """Make a call of ``calls.py`` at a kit; return what the client made of the answer.

    The process sees the clients' packages alone, and has no network but loopback: LangChain's
    adapter would count tokens with a table that it fetches, and is told not to.
    """
    if not (CLIENTS / ".ready").is_file():
        pytest.skip("the clients of others are not installed: make .engines/clients/.ready")
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "PYTHONPATH": str(CLIENTS),
            "https_proxy": "http://127.0.0.1:1",
            "no_proxy": "127.0.0.1",
        }
        done = subprocess.run(
            [sys.executable, "-S", calls, name, url.rstrip("/"), model, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def call_from_npm(name: str, url: str, model: str) -> Any:
    """Make a call of ``calls.mjs`` at a kit; return what the client made of the answer."""
    if not (NPM_CLIENTS / ".ready").is_file():
        pytest.skip("the clients from npm are not installed: make .engines/npm/.ready")
    with tempfile.TemporaryDirectory() as folder:
        # Node looks for packages beside the file that imports them.
        script = shutil.copy(NPM_CONVERSATIONS, folder)
        Path(folder, "node_modules").symlink_to(NPM_CLIENTS / "node_modules")
        done = subprocess.run(
            ["node", script, name, url.rstrip("/"), model],
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": folder},
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
