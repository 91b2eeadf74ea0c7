"""The clients that others wrote, which ``make test`` puts in a folder of their own, as a kit's callers."""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import pytest

from fakes.served import ROOT

CLIENTS = ROOT / ".engines" / "clients"
CALLS = ROOT / "tests" / "runtime" / "clients" / "calls.py"


def call(name: str, url: str, model: str, *arguments: str) -> Any:
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
            [sys.executable, "-S", CALLS, name, url.rstrip("/"), model, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
