"""The causal model against the oracle: tokens, logits, and what the model's files say of it."""

import base64

import numpy as np
import pytest
from engines.numpy_llama import NumpyLlama
from engines.transformers.conftest import edited
from tokenizers import Tokenizer

PROMPT = "<|im_start|>user\nWhat does join do?<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [PROMPT, "Return the", "class Kitchen:\n    def cook(self", "ж 日 🍲"]
TEXTS = [
    " ",
    "\n\n  \n",
    "def f(x):\n\treturn x ** 2  # ä ß 日本 🍲\r\n",
    "<|im_start|>user\nno message<|im_end|>",
    "a\0b\u200b\ufeffe\u0301",
]


@pytest.fixture(scope="module")
def tiny(worker, tiny_llama):
    """The worker with the tiny Llama."""
    return worker.load(tiny_llama, "generation")


@pytest.fixture(scope="module")
def oracle(tiny_llama):
    return NumpyLlama(tiny_llama)


def greedy(model, prompt, count):
    logits = model.begin(prompt)
    first, chosen = logits, []
    for _ in range(count):
        chosen.append(int(logits.argmax()))
        logits = model.advance(chosen[-1])
    return {"tokens": chosen, "first": first.tolist(), "last": logits.tolist()}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tokens_are_the_oracles(tiny, oracle, prompt):
    """80 tokens, likeliest first, are those of the numpy forward pass; logits differ by little."""
    tokens = tiny("template_tokens", prompt)
    assert tokens == oracle.tokenize(prompt, rendered=True)
    found, expected = tiny("greedy", tokens, 80), greedy(oracle, tokens, 80)
    assert found["tokens"] == expected["tokens"]
    for name in ("first", "last"):
        assert np.abs(np.subtract(found[name], expected[name])).max() < 1e-3


def test_nothing_is_left_of_what_was_read_before(tiny):
    """A request's logits are the same bits after other requests, short and long."""
    tokens = tiny("template_tokens", PROMPT)
    first = tiny("greedy", tokens, 20)
    tiny("greedy", [5] * 400, 10)
    tiny("greedy", [7], 3)
    assert tiny("greedy", tokens, 20) == first


def test_what_the_files_say_of_the_model(tiny, tiny_llama):
    """Vocabulary, context, ends, template and special tokens are those of the model's files."""
    assert tiny("model", "vocabulary_size") == 2048
    assert tiny("model", "context_tokens") == 512
    assert tiny("model", "end_ids") == [2]
    template = (tiny_llama / "chat_template.jinja").read_text()
    assert tiny("model", "chat_template") == template
    assert tiny("model", "special_tokens") == {
        "bos_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|pad|>",
    }


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_and_pieces_are_the_tokenizers(tiny, tiny_llama, text):
    """The bytes of a text's tokens are the text's, but for special ones, which have none."""
    tokenizer = Tokenizer.from_file(str(tiny_llama / "tokenizer.json"))
    assert tiny("template_tokens", text) == tokenizer.encode(text).ids
    plain = tiny("plain_tokens", text)
    assert plain == tokenizer.encode(text).ids
    pieces = [base64.b64decode(piece) for piece in tiny("pieces", plain)]
    left = text.replace("<|im_start|>", "").replace("<|im_end|>", "")
    assert b"".join(pieces) == left.encode()


def test_half_a_surrogate_pair_is_refused(tiny):
    """Text that is not Unicode is the caller's mistake."""
    for method in ("plain_tokens", "template_tokens"):
        assert tiny.problem(method, "x\ud800")["code"] == "REQUEST_INVALID"


@pytest.mark.parametrize(
    ("changed", "always"),
    # Whether two threads add in another order is up to the processor's kernels.
    [({"attn_implementation": "eager"}, True), ({"threads": 2}, False)],
    ids=str,
)
def test_what_changes_the_last_bits(worker, tiny_llama, oracle, changed, always):
    """These may give other numbers, so the lock pins them; here not other tokens."""
    tokens = oracle.tokenize(PROMPT, rendered=True)
    expected = worker.load(tiny_llama, "generation")("greedy", tokens, 30)
    found = worker.load(tiny_llama, "generation", **changed)("greedy", tokens, 30)
    assert found["tokens"] == expected["tokens"]
    distance = np.abs(np.subtract(found["last"], expected["last"])).max()
    assert distance < 1e-3
    assert distance > 0 or not always


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_type_is_the_one_that_is_pinned(worker, tiny_llama, oracle, dtype):
    """Another type computes other logits, near the right ones."""
    tokens = oracle.tokenize(PROMPT, rendered=True)
    found = worker.load(tiny_llama, "generation", dtype=dtype)("greedy", tokens, 1)["first"]
    distance = np.abs(np.subtract(found, greedy(oracle, tokens, 1)["first"])).max()
    assert 1e-3 < distance < 0.5


def test_the_ends_are_all_that_the_files_name(worker, tiny_llama, copied):
    """generation_config.json, config.json and the tokenizer's end of text each count."""
    folder = copied(tiny_llama)
    edited(folder / "generation_config.json", eos_token_id=[7, 8])
    edited(folder / "config.json", eos_token_id=9)
    assert sorted(worker.load(folder, "generation")("model", "end_ids")) == [2, 7, 8, 9]


@pytest.mark.parametrize(
    ("stated", "around"),
    [
        ({"add_bos_token": True}, ([0], [])),
        ({"add_bos_token": False}, ([], [])),
        ({"add_bos_token": True, "add_eos_token": True}, ([0], [2])),
    ],
)
def test_what_goes_around_a_text_is_as_stated(worker, tiny_llama, copied, stated, around):
    """tokenizer_config.json says which tokens a plain text gets; a rendered template gets none."""
    folder = copied(tiny_llama)
    edited(folder / "tokenizer_config.json", **stated)
    model = worker.load(folder, "generation")
    inner = model("template_tokens", "Return")
    assert model("plain_tokens", "Return") == [*around[0], *inner, *around[1]]


def test_older_places_of_the_chat_template_are_known(worker, tiny_llama, copied):
    """A template in tokenizer_config.json is found, by itself or as the default of several."""
    folder = copied(tiny_llama)
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    several = [{"name": "tools", "template": "x"}, {"name": "default", "template": template}]
    for stated in (template, several):
        edited(folder / "tokenizer_config.json", chat_template=stated)
        assert worker.load(folder, "generation")("model", "chat_template") == template


def test_a_context_beyond_the_models_is_refused(worker, tiny_llama):
    """513 tokens are one more than the model has positions for."""
    problem = worker.load_problem(tiny_llama, "generation", max_length=513)
    assert problem["code"] == "ENGINE_START"
    assert "513" in problem["message"]
    assert "512" in problem["message"]


def test_logits_that_are_no_numbers_are_an_error(worker, tiny_llama, copied):
    """Weights of nothing stop the start, not an answer."""
    folder = copied(tiny_llama)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-200_000:] = b"\xff" * 200_000
    (folder / "model.safetensors").write_bytes(content)
    problem = worker.load_problem(folder, "generation")
    assert problem["code"] == "ENGINE_ANSWER"
    assert "not numbers" in problem["message"]


def test_generation_needs_every_hyperparameter(worker, tiny_llama):
    """What is not known is refused before anything is loaded."""
    problem = worker.load_problem(tiny_llama, "generation", magic=1)
    assert (problem["code"], problem["where"]) == ("CONFIG_INVALID", "hyperparameters.magic")
