"""What the vllm engine is held against: vLLM's own definitions, read from its wheel."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mealkit.engines.vllm.recipe import RECIPE, VllmSettings
from mealkit.engines.worker import WorkerConfig
from mealkit.kit.model import Task

HERE = Path(__file__).parent

HYPERPARAMETERS: Mapping[Task, Mapping[str, Any]] = {
    Task.GENERATION: {"max_length": 4096, "max_tokens": 512},
    Task.EMBEDDINGS: {"pooling": "mean", "max_length": 512, "normalize": True},
}


@pytest.fixture(scope="session")
def definitions() -> dict[str, Any]:
    """vLLM's flags, request fields, routes, messages and metrics."""
    return json.loads((HERE / "arguments.json").read_text())


@pytest.fixture(scope="session")
def configure() -> Callable[..., WorkerConfig]:
    """Make a worker's configuration from a kit's values: ``configure(task, settings, values)``."""
    return _configure


def _configure(
    task: Task = Task.GENERATION,
    settings: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
) -> WorkerConfig:
    in_full = RECIPE.hyperparameters[task].model_validate_json(
        json.dumps({**HYPERPARAMETERS[task], **(values or {})})
    )
    flags = VllmSettings.model_validate_json(json.dumps({"dtype": "bfloat16", **(settings or {})}))
    return WorkerConfig(
        model_name="tiny",
        model_root=Path("/models"),
        task=task.value,
        hyperparameters=in_full.model_dump(mode="json"),
        settings=flags.model_dump(mode="json"),
        code_root=Path("/etc/mealkit/code"),
    )


@pytest.fixture(scope="session")
def parser(definitions: dict[str, Any]) -> argparse.ArgumentParser:
    """A parser of ``vllm serve`` made of the recorded flags; it ends the process on a wrong one."""
    made = argparse.ArgumentParser(prog="vllm serve", allow_abbrev=False, exit_on_error=False)
    made.add_argument("model_tag", nargs="?")
    open_choices = {
        "--tool-call-parser": definitions["tool_parsers"],
        "--attention-backend": definitions["attention_backends"],
    }
    for name, flag in definitions["flags"].items():
        if name.startswith("--"):
            known = {"choices": open_choices[name]} if name in open_choices else {}
            made.add_argument(name, **_rules({**flag, **known}))
    return made


def _rules(flag: Mapping[str, Any]) -> dict[str, Any]:
    match flag["kind"]:
        case "switch":
            return {"action": argparse.BooleanOptionalAction}
        case "on":
            return {"action": "store_true"}
        case "integer":
            return {"type": int}
        case "number":
            return {"type": float}
        case "json":
            return {"type": json.loads}
        case "list":
            return {"nargs": "+"}
        case _:
            # "text" with choices is open to plugins; a kit's engine has none.
            return {"choices": flag["choices"]} if "choices" in flag else {}
