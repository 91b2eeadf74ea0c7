"""What every hosted engine promises for generation, whichever engine it is.

A new engine adds a fixture here, of the module's scope, that returns the dotted path of its worker
and what else ``start_host`` takes, and its name to WORKERS. Everything below is then asked of it over its
socket, with the tiny Llama; ``numpy`` is a forward pass in plain numpy, and what the others must
equal token by token.
"""

import http.client
import json

import pytest
from engines.numpy_llama import greedy
from worker.endpoints.asking import SAMPLING

WORKERS = ["numpy", "onnx", "llama_cpp", "transformers"]

QUESTIONS = [
    "What does join do?",
    "What does open do?",
    "Is 'ä' 🍲 a letter?",
    "How are classes made?",
]
DRAWN = {"temperature": 1, "top_p": 0.95, "top_k": 200, "min_p": 0.001}


@pytest.fixture(scope="module")
def numpy(generation_fields):
    return "numpy_llama:NumpyWorker", generation_fields


@pytest.fixture(scope="module")
def onnx(generation_fields, tiny_llama_graph):
    fields = {**generation_fields, **tiny_llama_graph}
    return "mealkit.engines.onnx.worker:OnnxWorker", fields


@pytest.fixture(scope="module")
def llama_cpp(generation_fields, llama_cpp_settings, llama_cpp_packages):
    settings = {**llama_cpp_settings, "model": "tiny-f16.gguf"}
    fields = {**generation_fields, "settings": settings, "packages": [llama_cpp_packages]}
    return "mealkit.engines.llama_cpp.worker:LlamaCppWorker", fields


@pytest.fixture(scope="module")
def transformers(generation_fields, transformers_settings, transformers_packages):
    fields = {
        **generation_fields,
        "settings": transformers_settings,
        "packages": [transformers_packages],
    }
    return "mealkit.engines.transformers.worker:TransformersWorker", fields


@pytest.fixture(scope="module", params=WORKERS)
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def host(engine, start_shared_host, tmp_path_factory):
    """Return a host that the tests share, because loading takes seconds with some engines."""
    worker, fields = engine
    path = tmp_path_factory.mktemp("socket") / "worker.sock"
    return start_shared_host(worker, socket_path=path, **fields).wait_until_ready()


@pytest.fixture
def own_host(engine, start_host):
    """Return a host of which nothing has to be left."""
    worker, fields = engine
    return start_host(worker, **fields).wait_until_ready()


def chat(host, question="What does join do?", **fields):
    body = {
        **SAMPLING,
        "logprobs": False,
        "messages": [{"role": "user", "content": question}],
        **fields,
    }
    return host.request("POST", "/v1/chat/completions", body)


def complete(host, prompt="Return the", **fields):
    body = {**SAMPLING, "logprobs": None, "echo": False, "prompt": prompt, **fields}
    return host.request("POST", "/v1/completions", body)


def text_of(answer, index=0):
    assert answer.status == 200, answer.body
    choice = answer.json["choices"][index]
    return choice["message"]["content"] if "message" in choice else choice["text"]


def events_of(answer):
    """Return the chunks of a stream, and whether it has ended as it should."""
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "text/event-stream"
    *events, rest = answer.body.split(b"\n\n")
    assert rest == b""
    assert all(event.startswith(b"data: ") for event in events)
    *chunks, last = [event.removeprefix(b"data: ") for event in events]
    assert last == b"[DONE]"
    return [json.loads(chunk) for chunk in chunks]


@pytest.mark.parametrize("question", QUESTIONS)
def test_greedy_answers_are_the_oracles(host, tiny_llama, question):
    """Temperature 0 gives the tokens that the arithmetic of the weights gives."""
    assert text_of(chat(host, question)) == greedy(tiny_llama, question, 40)


