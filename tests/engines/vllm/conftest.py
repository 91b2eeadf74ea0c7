"""What the vllm engine is held against: vLLM's own definitions, read from its wheel."""

import argparse
import importlib.util
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
def parser() -> argparse.ArgumentParser:
    """The stand-in's own parser of ``vllm serve``, made of the recorded flags."""
    spec = importlib.util.spec_from_file_location(
        "recorded", HERE / "standin" / "vllm" / "recorded.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_parser()


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
