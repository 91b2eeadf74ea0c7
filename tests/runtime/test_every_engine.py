"""What callers may expect whichever engine computes: one contract, asked through the gateway.

Each engine is the real one, with a real model. A new engine adds a function to ENGINES.
"""

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines.conftest import installed_engine
from engines.numpy_llama import begun, greedy, numpy_llama
from fakes.served import cosine, golden
from prometheus_client.parser import text_string_to_metric_families

import mealkit
from mealkit.engines.registry import recipe_of
from mealkit.recipe.kit import Feature, Task

REPOSITORY = Path(mealkit.__file__).parent.parent
TINY_LLAMA = REPOSITORY / "kits" / "tiny-llama"
TEMPLATE = (TINY_LLAMA / "chat_template.jinja").read_text()
LIBRARY = f"{REPOSITORY}"
QUESTION = "What does join do?"
WRITING = {
    "max_length": 512,
    "max_tokens": 40,
    "temperature": 0.9,
    "seed": 7,
    "chat_template": "tools.jinja",
    "tool_calls": "hermes",
}
EMBEDDING = {"pooling": "mean", "max_length": 256, "normalize": True}
# The tiny Llama's own, and the tools before it.
TOOLS_TEMPLATE = """\
{% if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif %}"""
HANDLER = """
import asyncio, random
from collections.abc import AsyncIterator
from typing import Annotated
from pydantic import Field

class Handler:
    async def predict(self, text: Annotated[str, Field(max_length=64)]) -> AsyncIterator[str]:
        if text == "wait":
            await asyncio.Event().wait()
        for word in text.split():
            yield f"{word} {random.randrange(10**9)}"
"""


@dataclass(frozen=True)
class Case:
    """An engine with a model: how it is run, and what it is asked."""

    engine: str
    task: Task
    values: Mapping[str, Any]
    """Hyperparameters, as a kit states them."""
    settings: Mapping[str, Any]
    weights: Mapping[str, bytes]
    path: str
    asks: Callable[[str], dict[str, Any]]
    """The fields of a request for a text."""
    endless: Mapping[str, Any]
    """The fields of a request that takes long, or for ever."""
    part: Mapping[str, Any] | None = None
    """The fields of one that takes a sixteenth of that, if it computes."""
    overlong: str = "word " * 600
    refusal: tuple[int, str] = (400, "context_length_exceeded")
    packages: Path | None = None
    serving: Mapping[str, int] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)


def conversation(text):
    return {"messages": [{"role": "user", "content": text}]}


def writes(engine, settings, weights, packages=None, **fields):
    """Return the case of an engine that writes text, with the tiny Llama."""
    # Sixteen answers of 400 tokens, none of which may end.
    part = {**conversation(QUESTION), "max_tokens": 400, "logit_bias": {"2": -100}}
    return Case(
        engine=engine,
        task=Task.GENERATION,
        values=WRITING,
        settings=settings,
        weights={**weights, "tools.jinja": (TOOLS_TEMPLATE + TEMPLATE).encode()},
        path="/v1/chat/completions",
        asks=conversation,
        packages=packages,
        **{"endless": {**part, "n": 16}, "part": part, **fields},
    )


def files(folder, *names):
    return {name: (folder / name).read_bytes() for name in names}


PUBLISHED = (
    "model.safetensors", "config.json", "generation_config.json", "tokenizer.json",
    "tokenizer_config.json", "chat_template.jinja",
)  # fmt: skip


def onnx(_request):
    graph = files(REPOSITORY / "kits/tiny-chat-onnx/graph", "model.onnx", "genai_config.json")
    return writes("onnx", {}, {**files(TINY_LLAMA, *PUBLISHED), **graph})


def onnx_embeddings(request):
    minilm = request.getfixturevalue("minilm_files")
    graph = files(REPOSITORY / "kits/sbert-minilm/graph", "model.onnx")
    return Case(
        engine="onnx",
        task=Task.EMBEDDINGS,
        values=EMBEDDING,
        settings={},
        weights={**files(minilm, "model.safetensors", "tokenizer.json"), **graph},
        path="/v1/embeddings",
        asks=lambda text: {"input": text},
        endless={"input": ["word " * 200] * 512},
        part={"input": ["word " * 200] * 32},
    )


def llama_cpp(_request):
    settings = {"model": "tiny-f16.gguf"}
    weights = files(TINY_LLAMA, "tiny-f16.gguf")
    return writes("llama-cpp", settings, weights, installed_engine("llama-cpp"))


