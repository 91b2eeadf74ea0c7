"""What an image in a registry says that it needs: anything, and never an error of our own."""

import json

import pytest
from fakes.any_json import any_json, places, replaced
from fakes.engines import report_of
from fakes.machines import machine
from fakes.needs import SEVENTY_4BIT, gpu_needs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mealkit.errors import MealkitError
from mealkit.recipe.requirements import ANNOTATION, read_requirements

FACTS = machine("h100x8")
CODES = {"IMAGE_INVALID", "ESTIMATE_UNKNOWN"}
NEEDS = json.loads(gpu_needs(model=SEVENTY_4BIT, flags={"max_model_len": 8192}).model_dump_json())
NUMBERS = [0, -1, 1, 10**9, 2**31, 2**53, 2**64, 10**400, 0.0, 1e-300, 1e300, -0.5]
ANY = any_json(*NUMBERS, "\x1b[2J", "a\nb", "../x", "\u202e", "9" * 1000, "8.0+PTX", "1.0af")


def judged(text):
    """Read and judge, as mealkit preflight does; the code that it ends in, or None."""
    try:
        found = read_requirements({ANNOTATION: text}, "here")
    except MealkitError as error:
        return error.problems[0].code
    report_of(FACTS, found)
    return None


def test_needs_as_mealkit_writes_them_are_judged():
    """The forms of numbers and names refuse nothing that the lock writes."""
    assert judged(json.dumps(NEEDS)) is None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(way=st.sampled_from(places(NEEDS)), value=ANY)
def test_any_value_in_any_place_of_the_needs_is_judged_or_refused(way, value):
    """A need that is no need is IMAGE_INVALID; no number of it divides by zero or overflows."""
    assert judged(json.dumps(replaced(NEEDS, way, value))) in {None, *CODES}


@pytest.mark.parametrize("engine", ["vllm", "transformers", "llama-cpp", "onnx"])
def test_every_number_of_the_needs_is_judged_or_refused(engine):
    """So is every number in every place, whichever engine is estimated."""
    for way in places(NEEDS):
        for number in NUMBERS:
            form = replaced(NEEDS, way, number)
            if isinstance(form.get("demand"), dict):
                form["demand"]["engine"] = engine
            assert judged(json.dumps(form)) in {None, *CODES}, (way, number)


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{", "NaN", '{"gpu": NaN}', "[" * 100_000, '{"a":' * 100_000, "\ud800"),
        *('{"gpu": "none", "gpu": "none"}', '{"port": ' + "9" * 5000 + "}", "\0", "\ufeff{}"),
    ],
)
def test_what_states_no_needs_is_refused(text):
    """Empty, deep, twice the same name, half a pair, numbers that JSON does not have."""
    assert judged(text) == "IMAGE_INVALID"
