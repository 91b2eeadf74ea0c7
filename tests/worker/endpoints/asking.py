"""Chats and completions as the gateway writes them, asked of a model that says a script."""

import json

from worker.generation.scripted import ScriptedModel, config

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
COMPLETION = {**SAMPLING, "logprobs": None, "echo": False, "prompt": "hi"}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
TEMPLATE = "{{ tools }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
CALL = b'<tool_call>{"name": "f", "arguments": {"x": "\xc3\xa4"}}</tool_call>'


def endpoints(*script):
    model = ScriptedModel(script, template=TEMPLATE)
    generator = Generator(model, config(tool_calls="hermes"))
    return model, generation_endpoints(generator, "m")


def ask(values, *script, is_cancelled=lambda: False):
    """Send a request to a model that says the script; return the body or the stream's chunks."""
    path = "chat/completions" if "messages" in values else "completions"
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    answer = endpoints(*script)[1][f"POST /v1/{path}"](EndpointCall(body, is_cancelled))
    if isinstance(answer, bytes):
        return json.loads(answer)
    *events, last = [event.removeprefix(b"data: ").removesuffix(b"\n\n") for event in answer]
    assert last == b"[DONE]"
    return [json.loads(event) for event in events]
