"""Bodies made to cost: refused, or answered, in linear time and bounded memory, beside others."""

import json
import os
from pathlib import Path

import pytest

from mealkit.recipe.kit import Feature, Task

MEBIBYTE = 2**20
MODEL = "stand-in"
HELLO = {"role": "user", "content": "hello"}
HEADERS = {"Content-Type": "application/json"}


def body(**values):
    return json.dumps({"model": MODEL, **values}, ensure_ascii=False).encode()


def chat(**values):
    return body(**{"messages": [HELLO], **values})


def form(schema):
    return {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}


# What a body may cost is a few seconds on a slow machine; those that cost more cost minutes.
CPU_SECONDS = 10.0
CHATS = {
    "wrong messages": chat(messages=[{"role": "user", "content": 1}] * 60_000),
    "messages": chat(messages=[HELLO] * 40_000),
    "unknown names": chat(**{f"x{number}": 1 for number in range(60_000)}),
    "unknown names in a message": chat(
        messages=[{**HELLO, **dict.fromkeys(map(str, range(60_000)))}]
    ),
    "parts": chat(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}] * 40_000}]),
    "wrong parts": chat(messages=[{"role": "user", "content": [{"type": "text"}] * 40_000}]),
    "calls": chat(messages=[{"role": "assistant", "tool_calls": [{}] * 60_000}]),
    "biases": chat(logit_bias={str(number): 1 for number in range(100_000)}),
    "wrong biases": chat(logit_bias={str(number): "x" for number in range(16_000)}),
    "other wrong biases": chat(logit_bias={f"x{number}": 1 for number in range(16_000)}),
    "stop texts": chat(stop=["x"] * 100_000),
    "wrong stop texts": chat(stop=[1] * 100_000),
    "tools": chat(tools=[{}] * 60_000),
    "variables": chat(prompt="query", variables={str(number): "x" for number in range(60_000)}),
    "a large schema": chat(response_format=form({"enum": list(range(90_000))})),
    "a long name": chat(**{"x" * 3_000_000: 1}),
    "a long model": body(messages=[HELLO]).replace(MODEL.encode(), b"x" * 3_000_000),
    "one name twice": b"{" + b'"a":1,' * 60_000 + b'"a":1}',
    "a million values": b'{"messages":[' + b"1," * 1_000_000 + b"1]}",
    "depth": b'{"messages":' + b"[" * 1_000_000,
    "a number without end": b'{"seed":' + b"9" * 4_000_000 + b"}",
    "many long numbers": b'{"seed":[' + b",".join([b"9" * 4_000] * 1_000) + b"]}",
    "a number that is infinite": b'{"temperature":1e999}',
    "no number": b'{"temperature":NaN}',
    "half a pair": rb'{"model":"stand-in","messages":[{"role":"user","content":"\ud800"}]}',
    "a string without end": b'{"a":"' + b"\\\\" * 2_000_000,
    "blanks": b" " * 4_000_000,
}
RESPONSES = {
    "wrong items": body(input=[{"role": "user", "content": 1}] * 60_000),
    "items": body(input=[HELLO] * 40_000),
    "items of a long kind": body(input=[{"type": "x" * 3_000_000}]),
    "only reasoning": body(input=[{"type": "reasoning"}] * 4_096),
    "unknown names in an item": body(input=[{**HELLO, **dict.fromkeys(map(str, range(60_000)))}]),
    "parts of an item": body(
        input=[{**HELLO, "content": [{"type": "input_text", "text": "a"}] * 40_000}]
    ),
    "wrong parts of an item": body(input=[{**HELLO, "content": [{"type": "input_text"}] * 40_000}]),
    "flat tools": body(input="a", tools=[{}] * 60_000),
    "a large schema of a text": body(
        input="a",
        text={"format": {"type": "json_schema", "name": "f", "schema": {"enum": [*range(90_000)]}}},
    ),
    "half a pair in instructions": rb'{"model":"stand-in","input":"a","instructions":"\ud800"}',
}
EMBEDDINGS = {
    "a million wrong inputs": b'{"model":"stand-in","input":["a",' + b"1," * 1_000_000 + b"1]}",
    "wrong inputs": b'{"model":"stand-in","input":["a",' + b"1," * 190_000 + b"1]}",
    "a wrong input": body(input=["a"] * 2047 + [{"a": "x" * 1_000_000}]),
}


