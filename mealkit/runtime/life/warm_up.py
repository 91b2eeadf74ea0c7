"""Sends the real request that a kit must answer before it is ready."""

from collections.abc import Mapping
from typing import Any, assert_never

from mealkit.errors import RequestError, failure
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.task_endpoints import first_case
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.classify import CLASSIFY
from mealkit.runtime.api.completions import COMPLETIONS
from mealkit.runtime.api.embeddings import EMBEDDINGS, dimensions_of
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.example_values import stated_example
from mealkit.runtime.api.predict import PREDICT
from mealkit.runtime.api.reading import MAX_DEPTH
from mealkit.runtime.api.rerank import RERANK
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.worker_client.engine_errors import problems_of
from mealkit.untrusted import parse_json

_TEXT = "a first sentence, so that the first caller does not wait"


async def warm(service: Service) -> str | None:
    """Send the worker a first request, and read from its answer what is not in the lock.

    For prediction without a case it is the example that the code's signature states. Returns why
    there was no such request, if it states no example; None otherwise.

    Raises:
        MealkitError: the worker's own problem, or ``ENGINE_ANSWER``, its answer is not
            valid.
        WorkerLostError: the worker ended.
    """
    await probe(service, likelihoods=True)
    form = service.served.prediction
    if service.served.task is not Task.PREDICTION or form is None:
        return None
    return (
        "; ".join(filter(None, [_unknown_inputs(service), await _example(service, form)])) or None
    )


def _unknown_inputs(service: Service) -> str | None:
    """Return the inputs with rules in the data contract that the code does not have."""
    schema = (service.served.prediction or {}).get("input", {})
    fields = schema.get("properties")
    if not isinstance(fields, Mapping) or schema.get("additionalProperties"):
        return None
    unknown = [
        name for name in service.served.contract_inputs if name.partition(".")[0] not in fields
    ]
    if not unknown:
        return None
    return f"the data contract has rules for {', '.join(sorted(unknown))}, which is no input"


async def _example(service: Service, form: Mapping[str, Any]) -> str | None:
    if first_case(service.lock):
        return None
    example, missing = stated_example(form["input"])
    if example is None:
        return f"predict was not tried, because its input {missing} has no example and no default"
    try:
        await _ask(service, PREDICT, {"input": example})
    except RequestError as error:
        # Code may need one of several optional inputs: it has run, and refuses to go on.
        return f"the kit refuses its own example: {error.problems[0].message}"
    return None


async def probe(service: Service, *, likelihoods: bool = False) -> None:
    """Send the worker a small request: one token, one short text, or the schema of a prediction.

    The code of a prediction is not run, because it may take long, or have effects. With
    ``likelihoods``, generation is also asked for log probabilities, if the engine has them: engines
    compile that part on its first use, and the first caller would wait for the compiler.

    Raises:
        MealkitError: the worker's own problem, or ``ENGINE_ANSWER``, its answer is not
            valid.
        WorkerLostError: the worker ended.
    """
    task = service.served.task
    wants = likelihoods and Feature.LOGPROBS in service.served.features
    match task:
        case Task.EMBEDDINGS:
            _learn_dimensions(service, await _ask(service, EMBEDDINGS, {"input": _TEXT}))
        case Task.GENERATION if Feature.CHAT in service.served.features:
            messages = [{"role": "user", "content": _TEXT}]
            fields = {"messages": messages, "logprobs": wants}
            await _chat(service, {**fields, **_few(service)})
        case Task.GENERATION:
            fields = {"prompt": _TEXT, "logprobs": 1 if wants else None}
            await _ask(service, COMPLETIONS, {**fields, **_few(service)})
        case Task.CLASSIFICATION:
            await _ask(service, CLASSIFY, {"input": _TEXT})
        case Task.RERANKING:
            await _ask(service, RERANK, {"query": _TEXT, "documents": [_TEXT]})
        case Task.PREDICTION:
            _learn_schema(service, await worker_answer(service, "GET", "/schema"))
        case _:
            assert_never(task)


async def _chat(service: Service, values: Mapping[str, Any]) -> None:
    try:
        await _ask(service, CHAT, values)
    except RequestError as error:
        if service.served.system is None:
            raise
        # The request is mealkit's own, so it is the system prompt that the model does not take.
        message = f"the model does not accept the system prompt: {error.problems[0].message}"
        raise failure("KIT_SYSTEM_ROLE", message, where="system_prompt") from error


async def _ask(service: Service, endpoint: Endpoint, values: Mapping[str, Any]) -> bytes:
    asked = endpoint.prepare({"model": service.served.model, **values}, service.served)
    return await worker_answer(service, "POST", asked.target, asked.body)


def _few(service: Service) -> dict[str, int]:
    """Return the parameter for the smallest number of tokens that the kit allows."""
    bounds = service.served.overrides.get("max_tokens")
    return {"max_tokens": max(1, int(bounds.minimum)) if bounds and bounds.minimum else 1}


async def worker_answer(service: Service, method: str, target: str, body: bytes = b"") -> bytes:
    """Return the worker's whole answer to a request of the gateway's own.

    Raises:
        MealkitError: the worker's own problem.
        WorkerLostError: the worker ended.
    """
    answer = await service.upstream.request(method, target, body)
    if answer.status != 200:
        raise service.attribution.of_answer(problems_of(answer, service.traits))
    return answer.body


def _learn_dimensions(service: Service, body: bytes) -> None:
    dimensions = dimensions_of(body)
    before = service.served.dimensions
    if before not in {None, dimensions}:
        message = f"vectors have {dimensions} numbers now, but had {before} before"
        raise failure("ENGINE_ANSWER", message)
    service.served.dimensions = dimensions


def _learn_schema(service: Service, body: bytes) -> None:
    try:
        form = parse_json(body, max_depth=MAX_DEPTH)
        is_schema = isinstance(form["input"], dict) and isinstance(form["output"], dict | bool)
    except (ValueError, KeyError, TypeError) as error:
        raise failure(
            "ENGINE_ANSWER", "the engine's answer has no schema of the prediction"
        ) from error
    if not is_schema:
        raise failure("ENGINE_ANSWER", "the engine's schema is not a JSON Schema")
    service.learn_prediction(form)
