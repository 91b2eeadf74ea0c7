"""A Modelfile's parameters become hyperparameters, or are told with the reason."""

import pytest

from mealkit.importing.modelfile import parse_modelfile
from mealkit.importing.modelfile_values import convert, leave_out
from mealkit.importing.stated_sampling import Values
from mealkit.recipe.sampling_parameters import MOST_STOP_CHARACTERS, MOST_STOPS


def converted(*parameters):
    values = Values()
    lines = "".join(f"PARAMETER {item}\n" for item in parameters)
    convert(values, [(item.word, item.value) for item in parse_modelfile(lines, "Modelfile")])
    return values


def test_what_is_not_stated_is_ollamas_default():
    """But for the seed, which is random there."""
    found = converted()
    assert found.values == {
        "temperature": 0.8,
        "top_k": 40,
        "top_p": 0.9,
        "repetition_penalty": 1.0,
        "seed": 0,
    }
    assert "random" in found.comments["seed"]
    assert found.left_out == []


@pytest.mark.parametrize(
    ("parameter", "name", "value"),
    [
        ("temperature 0", "temperature", 0.0),
        ("top_k 7", "top_k", 7),
        ('num_ctx "4096"', "max_length", 4096),
        ("num_predict 100", "max_tokens", 100),
        ("repeat_penalty   1.3 ", "repetition_penalty", 1.3),
        ("num_thread 4", "threads", 4),
        ("seed 42", "seed", 42),
    ],
)
def test_a_parameter_has_the_kits_name_and_type(parameter, name, value):
    """Its source is the comment."""
    found = converted(parameter)
    assert (found.values[name], type(found.values[name])) == (value, type(value))
    assert found.comments[name].startswith("From PARAMETER")


@pytest.mark.parametrize("text", ["-1", "-2"])
def test_an_answer_without_limit_has_none(text):
    """Ollama has two numbers for it."""
    found = converted(f"num_predict {text}")
    assert "max_tokens" not in found.values
    assert found.left_out == []


@pytest.mark.parametrize(
    "parameter",
    [
        *("temperature hot", "temperature -1", "temperature nan", "temperature inf", "top_k 1.5"),
        *("top_p 2", "num_ctx 0", "num_ctx 99999999999", "num_ctx many", "num_thread 0", "top_k"),
    ],
)
def test_a_value_out_of_its_bounds_is_left_out(parameter):
    """With the bounds, and Ollama's default in its place where it has one."""
    (item,) = converted(parameter).left_out
    assert item.what.startswith(f"PARAMETER {parameter.partition(' ')[0]}")
    assert "must be" in item.why


def test_stops_are_gathered_up_to_as_many_as_a_kit_has():
    """One too many, an empty one and one that is too long are told."""
    good = [f"stop </{number}>" for number in range(MOST_STOPS)]
    bad = ["stop", f"stop {'x' * (MOST_STOP_CHARACTERS + 1)}"]
    found = converted(*bad, *good, "stop late")
    assert found.values["stop"] == [text.removeprefix("stop ") for text in good]
    assert len(found.left_out) == 3


@pytest.mark.parametrize(
    ("parameter", "said"),
    [("mirostat 1", "mirostat"), ("num_gpu 99", "CPU"), ("new_thing 1", "no hyperparameter")],
)
def test_what_a_kit_does_not_have_is_told(parameter, said):
    """Known ones with what to do instead."""
    (item,) = converted(parameter).left_out
    assert said in item.why


def test_an_adapter_is_another_model():
    """Without it, answers would be others; other instructions are none of a kit's."""
    values = Values()
    leave_out(values, "ADAPTER", "./lora.gguf")
    leave_out(values, "LICENSE", "MIT")
    (item,) = values.left_out
    assert item.what == "ADAPTER ./lora.gguf"
    assert "ANOTHER MODEL" in item.why
