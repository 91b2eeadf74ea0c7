"""The language of a text is told by py3langid, and compared with those that a kit was made for."""

import json
import tempfile

import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from mealkit.contract.checker import Checker
from mealkit.contract.rule_forms import ToolSet
from mealkit.contract.text_language import KNOWN_LANGUAGES, language_identifier
from mealkit.recipe.data_contract import DataContract

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it runs away into the forest."
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund und läuft dann in den Wald."
NORWEGIAN = "Den raske brune reven hopper over den late hunden, og så løper den inn i skogen igjen."


@pytest.fixture(scope="module")
def tools():
    """The identifier, loaded where no file can be written, as in a container with a read-only root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/nowhere")
        return ToolSet(identify_language=language_identifier())


def broken(tools, values, **rule):
    contract = DataContract.model_validate_json(json.dumps({"inputs": {"x": {"languages": rule}}}))
    return [
        (item.field, item.measured) for item in Checker.of(contract, tools).check({"x": values})
    ]


def test_another_language_is_found(tools):
    """A text in another language is a violation; a short one is not judged."""
    found = broken(tools, [ENGLISH, GERMAN, "Der Fuchs"], allowed=["en"])
    assert found == [("x[1]", "the language de")]
    assert broken(tools, [ENGLISH, GERMAN], allowed=["en", "de"]) == []


def test_numbers_are_in_no_language(tools):
    """A text without words is not judged."""
    assert tools.identify_language("0 1 1 0 1 0 0 1 1 1 0 0 1 1 0 1 0 1 0 0 1 1 0 1 0") is None
    assert (
        broken(tools, "1.5 2.25 3.125 4.75 5.5 6.0 7.25 8.5 9.75 10.0 11.5", allowed=["en"]) == []
    )


def test_both_written_forms_of_norwegian_are_norwegian(tools):
    """A kit for no accepts what the identifier calls nb or nn, and the other way round."""
    assert (
        broken(tools, NORWEGIAN, allowed=["no"]) == broken(tools, NORWEGIAN, allowed=["nb"]) == []
    )


def test_the_known_languages_are_those_of_the_identifier():
    """The codes that a contract may state are those that py3langid tells; zxx is no language."""
    told = {str(name) for name in LanguageIdentifier.from_model_file(MODEL_FILE).nb_classes}
    assert {*told, "nb"} - {"zxx"} == KNOWN_LANGUAGES


def test_without_an_identifier_the_rule_is_named(tools):
    """The checker says that languages are not checked."""
    contract = DataContract.model_validate({"inputs": {"x": {"languages": {"allowed": ("en",)}}}})
    assert Checker.of(contract, ToolSet()).unchecked == ("x.languages",)
    assert Checker.of(contract, tools).unchecked == ()
