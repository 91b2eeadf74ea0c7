"""LiteLLM's proxy, in an environment of its own that is made once, over the same stand-in.

Its package is fetched by pip from your package index; the proxy itself is told to stay off the
network: no telemetry, the price list that it brings, and no interface. One worker, as its
documentation asks for per core, with no database, no keys and its log at errors.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.measured import CannotMeasureError
from benchmarks.registry import free_port
from benchmarks.served import Served, part_cores, wait_ready

VERSION = "1.106.2"

_CONFIG = """\
model_list:
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
litellm_settings: {{telemetry: false, num_retries: 0, request_timeout: 60}}
general_settings: {{disable_spend_logs: true}}
"""
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # The gateway beside it asks for no key on loopback either.
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
    "HF_HUB_OFFLINE": "1",
}


@contextmanager
def litellm(lab: Lab, port: int, model: str) -> Iterator[Served]:
    """Run the proxy on the first core, over a server on a port of loopback.

    Raises:
        CannotMeasureError: it cannot be installed, or does not start.
    """
    program = _installed(lab)
    root = lab.scratch / "litellm"
    root.mkdir()
    (root / "config.yaml").write_text(_CONFIG.format(model=model, port=port))
    own, log = free_port(), root / "log"
    command = [str(program), "--config", str(root / "config.yaml"), "--host", "127.0.0.1"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port", str(own), "--num_workers", "1", "--telemetry", "False"],
            env={**os.environ, **_ENVIRONMENT, "HOME": str(root)},
            stdout=out,
            stderr=out,
            cwd=root,
        )
    try:
        wait_ready(process, own, "/health/liveliness", log)
        part_cores(process.pid)
        yield Served(process.pid, own, root)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


def _installed(lab: Lab) -> Path:
    """Return the program, from the cache or installed into it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / f"mealkit-bench/litellm-{VERSION}"
    program = folder / "bin/litellm"
    # Written last, so that an installation that was cut short is done again.
    mark = folder / "complete"
    if not mark.exists():
        lab.tell(f"installing LiteLLM {VERSION} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [*pip, f"litellm[proxy]=={VERSION}"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                tail = done.stderr.strip()[-300:]
                raise CannotMeasureError(f"LiteLLM cannot be installed: {tail}")
        mark.touch()
    return program
