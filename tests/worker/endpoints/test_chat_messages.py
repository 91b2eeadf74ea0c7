"""The messages of a chat on their way to the template."""

import json

import pytest
from worker.generation.scripted import ScriptedModel, config

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.generation import generation_endpoints
from mealkit.worker.endpoints.request import EndpointCall
from mealkit.worker.generation.generator import Generator

SAMPLING = {
    "model": "m",
    "stream": False,
    "max_tokens": 40,
    "temperature": 0,
    "top_p": 1,
    "top_k": 0,
    "min_p": 0,
    "repetition_penalty": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "seed": 7,
    "stop": [],
    "n": 1,
}
CHAT = {**SAMPLING, "logprobs": False, "messages": [{"role": "user", "content": "hi"}]}
TEMPLATE = "{{ tools }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def endpoints(*script):
    model = ScriptedModel(script, template=TEMPLATE)
    generator = Generator(model, config(tool_calls="hermes"))
    return model, generation_endpoints(generator, "m")


def test_a_chat_has_messages():
    """Without any there is nothing to answer."""
    values = {name: value for name, value in CHAT.items() if name != "messages"}
    with pytest.raises(MealkitError, match="messages"):
        endpoints()[1]["POST /v1/chat/completions"](
            EndpointCall(json.dumps(values).encode(), lambda: False)
        )


def test_messages_reach_the_template_as_text():
    """A message that only calls tools has an empty text; other fields stay what they are."""
    model, served = endpoints(b"ok")
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    messages = [
        {"role": "system", "content": "a\nb"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "7", "tool_call_id": "c"},
        {"role": "user", "content": "", "name": "n"},
    ]
    body = json.dumps({**CHAT, "messages": messages}).encode()
    served["POST /v1/chat/completions"](EndpointCall(body, lambda: False))
    assert bytes(model.prompts[0]) == b"Nonesystem: a\nb\nassistant: \ntool: 7\nuser: \n"
