"""A data contract that could not be checked is a problem of the kit, with its line."""

import pytest
from fakes.kits import KIT, kit_of

from mealkit.lock.contract_check import contract_problems
from mealkit.recipe.kit import Feature, Task

SHORT = {"length": {"maximum_characters": 8}}
TOKENS = {"length": {"maximum_tokens": 8}}
ENGLISH = {"languages": {"allowed": ["en", "eng"]}}
QUERY = {"file": "prompts/query.jinja", "variables": ["text", "language"]}


def problems(task, inputs, features=frozenset(Feature)):
    kit = kit_of({**KIT, "prompts": {"query": QUERY}, "data": {"inputs": inputs}})
    return contract_problems(kit, task, features, lambda path: ".".join(map(str, path)))


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (Task.EMBEDDINGS, ("input", "text", "variables.language")),
        (Task.CLASSIFICATION, ("input",)),
        (Task.RERANKING, ("query", "documents")),
        (Task.GENERATION, ("messages", "prompt", "language")),
        (Task.PREDICTION, ("anything", "options.limit")),
    ],
)
def test_the_inputs_of_each_task(task, names):
    """Those of its endpoints, and the variables of the kit's prompts."""
    assert problems(task, dict.fromkeys(names, SHORT)) == []


@pytest.mark.parametrize(
    ("task", "inputs", "where", "message"),
    [
        (Task.EMBEDDINGS, {"inputs": SHORT}, "", "a request to this kit has no input 'inputs'"),
        (Task.GENERATION, {"query": SHORT}, "", "has no input 'query'"),
        (Task.PREDICTION, {"a": TOKENS}, ".length", "does not count tokens"),
        (Task.PREDICTION, {"a": ENGLISH}, ".languages.allowed", "the language eng cannot be told"),
    ],
)
def test_what_cannot_be_checked_is_named(task, inputs, where, message):
    """An unknown input, tokens without a tokenizer, and a language that no text has."""
    (found,) = problems(task, inputs, features=frozenset())
    (name,) = inputs
    assert found.code == "KIT_INVALID"
    assert found.where == f"data.inputs.{name}{where}"
    assert message in found.message
