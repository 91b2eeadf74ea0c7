"""The worker over its socket: broken files, refused settings, and real vectors."""

import base64
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

WORKER = "mealkit.engines.llama_cpp.worker:LlamaCppWorker"
# llama.cpp's WordPiece keeps the marks of Devanagari, which the published tokenizer drops; and a
# special token's name in a text is text here.
OTHER_TOKENS = {
    "मौसम आज अच्छा है",
    "[CLS] a caller types markers [SEP] into the text [MASK]",
}


@pytest.fixture
def start(start_host, generation_fields, llama_cpp_settings, llama_cpp_packages):
    """Start a worker for generation: ``start(threads=2)`` with one setting changed."""

    def begin(root=None, **settings):
        fields = dict(generation_fields)
        if root:
            fields["model_root"] = str(root)
        flags = {**llama_cpp_settings, "model": "tiny-f16.gguf", **settings}
        return start_host(WORKER, **fields, settings=flags, packages=[llama_cpp_packages])

    return begin


@pytest.fixture
def broken(tmp_path, tiny_gguf):
    """Return a folder with a GGUF that is changed by a function from bytes to bytes."""

    def make(change) -> Path:
        folder = tmp_path / "broken"
        folder.mkdir()
        (folder / "tiny-f16.gguf").write_bytes(change(tiny_gguf.read_bytes()))
        return folder

    return make


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"GGML" + data[4:], "magic"),
        (lambda data: data[:4] + b"\x09" + data[5:], "version"),
        (lambda data: data[:-1], "not within the file bounds"),
        (lambda data: data[: len(data) // 2], "not within the file bounds"),
        (lambda data: data[:20000], ""),
        (lambda data: b"", ""),
        (lambda data: data.replace(b"llama.block_count", b"llama.black_count"), "block_count"),
        (lambda data: data.replace(b"blk.3.attn_q.weight", b"blk.3.attn_Q.weight"), "attn_q"),
        (
            lambda data: data.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lhama", 1),
            "lhama",
        ),
    ],
    ids=["magic", "version", "a byte short", "half", "head", "empty", "key", "tensor", "kind"],
)
def test_a_broken_file_is_refused_with_the_reason(start, broken, change, reason):
    """A GGUF that llama.cpp cannot load ends the start with what llama.cpp says of it."""
    code, problem = start(broken(change)).problem()
    assert code == 11
    assert problem["code"] == "ENGINE_START"
    assert problem["message"].startswith("llama.cpp cannot load the model: ")
    assert reason in problem["message"]
    assert problem["where"].endswith("tiny-f16.gguf")


def test_a_crash_leaves_its_reason(start, broken, tiny_gguf):
    """If llama.cpp aborts, the process ends with the reason in its log."""
    data = tiny_gguf.read_bytes()
    # The number of layers: a key, its type, and 32 bits.
    place = data.index(b"llama.block_count") + len(b"llama.block_count") + 4 + 3
    host = start(broken(lambda data: data[:place] + b"\x40" + data[place + 1 :]))
    code, said = host.ended()
    assert code == -signal.SIGABRT
    assert "GGML_ASSERT" in said.splitlines()[-1]


def test_a_missing_file_is_named(start, tmp_path):
    """A file that is not there is missing weights."""
    _, problem = start(tmp_path).problem()
    assert (problem["code"], problem["where"]) == (
        "WEIGHTS_MISSING",
        str(tmp_path / "tiny-f16.gguf"),
    )


@pytest.mark.parametrize(
    ("settings", "code", "where"),
    [
        ({"surprise": 1}, "CONFIG_INVALID", "settings.surprise"),
        ({"n_parallel": 2}, "CONFIG_INVALID", "settings.n_parallel"),
        ({"threads": 0}, "CONFIG_INVALID", "settings.threads"),
        ({"cache_type_v": "q9_9"}, "CONFIG_INVALID", "settings.cache_type_v"),
        ({"flash_attn": 1}, "CONFIG_INVALID", "settings.flash_attn"),
        ({"n_gpu_layers": 1}, "ENGINE_START", None),
        ({"cache_type_v": "q8_0"}, "ENGINE_START", None),
    ],
    ids=str,
)
def test_settings_that_cannot_be_honoured_are_refused(start, settings, code, where):
    """Unknown, wrong and impossible flags end the start; none is ignored."""
    _, problem = start(**settings).problem()
    assert problem["code"] == code
    if where:
        assert problem["where"] == where


