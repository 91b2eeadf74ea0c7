"""The endpoint that a kit of each task is asked at, unless a case names another one."""

from collections.abc import Collection
from typing import assert_never

from mealkit.recipe.cases import Case
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock import Lock


def task_endpoint(task: Task, features: Collection[Feature]) -> str:
    """Return the path of a task's first endpoint; the engine's features decide for generation."""
    match task:
        case Task.EMBEDDINGS:
            return "/v1/embeddings"
        case Task.CLASSIFICATION:
            return "/v1/classify"
        case Task.RERANKING:
            return "/v1/rerank"
        case Task.GENERATION:
            return "/v1/chat/completions" if Feature.CHAT in features else "/v1/completions"
        case Task.PREDICTION:
            return "/v1/predict"
        case _:
            assert_never(task)


def case_endpoint(case: Case, lock: Lock) -> str:
    """Return the path of the endpoint that a case is asked at."""
    return case.endpoint or task_endpoint(lock.model.task, lock.engine.features)


def first_case(lock: Lock) -> Case | None:
    """Return the case that the warm-up asks, and that is the kit's example; None without one."""
    return lock.cases[0] if lock.cases else None
