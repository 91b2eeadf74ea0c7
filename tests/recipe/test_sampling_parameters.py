"""The table of sampling parameters: kits, callers, workers and importers have the same bounds."""

import math

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from mealkit.engines.hyperparameters import GenerationHyperparameters
from mealkit.engines.python.engine import PredictionHyperparameters
from mealkit.importing.modelfile_values import convert
from mealkit.importing.stated_sampling import Values, sampling
from mealkit.recipe.sampling_parameters import (
    COMPLETION_LOGPROBS,
    LOGIT_BIAS,
    MAX_TOKENS,
    MOST_STOP_CHARACTERS,
    MOST_STOPS,
    OF_REQUESTS,
    PINNED,
    SEED,
    TOP_K,
    TOP_LOGPROBS,
    Parameter,
    is_stop,
)
from mealkit.runtime.api.chat import ChatRequest
from mealkit.runtime.api.completions import CompletionRequest
from mealkit.runtime.api.predict import PredictRequest
from mealkit.worker.endpoints.generation import chat_request, completion_request
from mealkit.worker.generation_values import Sampling

EVERY = (*PINNED, *OF_REQUESTS)
MESSAGES = [{"role": "user", "content": "x"}]
NEUTRAL = {parameter.name: parameter.neutral for parameter in PINNED}
# What the gateway writes for a request that says nothing.
WRITTEN = {**NEUTRAL, "n": 1, "stop": [], "stream": False}
# What generation_config.json of a model may say.
STATED = {"temperature", "top_p", "top_k", "min_p", "repetition_penalty"}
OLLAMA = {"num_predict": "max_tokens", "repeat_penalty": "repetition_penalty"}


def at_the_bounds(parameter: Parameter) -> list[float]:
    """Return the values at a parameter's bounds, just inside and just outside of them."""
    least, most = parameter.least, parameter.most
    if parameter.kind is int:
        return [least - 1, least, least + 1, most - 1, most, most + 1]
    ends = (least, most)
    steps = [math.nextafter(end, way) for end in ends for way in (-math.inf, math.inf)]
    return [float(value) for value in (least - 1, *ends, *steps, most + 1)]


CASES = [
    pytest.param(parameter, value, id=f"{parameter.name}-{value!r}")
    for parameter in EVERY
    for value in dict.fromkeys((*at_the_bounds(parameter), parameter.neutral))
]
PINNED_CASES = [case for case in CASES if case.values[0] in PINNED]


def takes(model: type[BaseModel], values: dict) -> bool:
    try:
        model.model_validate(values)
    except ValidationError:
        return False
    return True


def in_request(parameter: Parameter, value: float) -> tuple[type[BaseModel], dict]:
    """Return a caller's request with a value."""
    if parameter is COMPLETION_LOGPROBS:
        return CompletionRequest, {"model": "m", "prompt": "x", parameter.name: value}
    given = {"5": value} if parameter is LOGIT_BIAS else value
    return ChatRequest, {"model": "m", "messages": MESSAGES, parameter.name: given}


def is_read_otherwise(parameter: Parameter, value: float) -> bool:
    """Whether a request may have a value beyond the bounds: a larger cap, or -1 for all tokens."""
    return (parameter is MAX_TOKENS and value > MAX_TOKENS.most) or (
        parameter is TOP_K and value == -1
    )


def is_built(build, values: dict) -> bool:
    try:
        build(values)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("parameter", EVERY, ids=lambda parameter: parameter.name)
def test_the_cases_lie_on_both_sides(parameter):
    """The values that are tried are taken and refused, and the neutral one is taken."""
    taken = [parameter.accepts(value) for value in at_the_bounds(parameter)]
    assert True in taken
    assert taken.count(False) >= 2
    assert parameter.accepts(parameter.neutral)
    for value in (True, None, "1", math.nan, math.inf, -math.inf, 10**400):
        assert not parameter.accepts(value)


@pytest.mark.parametrize(("parameter", "value"), PINNED_CASES)
def test_kits_have_the_bounds(parameter, value):
    """A kit pins what lies within the bounds, and nothing else."""
    # A kit's answer leaves something of its context to a prompt, so its greatest is one less.
    context = max(2, min(MAX_TOKENS.most, int(value) + 1)) if parameter is MAX_TOKENS else 64
    values = {"max_length": context, "max_tokens": 1, parameter.name: value}
    if parameter is MAX_TOKENS and value == MAX_TOKENS.most:
        assert not takes(GenerationHyperparameters, values)
        return
    assert takes(GenerationHyperparameters, values) is parameter.accepts(value)
    if parameter is SEED:
        assert takes(PredictionHyperparameters, {"seed": value}) is parameter.accepts(value)


