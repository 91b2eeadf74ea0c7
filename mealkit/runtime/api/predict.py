"""``POST /v1/predict``: the paper's own code, with the inputs that its schema names.

The worker checks the input against its types; this side refuses what is not an object.
"""

from typing import Annotated, Any

from pydantic import Field

from mealkit.recipe.kit import Task
from mealkit.recipe.sampling_parameters import SEED
from mealkit.runtime.api.answer_models import PredictAnswer, PredictPiece
from mealkit.runtime.api.endpoint import Asked, Counting, Endpoint
from mealkit.runtime.api.example_values import sample
from mealkit.runtime.api.reading import WHOLE, Request, body_of, read_request, unsupported
from mealkit.runtime.api.served_model import ServedModel

PATH = "/v1/predict"


class PredictRequest(Request):
    """An input for the paper's code."""

    model: str | None = None
    """The model's name."""
    input: dict[str, Any]
    """The input's fields."""
    seed: Annotated[int | None, Field(**SEED.bounds), WHOLE] = None
    """What the code's draws start from: the same request gives the same answer, as long as the code
    is called once at a time."""
    stream: bool | None = None
    """Whether the output comes piece by piece, as server-sent events."""


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    asked = read_request(PredictRequest, values, {})
    if asked.model is not None:
        served.require_model(asked.model)
    if asked.stream and served.prediction and not served.prediction.get("streams"):
        message = "stream is not supported: the kit's code gives its output in one piece"
        raise unsupported(message, "stream")
    seed, streams = served.choose("seed", asked.seed), bool(asked.stream)
    body = {"model": served.model, "input": asked.input, "seed": seed, "stream": streams}
    return Asked(PATH, body_of(body), streams=streams, wants_usage=True, seed=seed)


PREDICT = Endpoint(
    path=PATH,
    operation="predict",
    summary="Run the paper's code",
    request=PredictRequest,
    answer=PredictAnswer,
    is_offered=lambda served: served.task is Task.PREDICTION,
    prepare=_prepare,
    example=lambda served: {"input": sample((served.prediction or {}).get("input", {}))},
    counting=Counting.NOTHING,
    event=PredictPiece,
)