def transformers(_request):
    packages = installed_engine("transformers")
    return writes("transformers", {}, files(TINY_LLAMA, *PUBLISHED), packages)


ON_CPU = {
    "device": "cpu",
    "dtype": "float32",
    "kv_cache_gib": 1,
    "threads": 1,
    "max_num_seqs": 16,
    "enforce_eager": True,
}


def vllm(_request):
    # Its own endpoint for health answers while its engine hangs: the canary has to find out.
    serving = {"canary_seconds": 5, "timeout_seconds": 30, "restarts": 1}
    weights, packages = files(TINY_LLAMA, *PUBLISHED), installed_engine("vllm")
    return writes("vllm", ON_CPU, weights, packages, serving=serving)


def vllm_embeddings(request):
    minilm = request.getfixturevalue("minilm_files")
    names = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
    return Case(
        engine="vllm",
        task=Task.EMBEDDINGS,
        values=EMBEDDING,
        settings=ON_CPU,
        weights=files(minilm, *names),
        path="/v1/embeddings",
        asks=lambda text: {"input": text},
        endless={"input": ["word " * 200] * 512},
        part={"input": ["word " * 200] * 32},
        packages=installed_engine("vllm"),
    )


def python(_request):
    return Case(
        engine="python",
        task=Task.PREDICTION,
        values={"seed": 7},
        settings={"handler": "handler.py:Handler"},
        weights={},
        path="/v1/predict",
        asks=lambda text: {"input": {"text": text}},
        endless={"input": {"text": "wait"}},
        refusal=(400, "REQUEST_INVALID"),
        code={"handler.py": HANDLER},
    )


ENGINES = (onnx, onnx_embeddings, llama_cpp, transformers, vllm, vllm_embeddings, python)


@pytest.fixture(
    scope="module",
    params=[
        # One worker of xdist has all tests of an engine, which starts once.
        pytest.param(make, id=make.__name__, marks=pytest.mark.xdist_group(make.__name__))
        for make in ENGINES
    ],
)
def case(request):
    return request.param(request)


@pytest.fixture(scope="module")
def kit(case, make_shared_lock, start_shared):
    """A running kit of the engine, which the tests share."""
    recipe = recipe_of(case.engine)
    values = recipe.hyperparameters[case.task].model_validate(case.values).model_dump(mode="json")
    settings = recipe.settings.model_validate(case.settings).model_dump(mode="json")
    generates = case.task is Task.GENERATION
    open_values = getattr(recipe.hyperparameters[case.task], "callers_may_set", ())
    lock = make_shared_lock(
        serving={"max_concurrency": 8, "restarts": 3, **case.serving},
        settings=settings,
        worker=recipe.worker,
        hyperparameters=values,
        weights=case.weights,
        overrides={
            **({"seed": {}} if "seed" in open_values else {}),
            **({"max_tokens": {"maximum": 400}, "temperature": {}} if generates else {}),
        },
        task=case.task,
        features=recipe.features(case.task, values, settings),
        engine=case.engine,
        environment=recipe.environment,
    )

    def place(root):
        for folder, contents in (("models", case.weights), ("etc/code", case.code)):
            for name, data in contents.items():
                target = root / folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data if isinstance(data, bytes) else data.encode())

    paths = [str(path) for path in (LIBRARY, case.packages) if path]
    environment = {"MEALKIT_ENGINE_PATH": ":".join(paths)}
    return start_shared(lock, change=place, environment=environment).wait_ready()


@pytest.fixture
def ask(case, kit):
    """Ask for a text: ``ask("text", **more)``."""
    return lambda text=QUESTION, **more: kit.post(case.path, **{**case.asks(text), **more})


def content_of(answer):
    """Return an answer's text, without the fields that differ between requests."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return {name: value for name, value in body.items() if name not in {"id", "created"}}


def events_of(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = answer.text.removesuffix("\n\n").split("\n\n")
    # A slow engine is silent for long enough that comments keep the stream open.
    *events, last = [event for event in events if not event.startswith(":")]
    assert last == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


@contextmanager
def leaving(kit, path, fields):
    """Send a request, and go away at the end of the block without an answer."""
    body = json.dumps({"model": "stand-in", **fields}).encode()
    url = kit.client.base_url
    with closing(http.client.HTTPConnection(url.host, url.port)) as connection:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        yield


def computed_seconds(pid):
    """Return the CPU time of a session's processes: proc_pid_stat(5), session, utime and stime."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # one that has ended in between
            fields = path.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if int(fields[3]) == pid else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def idle_check(pid):
    """Return a check that becomes true once a process has computed nothing for a while."""
    since, before = time.monotonic(), computed_seconds(pid)

    def is_idle():
        nonlocal since, before
        computed = computed_seconds(pid)
        if computed - before >= 0.03:
            since, before = time.monotonic(), computed
        return time.monotonic() - since > 0.3

    return is_idle