def test_an_answer_has_openais_shape(host):
    """A whole chat: one numbered choice, who speaks, why it ended, and the tokens."""
    body = chat(host).json
    assert body.pop("id").startswith("chatcmpl-")
    assert body.pop("created") > 0
    content = body["choices"][0]["message"].pop("content")
    assert content.strip()
    assert body == {
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": body["usage"],
    }
    usage = body["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]


@pytest.mark.parametrize("ask", [chat, complete])
@pytest.mark.parametrize("fields", [{}, DRAWN, {"n": 3, **DRAWN}])
def test_a_stream_says_what_the_whole_says(host, ask, fields):
    """The chunks of a stream add up to the answer that is not streamed, and to its usage."""
    body = ask(host, **fields).json
    chunks = events_of(ask(host, **fields, stream=True, stream_options={"include_usage": True}))
    *chunks, last = chunks
    assert (last["choices"], last["usage"]) == ([], body["usage"])
    for index, choice in enumerate(body["choices"]):
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        texts = [item["delta"].get("content", "") if ask is chat else item["text"] for item in mine]
        whole = choice["message"]["content"] if ask is chat else choice["text"]
        assert "".join(texts) == whole
        assert [item["finish_reason"] for item in mine[:-1]] == [None] * (len(mine) - 1)
        assert mine[-1]["finish_reason"] == choice["finish_reason"]
        if ask is chat:
            assert mine[0]["delta"] == {"role": "assistant", "content": ""}
    assert len({chunk["id"] for chunk in [*chunks, last]}) == 1


@pytest.mark.parametrize("fields", [{}, DRAWN])
def test_the_same_request_gives_the_same_answer(host, fields):
    """Nothing that was asked in between changes an answer, drawn or not."""
    first = text_of(chat(host, **fields))
    for question in QUESTIONS[1:]:
        chat(host, question, **DRAWN)
    assert text_of(chat(host, **fields)) == first


def test_a_seed_is_what_draws_differ_by(host):
    """Two seeds give two answers; the first of several answers is the only one of one."""
    alone = text_of(chat(host, **DRAWN))
    several = chat(host, **DRAWN, n=3)
    texts = [text_of(several, index) for index in range(3)]
    assert texts[0] == alone
    assert len(set(texts)) > 1
    assert text_of(chat(host, **DRAWN, seed=8)) != alone


def test_an_answer_ends_where_it_was_told_to(host):
    """A stop text is cut off wherever it falls; max_tokens cuts and says so; usage counts."""
    full = text_of(chat(host))
    for stop in (full[10:13], full[3:17], full[-1]):
        answer = chat(host, stop=["\0never", stop])
        assert text_of(answer) == full[: full.index(stop)]
        assert answer.json["choices"][0]["finish_reason"] == "stop"
    cut = chat(host, max_tokens=3)
    assert cut.json["choices"][0]["finish_reason"] == "length"
    assert cut.json["usage"]["completion_tokens"] == 3
    assert full.startswith(text_of(cut))


def test_likelihoods_come_with_their_tokens(host):
    """Tokens add up to the text, alternatives are ordered, and greedy takes the first."""
    answer = chat(host, logprobs=True, top_logprobs=3)
    content = answer.json["choices"][0]["logprobs"]["content"]
    assert b"".join(bytes(item["bytes"]) for item in content).decode() == text_of(answer)
    for item in content:
        best = item["top_logprobs"]
        assert item["token"] == best[0]["token"]
        assert [other["logprob"] for other in best] == sorted(
            (other["logprob"] for other in best), reverse=True
        )
        assert -20 < item["logprob"] <= 0
    plain = complete(host, logprobs=2)
    found = plain.json["choices"][0]["logprobs"]
    assert "".join(found["tokens"]) == text_of(plain)
    assert [len(item) for item in found["top_logprobs"]] == [2] * len(found["tokens"])
    assert found["text_offset"][0] == 0


def test_logit_bias_forces_and_forbids(host):
    """A bias of -100 keeps a token out; one of 100 brings it in."""
    first = chat(host, logprobs=True, top_logprobs=2, max_tokens=1)
    tokens = host.request("POST", "/tokenize", {"model": "m", "prompt": text_of(first)}).json[
        "tokens"
    ]
    biased = chat(host, max_tokens=1, logit_bias={str(tokens[0]): -100})
    second = first.json["choices"][0]["logprobs"]["content"][0]["top_logprobs"][1]
    assert text_of(biased) == second["token"]
    forced = chat(host, max_tokens=2, logit_bias={str(tokens[0]): 100})
    assert text_of(forced) == text_of(first) * 2


def test_json_is_what_the_schema_says(host):
    """An answer under a schema parses and has its fields, greedy or drawn."""
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["x", "y"]}, "size": {"type": "integer", "minimum": 3}},
        "required": ["kind", "size"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    for fields in ({}, DRAWN):
        answer = chat(host, response_format=wanted, logit_bias={"5": 1}, **fields)
        found = json.loads(text_of(answer))
        assert found["kind"] in ("x", "y")
        assert found["size"] >= 3


def test_tokens_are_counted_as_the_model_sees_them(host):
    """/tokenize returns the tokens of a chat with its template, and the limit."""
    messages = [{"role": "user", "content": "What does join do?"}]
    counted = host.request("POST", "/tokenize", {"model": "m", "messages": messages})
    assert counted.status == 200, counted.body
    assert counted.json["count"] == len(counted.json["tokens"])
    assert counted.json["max_model_len"] == 512
    assert counted.json["count"] == chat(host).json["usage"]["prompt_tokens"]
    plain = host.request("POST", "/tokenize", {"model": "m", "prompt": "Return the"})
    assert plain.json["count"] == complete(host).json["usage"]["prompt_tokens"]


def test_names_of_special_tokens_are_these_tokens(host):
    """A caller may render the chat template itself: the prompt is the same, and so the answer."""
    for text, token in (("<|im_end|>", 2), ("a<|im_start|>b", 1), ("<|endoftext|>", 0)):
        found = host.request("POST", "/tokenize", {"model": "m", "prompt": text}).json["tokens"]
        assert token in found
    rendered = "<|im_start|>user\nWhat does join do?<|im_end|>\n<|im_start|>assistant\n"
    for fields in ({}, {"add_special_tokens": False}):
        found = complete(host, prompt=rendered, **fields)
        assert text_of(found) == text_of(chat(host))
        assert found.json["usage"] == chat(host).json["usage"]
    messages = [{"role": "user", "content": "x"}]
    found = host.request("POST", "/tokenize", {"model": "m", "messages": messages}).json["tokens"]
    assert (found[0], found.count(1), found.count(2)) == (1, 2, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_what_does_not_fit_is_refused(host, stream):
    """A prompt that leaves no token is refused with the numbers, before anything is said."""
    options = {"stream_options": {"include_usage": True}} if stream else {}
    refused = chat(host, "word " * 600, stream=stream, **options)
    assert (refused.status, refused.error["code"]) == (400, "REQUEST_TOO_LONG")
    assert "maximum context length is 512 tokens" in refused.error["message"]


def test_an_answer_may_fill_the_context(host):
    """And no token more: a larger max_tokens yields to the room that is left."""
    used = chat(host, max_tokens=1).json["usage"]["prompt_tokens"]
    for wanted in (512 - used, 513 - used, 10_000):
        full = chat(host, max_tokens=wanted, logit_bias={"2": -100})
        assert full.json["usage"]["total_tokens"] == 512
        assert full.json["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_goes_frees_the_model(own_host, stream):
    """Hours of answers end with the connection that asked for them."""
    endless = {"n": 16, "max_tokens": 400, "logit_bias": {"2": -100}, "stream": stream}
    connection = own_host.connect()
    body = {**SAMPLING, "logprobs": None, "echo": False, "prompt": "Return the", **endless}
    connection.request("POST", "/v1/completions", json.dumps(body))
    if stream:
        connection.sock.recv(10)
    connection.close()
    assert chat(own_host).status == 200
    own_host.terminate()
    code, said = own_host.ended()
    # llama.cpp says on its error stream that it was stopped in the middle, if it was.
    stopped = ("graph_compute: ", "process_ubatch: ", "decode: ", "llama_decode: ")
    assert code == 0
    assert [line for line in said.splitlines() if not line.startswith(stopped)] == []


def test_sigterm_lets_a_stream_finish(own_host):
    """A stream that has begun is sent to its end, then the process exits with code 0."""
    expected = text_of(complete(own_host, max_tokens=400, logit_bias={"2": -100}))
    body = {**SAMPLING, "logprobs": None, "echo": False, "prompt": "Return the"}
    body |= {"max_tokens": 400, "logit_bias": {"2": -100}, "stream": True}
    connection = own_host.connect()
    connection.request("POST", "/v1/completions", json.dumps(body))
    answer = connection.getresponse()
    first = answer.readline()
    own_host.terminate()
    chunks = (first + answer.read()).split(b"\n\n")
    assert chunks[-2:] == [b"data: [DONE]", b""]
    texts = [json.loads(chunk[6:])["choices"][0]["text"] for chunk in chunks[:-2]]
    assert "".join(texts) == expected
    assert own_host.ended() == (0, "")
    assert not own_host.socket.exists()


def test_kill_cuts_the_stream(own_host):
    """A process that dies leaves a stream without its end, never one that looks whole."""
    connection = own_host.connect()
    body = {**SAMPLING, "logprobs": None, "echo": False, "prompt": "Return the"}
    body |= {"max_tokens": 400, "n": 16, "stream": True, "logit_bias": {"2": -100}}
    connection.request("POST", "/v1/completions", json.dumps(body))
    answer = connection.getresponse()
    answer.readline()
    own_host.process.kill()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)) as caught:
        answer.read()
    assert b"[DONE]" not in getattr(caught.value, "partial", b"")


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": None},
        {"temperature": "hot"},
        {"stop": [1]},
        {"messages": []},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"tools": [{"type": "function", "function": {}}]},
    ],
)
def test_what_no_gateway_writes_is_refused(host, fields):
    """It gets a 400 in the usual format, and the worker keeps running."""
    answer = chat(host, **fields)
    assert (answer.status, answer.error["code"]) == (400, "REQUEST_INVALID")
    assert answer.error["owner"] == "caller"
    assert chat(host, max_tokens=1).status == 200


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"logit_bias": {"99999": 1}}, "logit_bias"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ],
)
def test_refusals_name_the_field(host, fields, where):
    """What the model itself cannot do is the caller's, with its place."""
    answer = chat(host, **fields)
    assert 400 <= answer.status < 500, answer.body
    assert answer.error["where"] == where
    assert answer.error["owner"] == "caller"
