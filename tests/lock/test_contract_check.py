"""A data contract that could not be checked is a problem of the kit, with its line."""

import pytest
from fakes.kits import KIT, kit_of

from mealkit.lock.contract_check import contract_problems, contract_warnings
from mealkit.recipe.kit import Feature, Task

SHORT = {"length": {"maximum_characters": 8}}
TOKENS = {"length": {"maximum_tokens": 8}}
ENGLISH = {"languages": {"allowed": ["en", "eng"]}}
QUERY = {"file": "prompts/query.jinja", "variables": ["text", "language"]}


def kit_with(inputs):
    return kit_of({**KIT, "prompts": {"query": QUERY}, "data": {"inputs": inputs}})


def place(path):
    return ".".join(map(str, path))


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
    assert contract_problems(kit_with(dict.fromkeys(names, SHORT)), task, place) == []


@pytest.mark.parametrize(
    ("task", "name"), [(Task.EMBEDDINGS, "inputs"), (Task.GENERATION, "query")]
)
def test_an_input_that_no_request_has_is_named(task, name):
    """Its rules would never be checked."""
    (found,) = contract_problems(kit_with({name: SHORT}), task, place)
    assert (found.code, found.where) == ("KIT_INVALID", f"data.inputs.{name}")
    assert f"no request has the input '{name}'" in found.message


def test_tokens_without_a_tokenizer_are_a_warning():
    """The paper's own code has none."""
    kit = kit_with({"a": TOKENS, "b": SHORT})
    (found,) = contract_warnings(kit, frozenset(), place)
    assert found.where == "data.inputs.a.length"
    assert contract_warnings(kit, {Feature.TOKENS}, place) == []


def test_a_language_that_no_text_has_is_named():
    """The identifier has two letters for English, so eng would refuse every text."""
    (found,) = contract_problems(kit_with({"a": ENGLISH}), Task.PREDICTION, place)
    assert found.where == "data.inputs.a.languages.allowed"
    assert "the language 'eng' cannot be told" in found.message
    assert "ISO 639-1" in found.hint
