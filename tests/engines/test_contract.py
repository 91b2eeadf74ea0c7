"""What every hosted engine promises for embeddings, whichever engine it is.

A new engine adds its fixture here: a function that returns the dotted path of its worker and the
fields of its configuration. Everything below is then asked of it over its socket.
"""

import base64
import json
import struct
from math import fsum, sqrt

import pytest

TEXTS = [
    "hello world",
    "x",
    "A longer sentence, with commas, and 3 numbers: 1, 2 and 3.",
    "ж 日 🍲",
]


@pytest.fixture(scope="module")
def plain():
    return "plain_worker:PlainWorker", {}


@pytest.fixture(scope="module")
def onnx(onnx_fields):
    return "mealkit.engines.onnx.worker:OnnxWorker", onnx_fields


@pytest.fixture(scope="module")
def llama_cpp(minilm_gguf, llama_cpp_settings, llama_cpp_packages, onnx_fields):
    fields = {
        "model_root": str(minilm_gguf.parent),
        "hyperparameters": onnx_fields["hyperparameters"],
        "settings": {**llama_cpp_settings, "model": minilm_gguf.name},
        "packages": [llama_cpp_packages],
    }
    return "mealkit.engines.llama_cpp.worker:LlamaCppWorker", fields


@pytest.fixture(scope="module")
def transformers(minilm_files, transformers_settings, transformers_packages, onnx_fields):
    fields = {
        "model_root": str(minilm_files),
        "hyperparameters": onnx_fields["hyperparameters"],
        "settings": transformers_settings,
        "packages": [transformers_packages],
    }
    return "mealkit.engines.transformers.worker:TransformersWorker", fields


@pytest.fixture(scope="module", params=["plain", "onnx", "llama_cpp", "transformers"])
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


def vectors(answer):
    assert answer.status == 200, answer.body
    assert [item["index"] for item in answer.json["data"]] == list(range(len(answer.json["data"])))
    return [item["embedding"] for item in answer.json["data"]]


def cosine(left, right):
    return fsum(a * b for a, b in zip(left, right, strict=True)) / (
        sqrt(fsum(a * a for a in left)) * sqrt(fsum(b * b for b in right))
    )


def test_company_does_not_change_a_vector(host):
    """A text's vector is the same alone, in a batch, and in a batch in another order."""
    together = vectors(host.embed(TEXTS))
    turned = vectors(host.embed(TEXTS[::-1]))[::-1]
    for text, first, second in zip(TEXTS, together, turned, strict=True):
        (alone,) = vectors(host.embed(text))
        assert cosine(alone, first) >= 0.99999
        assert cosine(alone, second) >= 0.99999


def test_repetition_does_not_change_a_vector(host):
    """The same request gives the same bytes."""
    assert host.embed(TEXTS).body == host.embed(TEXTS).body


def test_encodings_agree(host):
    """base64 carries exactly the numbers that float does."""
    floats = vectors(host.embed(TEXTS))
    packed = vectors(host.embed(TEXTS, encoding_format="base64"))
    for numbers, text in zip(floats, packed, strict=True):
        assert struct.pack(f"<{len(numbers)}f", *numbers) == base64.b64decode(text)


def test_usage_counts_every_text(host):
    """The tokens of a batch are the sum of the tokens of its texts."""
    alone = [host.embed(text).json["usage"]["total_tokens"] for text in TEXTS]
    usage = host.embed(TEXTS).json["usage"]
    assert usage == {"prompt_tokens": sum(alone), "total_tokens": sum(alone)}
    assert min(alone) >= 1


def test_refusals_have_one_shape(host):
    """A body that no gateway writes gets a 400 in the usual format; the worker keeps running."""
    for body in (b"{", {"model": "m"}, {"model": "m", "input": [1]}, {"model": "m", "input": []}):
        answer = host.request("POST", "/v1/embeddings", body)
        assert (answer.status, answer.error["code"]) == (400, "REQUEST_INVALID")
        assert answer.error["owner"] == "caller"
    vectors(host.embed("x"))


def test_tokens_of_a_text_are_the_text(host):
    """As /tokenize returns them; numbers of another tokenizer are not, whatever they mean here."""
    tokens = [
        host.request("POST", "/tokenize", {"model": "m", "prompt": text}).json.get("tokens")
        for text in TEXTS[:3]
    ]
    body = {"model": "m", "tokens": tokens, "encoding_format": "float"}
    if None in tokens:  # an engine that has no tokenizer of its own
        answer = host.request("POST", "/v1/embeddings", {**body, "tokens": [[1]]})
        assert (answer.status, answer.error["code"]) == (400, "REQUEST_UNSUPPORTED")
        return
    answer = host.request("POST", "/v1/embeddings", body)
    assert vectors(answer) == vectors(host.embed(TEXTS[:3]))
    inner = tokens[0][1:-1]
    for other in (inner, [15339], [*tokens[0], 1], [2**31 - 1], [tokens[0][0], tokens[0][-1]]):
        refused = host.request("POST", "/v1/embeddings", {**body, "tokens": [other]})
        assert (refused.status, refused.error["code"]) == (400, "REQUEST_INVALID")
        assert refused.error["where"] == "input[0]"


def test_a_text_is_cut_only_if_asked(host):
    """What does not fit is refused; asked to, the engine embeds the tokens that fit."""
    long = "word " * 3000
    refused = host.embed(long)
    if refused.status == 200:  # an engine without a limit
        return
    assert (refused.status, refused.error["code"]) == (400, "REQUEST_TOO_LONG")
    limit = int(refused.error["message"].split()[-2])
    cut = host.embed(long, truncate_prompt_tokens=limit, truncation_side="right")
    assert cut.json["usage"]["total_tokens"] == limit
    same = vectors(host.embed("word " * (limit - 2)))
    assert cosine(vectors(cut)[0], same[0]) >= 0.99999


def test_it_ends_when_told(own_host):
    """SIGTERM after some requests: exit code 0, socket removed, no output."""
    vectors(own_host.embed(TEXTS))
    own_host.terminate()
    assert own_host.ended() == (0, "")
    assert not own_host.socket.exists()


def test_a_caller_that_goes_frees_the_model(own_host):
    """Minutes of vectors end with the connection that asked for them; the process can go."""
    connection = own_host.connect()
    body = {"model": "m", "input": ["word " * 200] * 2048}
    connection.request("POST", "/v1/embeddings", json.dumps(body))
    connection.close()
    vectors(own_host.embed(TEXTS))
    own_host.terminate()
    assert own_host.ended() == (0, "")
