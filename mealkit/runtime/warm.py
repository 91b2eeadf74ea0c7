"""The one real request that a kit must answer before it is ready."""

import json
from typing import assert_never

from mealkit.errors import failure, failures
from mealkit.kit.model import Task
from mealkit.runtime.embeddings import dimensions_of, problem_of
from mealkit.runtime.gateway import EMBEDDINGS
from mealkit.runtime.service import Service

_TEXT = "a first sentence, so that the first caller does not wait"


async def warm(service: Service) -> None:
    """Ask the worker once, and learn from its answer what only the model knows.

    Raises:
        MealkitError: it refused (its own problem), or its answer cannot be used
            (``ENGINE_ANSWER``).
        WorkerLostError: it ended instead.
    """
    model = service.lock.model
    match model.task:
        case Task.EMBEDDINGS:
            body = json.dumps({"model": model.name, "input": _TEXT}).encode()
            answer = await service.upstream.request("POST", EMBEDDINGS, body)
            if answer.status != 200:
                raise failures([problem_of(answer)])
            dimensions = dimensions_of(answer)
        case Task.GENERATION | Task.CLASSIFICATION | Task.RERANKING | Task.PREDICTION:
            raise failure("ENGINE_START", f"there is no first request for {model.task} yet")
        case _:
            assert_never(model.task)
    if service.dimensions not in {None, dimensions}:
        message = f"vectors have {dimensions} numbers now, and had {service.dimensions} before"
        raise failure("ENGINE_ANSWER", message)
    service.dimensions = dimensions
