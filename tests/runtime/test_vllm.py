"""The gateway over vLLM's server: a stand-in with its flags, its endpoints and its own messages."""

import importlib.util
import json
import os
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import mealkit
from mealkit.engines.vllm.engine import RECIPE, VllmSettings
from mealkit.errors import CATALOGUE
from mealkit.recipe.kit import Gpu, Task

LIBRARY = Path(mealkit.__file__).parent.parent
VLLM = Path(__file__).parents[1] / "engines" / "vllm" / "standin"
LIMIT, MOST = 32, 16


def recorded():
    spec = importlib.util.spec_from_file_location("recorded", VLLM / "vllm" / "recorded.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SAID = recorded().said
DEFINITIONS = recorded().DEFINITIONS

FREE = SAID("no free memory", "cuda:0", "1.53", "22.05", "0.9", "19.84")
CONTEXT = SAID("context too long", 131072, "16.0", "9.31", SAID("longest context", 76272))
SMALL = SAID("context too long", 131072, "16.0", "9.31", "")
SHM = (
    "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.cpp:94, unhandled system error\n"
    "ncclSystemError: Error while creating shared memory segment /dev/shm/nccl-KWfVyt (size 5967872)"
)
COMPILER = "RuntimeError: Failed to find C compiler. Please specify via CC environment variable or"

CXX = "InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')"


@pytest.fixture
def serve(start, make_lock):
    """Start a kit of vLLM: ``serve(task, settings, **what the stand-in does)``."""

    def begin(task=Task.GENERATION, settings=None, serving=None, template=None, **standin):
        flags = VllmSettings.model_validate({"dtype": "bfloat16", **(settings or {})})
        values = (
            {"max_length": LIMIT, "max_tokens": MOST}
            if task is Task.GENERATION
            else {"pooling": "mean", "max_length": LIMIT, "normalize": True}
        )
        in_full = RECIPE.hyperparameters[task].model_validate(values).model_dump(mode="json")
        lock = make_lock(
            serving=serving,
            settings=flags.model_dump(mode="json"),
            worker=RECIPE.worker,
            hyperparameters=in_full,
            task=task,
            features=RECIPE.features(task, in_full, flags.model_dump(mode="json")),
            engine="vllm",
            gpu=Gpu.OPTIONAL,
            environment={**RECIPE.environment, "STANDIN": json.dumps(standin)},
        )

        def place(root):
            if template is not None:
                (root / "models").mkdir(exist_ok=True)
                (root / "models/chat_template.jinja").write_text(template)

        environment = {"MEALKIT_ENGINE_PATH": f"{LIBRARY}:{VLLM}"}
        return start(lock, change=place, environment=environment)

    return begin


def end_of(kit):
    """The problem that ends a container half, which is its last line."""
    code = kit.wait_end()
    found = kit.lines[-1]
    assert code == CATALOGUE[found["code"]].error.exit_code
    return found


@pytest.mark.parametrize(
    ("said", "code", "owner", "measured", "required"),
    [
        (f"ValueError: {FREE}", "FIT_VRAM", "platform", "1.53 GiB free of 22.05 GiB", "19.84 GiB"),
        (
            f"ValueError: {CONTEXT}",
            "FIT_CONTEXT",
            "platform",
            "9.31 GiB for the KV cache",
            "16.0 GiB",
        ),
        (
            f"ValueError: {SMALL}",
            "FIT_CONTEXT",
            "platform",
            "9.31 GiB for the KV cache",
            "16.0 GiB",
        ),
        (f"ValueError: {SAID('no cache')}", "FIT_VRAM", "platform", None, None),
        (SHM, "HOST_SHM", "platform", ..., None),
        (COMPILER, "ENGINE_LIBRARY", "kit-author", "none", "a C compiler"),
        (CXX, "ENGINE_LIBRARY", "kit-author", "none", "a C++ compiler"),
        ("fatal error: Python.h: No such file", "ENGINE_LIBRARY", "kit-author", "none", ...),
        ("something that nobody knows", "ENGINE_START", "kit-author", None, None),
    ],
)
def test_a_start_that_fails(serve, said, code, owner, measured, required):
    """The engine's core reports why, its server only that it failed; the cause is reported."""
    found = end_of(serve(load_says=said, load_exits=1))
    assert (found["code"], found["owner"]) == (code, owner)
    if measured is not ...:
        assert found.get("measured") == measured
    if required is not ...:
        assert found.get("required") == required


def test_the_longest_context_that_would_fit(serve):
    """vLLM has computed it, and the kit's operator gets the number."""
    found = end_of(serve(load_says=f"ValueError: {CONTEXT}", load_exits=1))
    assert "76272" in found["hint"]


def test_a_slow_start(serve, tmp_path):
    """Live from the start, not ready while weights load, ready after a first real token."""
    gate = tmp_path / "go"
    kit = serve(load_waits_for=str(gate))
    kit.wait_status("loading")
    assert kit.client.get("/v1/health/live").status_code == 200
    assert kit.chat("hello").status_code == 503
    gate.touch()
    kit.wait_ready()
    assert kit.chat("one two").json()["choices"][0]["message"]["content"] == "one two "


def test_every_field_that_is_sent_is_vllms(serve, tmp_path):
    """vLLM ignores what it does not know: what the gateway sends, it must know."""
    seen = tmp_path / "requests"
    kit = serve(settings={"tool_call_parser": "hermes"}, requests=str(seen)).wait_ready()
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    assert kit.chat("a b").status_code == 200
    assert kit.chat("a", stream=True, stream_options={"include_usage": True}).status_code == 200
    assert kit.chat("a", tools=[tool], tool_choice="auto").status_code == 200
    assert kit.chat("a", response_format=schema).status_code == 200
    assert kit.chat("a", logprobs=True, top_logprobs=2, logit_bias={"3": 1}, n=1).status_code == 200
    assert kit.post("/v1/completions", prompt="a b").status_code == 200
    names = {
        "/v1/chat/completions": "ChatCompletionRequest",
        "/v1/completions": "CompletionRequest",
    }
    asked = [json.loads(line) for line in seen.read_text().splitlines()]
    counted = [request["body"] for request in asked if request["path"] == "/tokenize"]
    asked = [request for request in asked if request["path"] in names]
    assert (len(asked), len(counted)) == (7, 6)  # one to become ready
    for body in counted:
        kind = "Chat" if "messages" in body else "Completion"
        assert body.keys() <= DEFINITIONS["requests"][f"Tokenize{kind}Request"].keys()
    assert ["tools" in body for body in counted].count(True) == 1
    for request in asked:
        known = DEFINITIONS["requests"][names[request["path"]]]
        assert request["body"].keys() <= known.keys()
        # Sampling is never left to vLLM.
        assert request["body"].keys() >= {"temperature", "top_p", "top_k", "seed", "max_tokens"}


def test_streams(serve):
    """Events as they come, and an end."""
    kit = serve().wait_ready()
    text = kit.chat("one two", stream=True).text
    assert text.endswith("data: [DONE]\n\n")
    assert '"one "' in text


def test_an_error_within_a_stream(serve):
    """The error is mealkit's, and no [DONE] follows: half an answer is none."""
    kit = serve().wait_ready()
    text = kit.chat("stream:fails at once", stream=True).text
    last = json.loads(text.rstrip("\n").rpartition("data: ")[2])
    assert last["error"]["code"] == "ENGINE_DIED"
    assert "[DONE]" not in text


def test_overlong_requests(serve):
    """The numbers are vLLM's, the problem is the caller's."""
    kit = serve(Task.EMBEDDINGS).wait_ready()
    for text in ("a " * (LIMIT + 1), "a " * 50):
        answer = kit.embed(text)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["owner"]) == (
            400,
            "context_length_exceeded",
            "caller",
        )
        assert error["message"] == (
            f"the input has at least {LIMIT + 1} tokens, but this model's maximum context length is"
            f" {LIMIT} tokens"
        )


