"""``POST /v1/predict``: run the paper's own code, with the inputs that its schema names.

The worker checks the types of the input; this module checks only that the input is an object.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from mealkit.recipe.kit import Task
from mealkit.recipe.sampling_parameters import SEED
from mealkit.runtime.api.answer_models import PredictAnswer, PredictPiece
from mealkit.runtime.api.contract_inputs import ContractInputs
from mealkit.runtime.api.endpoint import Asked, Counting, Endpoint
from mealkit.runtime.api.example_values import sample
from mealkit.runtime.api.file_answer import gives_file
from mealkit.runtime.api.form_data import Part
from mealkit.runtime.api.form_values import form_values
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
    """The seed of the code's random numbers: the same request gets the same answer, as long as the
    code runs for one request at a time."""
    stream: bool | None = None
    """Whether the output is streamed, as server-sent events."""


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    asked = read_request(PredictRequest, values, {})
    if asked.model is not None:
        served.require_model(asked.model)
    if asked.stream and served.prediction and not served.prediction.get("streams"):
        message = "stream is not supported: the kit's code returns its output in one piece"
        raise unsupported(message, "stream")
    seed, streams = served.choose("seed", asked.seed), bool(asked.stream)
    body = {"model": served.model, "input": asked.input, "seed": seed, "stream": streams}
    inputs = ContractInputs(asked.input, prefix="input.")
    return Asked(PATH, body_of(body), streams=streams, wants_usage=True, seed=seed, inputs=inputs)


def _of_form(parts: Sequence[Part], served: ServedModel) -> dict[str, Any]:
    schema = (served.prediction or {}).get("input", {})
    return form_values(parts, schema, served.max_file_bytes)


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
    read_form=_of_form,
    gives_file=lambda served: gives_file(served.prediction),
)