def test_it_loads_and_says_what_it_is(case, kit):
    """Ready comes after weights, engine and a first real request, in this order."""
    seen = [event["status"] for event in kit.events("state")]
    assert seen[: seen.index("ready") + 1] == [
        "preflight", "verifying", "loading", "warming", "ready",
    ]  # fmt: skip
    said = kit.client.get("/v1/metadata").json()
    assert (said["engine"]["name"], said["model"]["task"]) == (case.engine, case.task.value)
    assert kit.client.get("/openapi.json").json()["paths"].keys() >= {case.path}


def test_the_same_request_has_the_same_answer(kit, ask):
    """Whatever was asked in between; recipe and request are named in every answer."""
    first = ask()
    ask("Something else entirely")
    again = ask()
    assert content_of(again) == content_of(first)
    assert first.headers["X-Mealkit-Recipe"] == again.headers["X-Mealkit-Recipe"]
    assert first.headers["X-Request-Id"] != again.headers["X-Request-Id"]


def test_a_stream_says_what_the_whole_says(case, ask):
    """Piece by piece the same answer; an engine without pieces refuses to stream by name."""
    streamed = ask(stream=True)
    if case.task is Task.EMBEDDINGS:
        assert streamed.status_code == 400
        assert streamed.json()["error"]["param"] == "stream"
        return
    whole, events = content_of(ask()), events_of(streamed)
    if case.task is Task.PREDICTION:
        assert [event["output"] for event in events] == whole["output"]
    else:
        pieces = [event["choices"][0]["delta"].get("content") or "" for event in events]
        assert "".join(pieces) == whole["choices"][0]["message"]["content"]


def test_vectors_are_torchs(case, ask):
    """Whichever engine computes them, vectors are those of the published model."""
    if case.task is not Task.EMBEDDINGS:
        return
    texts = golden()
    vectors = content_of(ask([text for text, _ in texts]))["data"]
    for (text, expected), vector in zip(texts, vectors, strict=True):
        assert cosine(vector["embedding"], expected) >= 0.99999, text


QUESTIONS = (QUESTION, "What does open do?", "Is 'ä' 🍲 a letter?", "How are classes made?")


def test_greedy_answers_are_the_arithmetics(case, ask):
    """Without chance, every engine writes the tokens that follow from the weights."""
    if case.task is not Task.GENERATION:
        return
    for question in QUESTIONS:
        written = ask(question, temperature=0).json()["choices"][0]["message"]["content"]
        assert written == greedy(TINY_LLAMA, question, 40)


def test_likelihoods_are_the_arithmetics(case, ask):
    """Tokens add up to the text, the best come first, and the numbers follow from the weights."""
    if case.task is not Task.GENERATION:
        return
    answer = ask(temperature=0, logprobs=True, top_logprobs=3)
    (choice,) = content_of(answer)["choices"]
    content = choice["logprobs"]["content"]
    said = b"".join(bytes(item["bytes"]) for item in content).decode()
    if case.engine == "vllm":  # it lists the token that ended the answer, too
        said = said.removesuffix("<|im_end|>")
    assert said == choice["message"]["content"]
    logits = begun(TINY_LLAMA, QUESTION)
    wanted = np.sort(logits - np.log(np.exp(logits).sum()))[::-1][:3]
    found = [other["logprob"] for other in content[0]["top_logprobs"]]
    assert np.allclose(found, wanted, atol=0.01)
    for item in content:
        assert item["token"] == item["top_logprobs"][0]["token"]
        assert item["logprob"] == item["top_logprobs"][0]["logprob"]
    events = events_of(ask(temperature=0, logprobs=True, top_logprobs=3, stream=True))
    parts = [event["choices"][0].get("logprobs") or {"content": []} for event in events]
    assert [item["token"] for part in parts for item in part["content"]] == [
        item["token"] for item in content
    ]


