"""Builds an example command that calls a running kit, for its task."""

import json
import shlex
from typing import Any, assert_never

from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock import Lock

_TEXT = "A kit that works at 3 a.m."


def example_command(url: str, lock: Lock) -> str:
    """Return a curl command that calls the kit; for own code, one that gets its description."""
    model = lock.model.name
    match lock.model.task:
        case Task.EMBEDDINGS:
            return _post(f"{url}/v1/embeddings", {"model": model, "input": _TEXT})
        case Task.CLASSIFICATION:
            return _post(f"{url}/v1/classify", {"model": model, "input": _TEXT})
        case Task.RERANKING:
            body = {"model": model, "query": "When does it work?", "documents": [_TEXT, "Soup."]}
            return _post(f"{url}/v1/rerank", body)
        case Task.GENERATION if Feature.CHAT in lock.engine.features:
            messages = [{"role": "user", "content": "Which kit works at 3 a.m.?"}]
            return _post(f"{url}/v1/chat/completions", {"model": model, "messages": messages})
        case Task.GENERATION:
            return _post(f"{url}/v1/completions", {"model": model, "prompt": _TEXT})
        case Task.PREDICTION:
            return f"curl {url}/openapi.json"
        case _:
            assert_never(lock.model.task)


def _post(url: str, body: dict[str, Any]) -> str:
    return f"curl {url} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