@pytest.fixture(scope="module")
def kits(start_shared, make_shared_lock):
    generation = make_shared_lock(
        worker="standin_server:StandInServer",
        task=Task.GENERATION,
        features=frozenset(Feature),
        hyperparameters={"max_length": 64, "max_tokens": 32, "temperature": 0.0, "top_p": 1.0}
        | {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0}
        | {"frequency_penalty": 0.0, "seed": 7, "stop": [], "chat_template": "model"}
        | {"tool_calls": "hermes", "overlong": "refuse"},
    )
    chat_kit = start_shared(generation).wait_ready()
    return {
        "/v1/chat/completions": chat_kit,
        "/v1/responses": chat_kit,
        "/v1/embeddings": start_shared(make_shared_lock()).wait_ready(),
    }


def peak_bytes(kit):
    """The most memory that the gateway's process has had."""
    status = Path(f"/proc/{kit.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def cpu_seconds(kit):
    fields = Path(f"/proc/{kit.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("path", "data"),
    [
        pytest.param(path, data, id=name)
        for path, bodies in (
            ("/v1/chat/completions", CHATS),
            ("/v1/responses", RESPONSES),
            ("/v1/embeddings", EMBEDDINGS),
        )
        for name, data in bodies.items()
    ],
)
def test_a_body_made_to_cost(kits, path, data):
    """It is refused with a short problem of the caller's, in linear time and bounded memory."""
    kit = kits[path]
    before_bytes, before_seconds = peak_bytes(kit), cpu_seconds(kit)
    answer = kit.client.post(path, content=data, headers=HEADERS)
    error = answer.json()["error"]
    assert (answer.status_code // 100, error["owner"]) == (4, "caller")
    assert error["code"].startswith("REQUEST_")
    assert len(answer.content) < 10_000
    assert cpu_seconds(kit) - before_seconds < CPU_SECONDS
    assert peak_bytes(kit) - before_bytes < 100 * MEBIBYTE
    assert kit.process.poll() is None


FITTING = {
    "messages": chat(messages=[HELLO] * 1_000),
    "parts": chat(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}] * 1_000}]),
    "a text": chat(messages=[{"role": "user", "content": 'é日 "word" ' * 200_000}]),
    "biases": chat(logit_bias={str(number): 1 for number in range(5_000)}),
    "stop texts": chat(stop=["x" * 1_000] * 16),
    "schema": chat(response_format=form({"enum": [f"value {number}" for number in range(1_000)]})),
    "half pairs that are whole": rb'{"model":"stand-in","messages":[{"role":"user","content":"\ud83d\ude00"}]}',
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in FITTING.items()])
def test_a_large_request_that_is_right(kits, data):
    """It is answered, whatever its size."""
    kit = kits["/v1/chat/completions"]
    answer = kit.client.post("/v1/chat/completions", content=data, headers=HEADERS)
    assert answer.status_code == 200, answer.text


def test_many_inputs(kits):
    """As many as the API takes, of some size each."""
    answer = kits["/v1/embeddings"].embed(["word " * 100] * 2_048)
    assert len(answer.json()["data"]) == 2_048


def test_a_large_prediction(start, make_api_lock):
    """The numbers of a picture are an input; whether it is taken, the paper's code says."""
    kit = start(make_api_lock(Task.PREDICTION)).wait_ready()
    answer = kit.post("/v1/predict", input={"picture": [0.25] * (224 * 224 * 3)})
    assert "input.text is missing" in answer.json()["error"]["message"]


def test_others_are_answered_meanwhile(kits, background):
    """While large bodies are read, health and small requests get their turn."""
    kit = kits["/v1/chat/completions"]
    data = CHATS["messages"]
    before = cpu_seconds(kit)
    calls = [
        background(kit.client.post, "/v1/chat/completions", content=data, headers=HEADERS)
        for _ in range(6)
    ]
    answered = 0
    while not all(call.done() for call in calls):
        assert kit.client.get("/healthz").status_code == 200
        assert kit.chat("hello").status_code == 200
        answered += 1
    assert {call.result().status_code for call in calls} == {400}
    # Each of them would have kept the loop for half a second: a few answers, not dozens.
    assert answered > 10
    assert cpu_seconds(kit) - before < 6 * CPU_SECONDS
