"""The description of a kit's API: valid, of this kit only, and true."""

import json

import jsonschema
import pytest
from openapi_spec_validator import validate

from mealkit.errors import CATALOGUE
from mealkit.recipe.kit import Feature, Task
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.api.openapi import describe, problems_by_status
from mealkit.runtime.api.page import page
from mealkit.runtime.api.served_model import ServedModel

PROMPTS = {
    "ask": ("{{ task }}: {{ text }}", ("task", "text")),
    "plain": ("as it is", ()),
}
OVERRIDES = {
    "temperature": {"minimum": 0.2, "maximum": 1},
    "top_k": {},
    "max_tokens": {"maximum": 9},
}
SCHEMA = {
    "input": {
        "$defs": {"Word": {"type": "string", "maxLength": 3}},
        "type": "object",
        "properties": {"word": {"$ref": "#/$defs/Word"}, "times": {"type": "integer"}},
        "required": ["word"],
    },
    "output": {"$defs": {"Word": {"type": "string"}}, "$ref": "#/$defs/Word"},
    "streams": False,
}


@pytest.fixture
def described(make_api_lock):
    """Describe a kit: ``described(task, ...)`` gives its lock, its offer and the description."""

    def make(task, **changes):
        lock = make_api_lock(task, **{"prompts": PROMPTS, **changes})
        offer = ServedModel.of(lock)
        offer.dimensions = 4 if task is Task.EMBEDDINGS else None
        offer.prediction = SCHEMA if task is Task.PREDICTION else None
        return lock, offer, describe(lock, offer)

    return make


def schema_of(description, path):
    """Return the schema of an endpoint's request, whose references a validator can follow."""
    content = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return {**content["schema"], "components": description["components"]}, content["example"]


def takes(description, path, **values):
    """Tell whether a description allows a request that is its example with other values."""
    schema, example = schema_of(description, path)
    return jsonschema.Draft202012Validator(schema).is_valid({**example, **values})


@pytest.mark.parametrize("features", [frozenset(), frozenset(Feature)])
@pytest.mark.parametrize("task", list(Task))
def test_valid(described, task, features):
    """The description is OpenAPI 3.1, and its examples are requests that the kit takes."""
    _, offer, description = described(task, features=features)
    validate(description)
    for endpoint in offered(offer):
        schema, example = schema_of(description, endpoint.path)
        jsonschema.validate(example, schema)
        endpoint.prepare(dict(example), offer)
        assert endpoint.path in description["paths"]
    posts = {path for path, item in description["paths"].items() if "post" in item}
    assert posts == {endpoint.path for endpoint in offered(offer)}


def test_same_kit_same_description(described):
    """A description is the same bytes each time: nothing in it depends on the process."""
    one, other = (json.dumps(described(Task.GENERATION)[2]) for _ in range(2))
    assert one == other


def test_pinned_and_open_values(described):
    """A value that is pinned is the only one; bounds are those of the kit."""
    _, _, description = described(Task.GENERATION, overrides=OVERRIDES)
    path = "/v1/completions"
    assert takes(description, path, temperature=0.5, top_k=3, max_tokens=9, top_p=1)
    assert takes(description, path, temperature=0)  # the kit's own, outside the bounds
    for name, value in (("temperature", 0.1), ("temperature", 1.5), ("top_p", 0.9)):
        assert not takes(description, path, **{name: value})
    assert takes(description, path, max_tokens=10)  # a cap, which counts as 9
    assert not takes(description, path, max_tokens=0)
    assert not takes(description, path, model="other")
    properties = description["components"]["schemas"]["CompletionRequest"]["properties"]
    assert "pinned to 1.0" in properties["top_p"]["description"]
    assert "0.2 to 1; 0.0 if omitted" in properties["temperature"]["description"]


def test_features(described):
    """What the engine cannot do is not in the description."""
    path = "/v1/chat/completions"
    tools = [{"type": "function", "function": {"name": "f"}}]
    able = described(Task.GENERATION, features=frozenset(Feature))[2]
    assert takes(able, path, tools=tools, tool_choice="required", logprobs=True, top_logprobs=3)
    assert not takes(able, path, top_logprobs=3)
    plain = described(Task.GENERATION)[2]
    for values in ({"tools": tools}, {"logprobs": True}, {"n": 2}, {"response_format": {}}):
        assert not takes(plain, path, **values)


def test_prompts(described):
    """The kit's prompts are named, each with its variables."""
    description = described(Task.EMBEDDINGS)[2]
    path = "/v1/embeddings"
    assert takes(description, path, prompt="ask", variables={"task": "a"})
    assert takes(description, path, prompt={"name": "ask", "variables": {"task": "a"}})
    for values in (
        {"prompt": "plain"},  # no text could be put into it
        {"prompt": "ask"},
        {"prompt": "ask", "variables": {"task": "a", "text": "b"}},
        {"variables": {"task": "a"}},
        {"prompt": "other"},
    ):
        assert not takes(description, path, **values)
    none = described(Task.EMBEDDINGS, prompts={"plain": ("as it is", ())})[2]
    assert "prompt" not in none["components"]["schemas"]["EmbeddingRequest"]["properties"]


def test_prediction(described):
    """The input and the output are those that the paper's code states."""
    description = described(Task.PREDICTION)[2]
    path = "/v1/predict"
    assert takes(description, path, input={"word": "abc", "times": 2})
    assert not takes(description, path, input={"word": "abcd"})
    assert not takes(description, path, input={})
    assert not takes(description, path, stream=True)


def test_errors(described):
    """Every status says which codes it has; a start's own problems are not among them."""
    responses = described(Task.GENERATION)[2]["paths"]["/v1/completions"]["post"]["responses"]
    for status, codes in problems_by_status().items():
        for code in codes:
            assert (
                f"`{code}` ({CATALOGUE[code].owner.value})" in responses[str(status)]["description"]
            )
    assert {"400", "404", "413", "429", "502", "503", "504"} <= responses.keys()


def test_page(described):
    """The page shows everything, and nothing that a kit's author wrote is markup."""
    prompts = {"bad": ("<script>alert(1)</script>{{ text }}", ("text",))}
    lock, offer, description = described(Task.GENERATION, prompts=prompts, overrides=OVERRIDES)
    shown = page(lock, offer, description, "http://kit.example.invalid:8000")
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    for text in (str(lock.recipe), "REQUEST_TOO_LONG", "0.2 to 1", "authors@example.invalid"):
        assert text in shown
    assert "curl http://kit.example.invalid:8000/v1/chat/completions" in shown
    assert description["servers"] == [{"url": "."}]
    assert 'href="openapi.json"' in shown
