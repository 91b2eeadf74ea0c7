"""The reference for the vllm engine: vLLM's own definitions, read from its wheel."""

import argparse
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mealkit.engines.vllm.engine import RECIPE, VllmSettings
from mealkit.recipe.kit import Task
from mealkit.worker.interface import WorkerConfig

HERE = Path(__file__).parent

HYPERPARAMETERS: Mapping[Task, Mapping[str, Any]] = {
    Task.GENERATION: {"max_length": 4096, "max_tokens": 512},
    Task.EMBEDDINGS: {"pooling": "mean", "max_length": 512, "normalize": True},
}


def _recorded() -> Any:
    path = HERE / "standin" / "vllm" / "recorded.py"
    spec = importlib.util.spec_from_file_location("recorded", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECORDED = _recorded()


@pytest.fixture(scope="session", params=RECORDED.VERSIONS)
def definitions(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """vLLM's flags, request fields, routes, messages and metrics, of each version that is read."""
    found: Mapping[str, Any] = RECORDED.definitions_of(request.param)
    return found


@pytest.fixture(scope="session")
def parser(definitions: Mapping[str, Any]) -> argparse.ArgumentParser:
    """The stand-in's own parser of ``vllm serve``, made of the recorded flags."""
    made: argparse.ArgumentParser = RECORDED.make_parser(definitions)
    return made


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