def test_an_answer_is_shaped_as_it_is_asked_for(case, kit, ask):
    """A stop text ends it, a bias forbids a token, and several answers begin with the only one."""
    if case.task is not Task.GENERATION:
        return

    def texts(**fields):
        return [choice["message"]["content"] for choice in content_of(ask(**fields))["choices"]]

    (full,) = texts(temperature=0)
    cut = ask(temperature=0, stop=["\0never", full[10:13]])
    assert content_of(cut)["choices"][0]["message"]["content"] == full[:10]
    assert cut.json()["choices"][0]["finish_reason"] == "stop"
    first = kit.post("/v1/tokenize", prompt=full).json()["tokens"][0]
    (other,) = texts(temperature=0, logit_bias={str(first): -100})
    assert other != full
    several = texts(n=3)
    assert several[0] == texts()[0]
    assert len(set(several)) > 1
    usage = ask(n=2, max_tokens=3).json()["usage"]
    assert (usage["completion_tokens"], usage["total_tokens"] - usage["prompt_tokens"]) == (6, 6)
    if case.engine == "vllm":
        refused = ask(temperature=0, n=2)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n")


SHAPE = {
    "type": "object",
    "properties": {"kind": {"enum": ["x", "y"]}, "size": {"type": "integer", "minimum": 3}},
    "required": ["kind", "size"],
    "additionalProperties": False,
}
# The tokens of nothing but spaces, of which so small a model writes any number where JSON may have
# them.
PIECES = [numpy_llama(TINY_LLAMA).piece(number) for number in range(2048)]
SPACES = {str(number): -100 for number, text in enumerate(PIECES) if text and not text.strip()}
END = {str(PIECES.index(b"}")): 100}


def test_json_is_what_the_schema_says(case, ask):
    """An answer under a schema has its fields; without a schema, it is an object."""
    if case.task is not Task.GENERATION:
        return
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": SHAPE}}
    for temperature in (0, 0.9):
        answer = ask(response_format=form, temperature=temperature, logit_bias=SPACES)
        found = json.loads(content_of(answer)["choices"][0]["message"]["content"])
        assert found["kind"] in {"x", "y"}
        assert found["size"] >= 3
    loose = ask(response_format={"type": "json_object"}, temperature=0, logit_bias=SPACES | END)
    assert isinstance(json.loads(content_of(loose)["choices"][0]["message"]["content"]), dict)


CITIES = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": CITIES}}
NAMED = {"type": "function", "function": {"name": "weather"}}


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_a_required_call_has_the_arguments_of_its_schema(case, kit, ask, choice):
    """Whether or not the function is strict, whole and as a stream; its result may be sent back."""
    if case.task is not Task.GENERATION:
        return
    fields = {"tools": [TOOL], "tool_choice": choice, "temperature": 0, "max_tokens": 100}
    (answered,) = content_of(ask(**fields))["choices"]
    (call,) = answered["message"]["tool_calls"]
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"])["city"] in {"Oslo", "Rome"}
    written = ""
    for event in events_of(ask(**fields, stream=True)):
        for part in event["choices"][0]["delta"].get("tool_calls") or []:
            written += part["function"].get("arguments") or ""
    assert json.loads(written) == json.loads(call["function"]["arguments"])
    result = {"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"}
    messages = [*conversation(QUESTION)["messages"], answered["message"], result]
    assert content_of(ask(messages=messages, tools=[TOOL]))["choices"][0]["message"]["content"]


def test_a_call_that_nobody_requires(case, ask):
    """With auto the model may write text; and a conversation has the tools in its prompt."""
    if case.task is not Task.GENERATION:
        return
    answer = content_of(ask(tools=[TOOL], temperature=0))
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens"] > ask().json()["usage"]["prompt_tokens"]


def test_other_endpoints_say_the_same(case, kit, ask):
    """The text that the chat template writes, as a completion; and the Responses API."""
    if case.task is not Task.GENERATION:
        return
    chat = content_of(ask(temperature=0))
    said = chat["choices"][0]["message"]["content"]
    rendered = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    completed = content_of(kit.post("/v1/completions", prompt=rendered, temperature=0))
    assert (completed["choices"][0]["text"], completed["usage"]) == (said, chat["usage"])
    response = kit.post("/v1/responses", input=QUESTION, temperature=0).json()
    assert response["output"][0]["content"][0]["text"] == said
    assert response["usage"]["output_tokens"] == chat["usage"]["completion_tokens"]