@pytest.mark.parametrize("stream", [False, True])
def test_max_tokens_yields_to_the_room(serve, tmp_path, stream):
    """vLLM refuses a max_tokens that does not fit, so it is lowered, down to one token."""
    seen = tmp_path / "requests"
    kit = serve(requests=str(seen)).wait_ready()
    for words, asked, room in (
        (LIMIT - MOST, None, MOST),
        (LIMIT - MOST + 1, None, MOST - 1),
        (LIMIT - 1, 10**6, 1),
    ):
        limit = {} if asked is None else {"max_tokens": asked}
        assert kit.chat("a " * words, stream=stream, **limit).status_code == 200
        sent = json.loads(seen.read_text().splitlines()[-1])["body"]
        assert sent["max_tokens"] == room
    refused = kit.post("/v1/completions", prompt="a " * LIMIT, stream=stream, max_tokens=1)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "prompt")
    assert f"maximum context length is {LIMIT} tokens" in error["message"]


THREE_ROLES = """
{%- for m in messages %}
{%- if m.role == 'system' and not loop.first %}{{ raise_exception('first') }}{% endif %}
{%- if m.role in ('system', 'user', 'assistant') %}{{ m.role }}: {{ m.content }}
{% endif %}
{%- endfor %}"""


def test_no_message_gets_lost(serve, tmp_path):
    """vLLM renders the template itself, so the gateway sends what this template would write."""
    seen = tmp_path / "requests"
    kit = serve(template=THREE_ROLES, requests=str(seen)).wait_ready()
    messages = [
        {"role": "developer", "content": "one"},
        {"role": "user", "content": "a b"},
        {"role": "system", "content": "two"},
        {"role": "user", "content": "c"},
    ]
    assert kit.post("/v1/chat/completions", messages=messages).status_code == 200
    sent = [json.loads(line)["body"]["messages"] for line in seen.read_text().splitlines()]
    assert sent[-1] == [
        {"role": "system", "content": "one\n\ntwo"},
        {"role": "user", "content": "a b"},
        {"role": "user", "content": "c"},
    ]