def test_a_damaged_weight_is_not_llama_cpps_to_find(start, broken, tiny_gguf):
    """A flipped bit in a weight loads: only the digest that the lock pins can tell."""
    place = tiny_gguf.stat().st_size // 2

    def flip(data):
        return data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :]

    start(broken(flip)).wait_until_ready()


def test_a_template_may_be_a_file(
    start_host, generation_fields, llama_cpp_settings, llama_cpp_packages, tmp_path, tiny_gguf
):
    """hyperparameters.chat_template names a file below /models, which replaces the GGUF's own."""
    shutil.copy(tiny_gguf, tmp_path)
    text = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"
    (tmp_path / "own.jinja").write_text(text)
    fields = {**generation_fields, "model_root": str(tmp_path)}
    fields["hyperparameters"] = {**fields["hyperparameters"], "chat_template": "own.jinja"}
    settings = {**llama_cpp_settings, "model": "tiny-f16.gguf"}
    host = start_host(WORKER, **fields, settings=settings, packages=[llama_cpp_packages])
    host.wait_until_ready()
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    tokens = host.request("POST", "/tokenize", body).json["tokens"]
    assert tokens[0] == 1
    assert len(tokens) == 2


@pytest.fixture
def minilm(start_host, minilm_gguf, llama_cpp_settings, llama_cpp_packages, onnx_fields):
    """Start a worker for embeddings."""

    def begin(**settings):
        return start_host(
            WORKER,
            model_root=str(minilm_gguf.parent),
            hyperparameters=onnx_fields["hyperparameters"],
            settings={**llama_cpp_settings, "model": minilm_gguf.name, **settings},
            packages=[llama_cpp_packages],
        )

    return begin


def test_vectors_are_torchs(minilm, golden):
    """Each vector is torch's up to half precision, and has as many tokens."""
    host = minilm().wait_until_ready()
    for text, tokens, vector in golden:
        answer = host.embed(text, encoding_format="base64").json
        if text in OTHER_TOKENS:
            assert answer["usage"]["total_tokens"] > tokens
            continue
        assert answer["usage"]["total_tokens"] == tokens
        found = np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), "<f4")
        assert abs(np.linalg.norm(found) - 1) < 1e-5
        assert found @ np.frombuffer(vector, "<f4") > 0.99999


def test_company_does_not_change_a_bit(minilm, golden):
    """A text's vector is the same bytes alone, in company, and in another order."""
    host = minilm().wait_until_ready()
    texts = [text for text, _, _ in golden[:6]]
    together = host.embed(texts, encoding_format="base64").json["data"]
    turned = host.embed(texts[::-1], encoding_format="base64").json["data"][::-1]
    for text, first, second in zip(texts, together, turned, strict=True):
        alone = host.embed(text, encoding_format="base64").json["data"][0]["embedding"]
        assert alone == first["embedding"] == second["embedding"]


def test_an_overlong_text_is_refused(minilm):
    """One text over max_length refuses the request with its tokens and the limit."""
    answer = minilm().wait_until_ready().embed(["short", "salt " * 300])
    assert (answer.status, answer.error["code"]) == (400, "REQUEST_TOO_LONG")
    assert "302" in answer.error["message"]
    assert "256" in answer.error["message"]


def test_a_text_must_fit_into_one_batch(minilm):
    """A vector is made of a whole text, so a batch that does not hold max_length is refused."""
    _, problem = minilm(n_ubatch=128).problem()
    assert (problem["code"], problem["where"]) == ("CONFIG_INVALID", "settings.n_ubatch")


def test_a_chat_model_does_not_embed_by_accident(
    start_host, tiny_gguf, llama_cpp_settings, llama_cpp_packages
):
    """A model that writes can embed too: its last hidden states, pooled as the kit says."""
    host = start_host(
        WORKER,
        model_root=str(tiny_gguf.parent),
        hyperparameters={
            "pooling": "mean",
            "max_length": 512,
            "normalize": False,
            "overlong": "refuse",
        },
        settings={**llama_cpp_settings, "model": tiny_gguf.name},
        packages=[llama_cpp_packages],
    ).wait_until_ready()
    first = host.embed("Return the")
    assert len(first.json["data"][0]["embedding"]) == 160
    assert json.loads(first.body) == json.loads(host.embed("Return the").body)


def test_an_encoder_does_not_write(start, minilm_gguf, llama_cpp_settings):
    """A model that has no way of going on with a text is refused for the task generation."""
    _, problem = start(minilm_gguf.parent, model=minilm_gguf.name).problem()
    assert problem["code"] == "ENGINE_START"
    assert "not autoregressive" in problem["message"]