def test_seeds_are_told_and_honoured(case, kit, ask):
    """Whatever draws says from which seed, and the caller's seed where the kit leaves it open."""
    if case.task is Task.EMBEDDINGS:
        assert "X-Mealkit-Seed" not in ask().headers
        return
    other = ask(seed=8)
    assert (ask().headers["X-Mealkit-Seed"], other.headers["X-Mealkit-Seed"]) == ("7", "8")
    assert content_of(ask(seed=8)) == content_of(other)
    assert content_of(other) != content_of(ask())


def test_what_is_too_long_is_refused(case, ask):
    """With numbers, as the caller's, before anything is computed; nothing is cut."""
    answer = ask(case.overlong)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == case.refusal
    assert error["owner"] == "caller"
    assert any(character.isdigit() for character in error["message"])


ANSWERED = {"role": "assistant", "content": "It joins."}
SENT_BACK = {
    **ANSWERED,
    "refusal": None,
    "audio": None,
    "function_call": None,
    "tool_calls": [],
    "annotations": [],
    "reasoning_content": None,
}
HINT = {"cache_control": {"type": "ephemeral"}}
# What clients send in place of the plainest request, of which it changes nothing.
CHATS = (
    ({}, {"prompt_cache_key": "k", "metadata": {"a": "b"}, "top_logprobs": 0, "top_k": -1}),
    ({"max_tokens": 4}, {"max_completion_tokens": 4, "max_tokens": 4, "parallel_tool_calls": True}),
    ({}, {"max_tokens": -1, "stream_options": {"include_usage": True}, "store": False}),
    (
        conversation(QUESTION),
        {"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION, **HINT}]}]},
    ),
    *(
        (
            {"messages": [{"role": "user", "content": "Hi"}, ANSWERED, *more]},
            {"messages": [{"role": "user", "content": "Hi"}, SENT_BACK, *more]},
        )
        for more in ([], [{"role": "user", "content": "And split?"}])
    ),
)


def test_what_changes_nothing_is_taken(case, ask):
    """Clients' hints, neutral values, and their form of an answer in the history."""
    if case.task is Task.GENERATION:
        for plain, sent in CHATS:
            assert content_of(ask(**sent)) == content_of(ask(**plain))
    elif case.task is Task.EMBEDDINGS:
        assert content_of(ask(truncate=False, user="u")) == content_of(ask())


def test_max_tokens_is_a_cap(case, ask):
    """A larger one than the kit's is lowered to it, and each to what the context has left."""
    if case.task is not Task.GENERATION:
        return
    kept = {"logit_bias": {"2": -100}}
    assert ask(max_tokens=2**31, **kept).json()["usage"]["completion_tokens"] == 400
    long = ask("word " * 440, **kept).json()["usage"]
    assert long["total_tokens"] <= 512
    assert long["completion_tokens"] <= 40
    error = ask("word " * 600).json()["error"]
    assert "maximum context length is 512 tokens" in error["message"]
    assert error["mealkit_code"] == "REQUEST_TOO_LONG"


def test_a_developer_is_heard(case, ask):
    """The template of the tiny Llama has no such role, so it is the system."""
    if case.task is not Task.GENERATION:
        return
    told = [
        ask(messages=[{"role": role, "content": "Be short."}, *conversation(QUESTION)["messages"]])
        for role in ("developer", "system")
    ]
    assert content_of(told[0]) == content_of(told[1])


def test_an_answer_may_be_continued(case, ask):
    """With the same text as at once, and only the rest of it."""
    if case.task is not Task.GENERATION:
        return
    whole = ask(max_tokens=12).json()["choices"][0]["message"]["content"]
    begun = [*conversation(QUESTION)["messages"], {"role": "assistant", "content": whole}]
    rest = ask(messages=begun, continue_final_message=True, max_tokens=4)
    apart = ask(messages=begun, max_tokens=4)
    assert rest.status_code == apart.status_code == 200
    assert rest.json()["usage"]["prompt_tokens"] < apart.json()["usage"]["prompt_tokens"]


def test_parameters_that_nobody_knows_are_refused(ask):
    """By their names: no parameter is ignored."""
    answer = ask(surprise=1)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "surprise")


def test_tokens_are_counted(case, kit, ask):
    """The returned tokens are those of the answer's usage."""
    counted = kit.post("/v1/tokenize", **tokens_asked(case))
    if Feature.TOKENS not in kit.client.get("/v1/metadata").json()["engine"]["features"]:
        assert (counted.status_code, counted.json()["error"]["code"]) == (404, "ROUTE_UNKNOWN")
        return
    found = counted.json()
    assert found["count"] == len(found["tokens"]) == ask().json()["usage"]["prompt_tokens"]