def test_embeddings(serve):
    """Vectors through the same door."""
    kit = serve(Task.EMBEDDINGS).wait_ready()
    data = kit.embed(["one", "three"]).json()["data"]
    assert [item["embedding"][0] for item in data] == [3.0, 5.0]


@pytest.mark.parametrize(
    ("text", "code", "owner"),
    [("core:dies", "ENGINE_DIED", "kit-author"), ("gpu:fails", "FIT_VRAM", "platform")],
)
def test_the_engine_dies_and_its_server_ends_well(serve, text, code, owner):
    """vLLM's server exits with 0 if its engine died: the log shows why, and it is restarted."""
    kit = serve(serving={"restarts": 1}).wait_ready()
    first = kit.worker_pid()
    assert kit.chat(text).json()["error"]["code"] == "ENGINE_DIED"
    body = kit.wait_for(lambda: (r := kit.ready()).status_code == 503 and r.json())
    assert (body["problem"]["code"], body["problem"]["owner"]) == (code, owner)
    kit.wait_ready()
    assert kit.events("worker started")[-1]["pid"] != first
    assert kit.gauge(f'mealkit_failures_total{{code="{code}",owner="{owner}"}}')
    kit.chat(text)
    assert end_of(kit)["code"] == (code if code == "FIT_VRAM" else "ENGINE_GAVE_UP")


def test_killed(serve):
    """A process that is killed is started again."""
    kit = serve(serving={"restarts": 1}).wait_ready()
    first = kit.worker_pid()
    os.kill(first, signal.SIGKILL)
    kit.wait_for(lambda: kit.ready().status_code == 503)
    kit.wait_ready()
    assert kit.events("worker started")[-1]["pid"] != first


def test_metrics_pass(serve):
    """The engine's own beside the gateway's, none of them twice."""
    kit = serve().wait_ready()
    assert kit.chat("a b").status_code == 200
    families = list(text_string_to_metric_families(kit.client.get("/metrics").text))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    assert {"vllm:generation_tokens", "vllm:num_requests_running", "mealkit_state"} <= set(names)
    assert "python_gc_objects_collected" not in names


def test_metrics_while_the_worker_hangs(serve):
    """A worker that is frozen does not block its supervisor."""
    kit = serve().wait_ready()
    pid = kit.worker_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        text = kit.client.get("/metrics").text
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "mealkit_worker_metrics_available 0" in text
    assert "vllm:" not in text


def test_stopping_waits_for_answers(serve, tmp_path, background):
    """vLLM would abort running requests, so the gateway drains before it stops vLLM."""
    gate = tmp_path / "go"
    seen = tmp_path / "requests"
    kit = serve(requests=str(seen)).wait_ready()
    answer = background(kit.chat, f"wait:{gate}")
    kit.wait_for(lambda: "wait:" in seen.read_text())
    kit.process.send_signal(signal.SIGTERM)
    kit.wait_for(lambda: any(line.get("status") == "draining" for line in kit.lines))
    gate.touch()
    assert answer.result().status_code == 200
    assert kit.wait_end() == 0
    assert "mode=abort" in "".join(kit.raw)


def test_healthy_while_nothing_is_generated(serve, tmp_path):
    """vLLM's /health and /metrics answer while its engine hangs: neither makes the kit ready."""
    freeze = tmp_path / "frozen"
    limits = {"restarts": 1, "canary_seconds": 1, "timeout_seconds": 2}
    kit = serve(serving=limits, frozen_if=str(freeze)).wait_ready()
    first = kit.worker_pid()
    freeze.touch()

    def not_ready():
        kit.client.get("/metrics")
        answer = kit.ready()
        return answer.json() if answer.status_code == 503 else None

    problem = kit.wait_for(not_ready)["problem"]
    assert (problem["code"], problem["owner"]) == ("ENGINE_HUNG", CATALOGUE["ENGINE_HUNG"].owner)
    freeze.unlink()
    kit.wait_ready()
    assert kit.events("worker started")[-1]["pid"] != first
