"""What a kit pins of text generation is checked again where it is used."""

import pytest
from worker.generation.scripted import ScriptedModel, config

from mealkit.errors import MealkitError
from mealkit.worker.generation.generator import Generator


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"max_length": 1001}, "ENGINE_START"),
        ({"max_length": 0}, "CONFIG_INVALID"),
        ({"max_length": True}, "CONFIG_INVALID"),
        ({"temperature": "hot"}, "CONFIG_INVALID"),
        ({"tool_calls": "smoke"}, "CONFIG_INVALID"),
        ({"overlong": "truncate"}, "CONFIG_INVALID"),
        ({"surprise": 1}, "CONFIG_INVALID"),
        ({"chat_template": "missing.jinja"}, "WEIGHTS_MISSING"),
    ],
)
def test_a_configuration_that_cannot_be_honoured_does_not_start(fields, code):
    """What the kit pins is checked again where it is used."""
    with pytest.raises(MealkitError, match=code):
        Generator(ScriptedModel(), config(**fields))


def test_whole_numbers_are_numbers():
    """JSON writes 1.0 as 1, which is no reason to refuse it."""
    Generator(ScriptedModel(), config(temperature=0, top_p=1, repetition_penalty=1))