def test_metrics_can_be_read(case, kit, ask):
    """The gateway's, and those of an engine with a server of its own, none of them twice."""
    assert ask().status_code == 200
    families = list(text_string_to_metric_families(kit.client.get("/metrics").text))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    assert "mealkit_state" in names
    if case.engine == "vllm":
        assert {"vllm:prompt_tokens", "vllm:num_requests_running"} <= set(names)
        assert not [name for name in names if name.startswith(("python_", "process_", "http_"))]


def tokens_asked(case):
    if case.task is Task.GENERATION:
        return conversation(QUESTION)
    return {"prompt": QUESTION}


def test_a_caller_that_goes_frees_the_engine(case, kit, ask):
    """The slot is freed, the rest is not computed, and the same engine answers the next request."""
    worker, expected = kit.worker_pid(), content_of(ask())
    begun = computed_seconds(worker)
    if case.part:
        assert kit.post(case.path, **case.part).status_code == 200
    part_seconds, begun = computed_seconds(worker) - begun, computed_seconds(worker)
    with leaving(kit, case.path, case.endless):
        kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 1)
    kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 0)
    if case.engine == "vllm":
        kit.wait_for(lambda: computing(kit) == 0)
    if case.part:
        kit.wait_for(idle_check(worker))
        assert computed_seconds(worker) - begun < 8 * part_seconds
    assert content_of(ask()) == expected
    assert kit.worker_pid() == worker


def computing(kit):
    """Return the number of requests that vLLM itself still computes."""
    (line,) = [
        line
        for line in kit.client.get("/metrics").text.splitlines()
        if line.startswith("vllm:num_requests_running{")
    ]
    return float(line.split()[-1])


def cores_of(worker):
    """Return the processes of vLLM's server that compute for it."""
    children = Path("/proc", str(worker), "task", str(worker), "children").read_text().split()
    commands = {pid: Path("/proc", pid, "cmdline").read_text() for pid in children}
    return [int(pid) for pid, command in commands.items() if "EngineCore" in command]


def test_an_engine_that_hangs_is_started_again(case, kit, ask):
    """Although vLLM's own /health answers while its core is frozen, the kit is not ready."""
    # The others are one process; test_canary has their freezes.
    if case.engine != "vllm" or case.task is not Task.GENERATION:
        return
    expected, worker = content_of(ask()), kit.worker_pid()
    (core,) = cores_of(worker)
    os.kill(core, signal.SIGSTOP)
    problem = kit.wait_for(lambda: (found := kit.ready()).status_code == 503 and found.json())
    assert problem["problem"]["code"] == "ENGINE_HUNG"
    kit.wait_for(lambda: kit.worker_pid() != worker)
    kit.wait_ready()
    assert content_of(ask()) == expected
    assert not Path(f"/proc/{core}").exists()


def test_an_engine_that_dies_is_started_again(case, kit, ask, background):
    """Waiting callers get an error, no caller finds it ready, and then it answers as before."""
    if case.engine == "vllm" and case.task is Task.EMBEDDINGS:
        return  # the same server as for text, which takes longest to start
    expected, worker = content_of(ask()), kit.worker_pid()
    waiting = background(kit.post, case.path, **case.endless)
    kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 1)
    # vLLM's server notices that its core has died, answers, and ends of itself.
    (victim,) = cores_of(worker) if case.engine == "vllm" else (worker,)
    os.kill(victim, signal.SIGKILL)
    error = waiting.result().json()["error"]
    assert (waiting.result().status_code, error["code"]) == (503, "ENGINE_DIED")
    if case.engine == "vllm":  # it takes longest to start, and has hung once before
        kit.wait_end()
        assert kit.lines[-1]["code"] == "ENGINE_GAVE_UP"
        return
    kit.wait_for(lambda: kit.worker_pid() != worker)
    kit.wait_ready()
    assert content_of(ask()) == expected


def test_stopping_waits_for_answers(case, kit, background):
    """The last one: a request that has begun is answered, and then the kit ends well."""
    if case.engine == "vllm" and case.task is Task.GENERATION:
        return  # it has ended
    begun_request = case.part or case.asks("a b c")
    answer = background(kit.post, case.path, **begun_request)
    kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 1 or answer.done())
    kit.process.send_signal(signal.SIGTERM)
    assert answer.result().status_code == 200
    assert kit.wait_end() == 0