@pytest.mark.parametrize(("parameter", "value"), CASES)
def test_requests_and_their_schema_have_the_bounds(parameter, value):
    """The gateway takes what lies within the bounds, and its schema says the same."""
    model, values = in_request(parameter, value)
    is_taken = parameter.accepts(value) or is_read_otherwise(parameter, value)
    assert takes(model, values) is is_taken
    schema = model.model_json_schema()
    named = {"properties": {parameter.name: schema["properties"][parameter.name]}}
    within = {**named, "$defs": schema.get("$defs", {})}
    is_valid = jsonschema.Draft202012Validator(within).is_valid(
        {parameter.name: values[parameter.name]}
    )
    assert is_valid is is_taken
    if parameter is MAX_TOKENS:
        newer = {"model": "m", "messages": MESSAGES, "max_completion_tokens": value}
        assert takes(ChatRequest, newer) is is_taken
    if parameter is SEED:
        assert takes(PredictRequest, {"input": {}, "seed": value}) is parameter.accepts(value)


@pytest.mark.parametrize(("parameter", "value"), CASES)
def test_workers_have_the_bounds(parameter, value):
    """A worker takes what the gateway takes."""
    given = {"5": value} if parameter is LOGIT_BIAS else value
    changed = {**WRITTEN, parameter.name: given}
    if parameter is COMPLETION_LOGPROBS:
        found = is_built(completion_request, {**changed, "prompt": "x"})
    else:
        likelihoods = {"logprobs": parameter is TOP_LOGPROBS}
        found = is_built(chat_request, {**changed, **likelihoods, "messages": MESSAGES})
    assert found is parameter.accepts(value)


@pytest.mark.parametrize(("parameter", "value"), PINNED_CASES)
def test_importers_have_the_bounds(parameter, value):
    """What a kit would refuse is left out of an imported one, with a word about it."""
    called = {ours: theirs for theirs, ours in OLLAMA.items()}.get(parameter.name, parameter.name)
    values = Values()
    convert(values, [(called, repr(value))])
    is_endless = parameter is MAX_TOKENS and value == -1
    is_taken = values.values.get(parameter.name) == value and not values.left_out
    assert is_taken is parameter.accepts(value) or is_endless
    stated = sampling({}, {}, {"do_sample": True, "max_new_tokens": 1, parameter.name: value})
    if parameter.name in STATED:
        assert (stated.values.get(parameter.name) == value) is parameter.accepts(value)


def test_callers_may_set_what_a_kit_pins():
    """Each parameter of a kit may be named in its overrides; workers have a field for each."""
    names = {parameter.name for parameter in PINNED}
    assert names == GenerationHyperparameters.callers_may_set
    assert names == set(Sampling.__dataclass_fields__) - {"stop", "logit_bias"}
    assert names < set(ChatRequest.model_fields)


@pytest.mark.parametrize("text", ["", "x", "x" * MOST_STOP_CHARACTERS, "x" * 1001, 1])
def test_texts_that_end_an_answer_are_the_same_everywhere(text):
    """None is empty, and none is longer than all of them take."""
    kit = {"max_length": 8, "max_tokens": 1, "stop": (text,)}
    assert takes(GenerationHyperparameters, kit) is is_stop(text)
    request = {"model": "m", "messages": MESSAGES, "stop": [text]}
    assert takes(ChatRequest, request) is is_stop(text)
    written = {**WRITTEN, "logprobs": False, "messages": MESSAGES, "stop": [text]}
    assert is_built(chat_request, written) is is_stop(text)
    values = Values()
    convert(values, [("stop", str(text))])
    assert bool(values.left_out) is not is_stop(str(text))


def test_so_many_texts_may_end_an_answer():
    """A kit, a request and an imported kit have the same number at most."""
    stop = [f"{number}" for number in range(MOST_STOPS + 1)]
    for texts, is_taken in ((stop, False), (stop[1:], True)):
        kit = {"max_length": 8, "max_tokens": 1, "stop": tuple(texts)}
        assert takes(GenerationHyperparameters, kit) is is_taken
        request = {"model": "m", "messages": MESSAGES, "stop": texts}
        assert takes(ChatRequest, request) is is_taken
        values = Values()
        convert(values, [("stop", text) for text in texts])
        assert len(values.values["stop"]) == MOST_STOPS
        assert bool(values.left_out) is not is_taken
