"""The GGUF as a token model: tokens, logits, and what changes them."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from mealkit.errors import MealkitError

PROMPT = "<|im_start|>user\nWhat does join do?<|im_end|>\n<|im_start|>assistant\n"
TEXTS = [
    "",
    " ",
    "\n\n  \n",
    "Return a list of the keys, sorted.",
    "def f(x):\n\treturn x ** 2  # ä ß 日本 🍲\r\n",
    "in the year 1970, 12345678901234567890 seconds",
    "we'll can't they're I'm",
    "<|im_start|>user\nno message<|im_end|>",
    "a\0b",
    "\u200b\ufeff\u0301e\u0301",
]


def greedy(model, tokens, count=60):
    """Return the likeliest tokens and the logits that chose each."""
    logits = model.begin(tokens)
    found, seen = [], [logits]
    for _ in range(count):
        token = int(logits.argmax())
        if token in model.end_ids:
            break
        found.append(token)
        logits = model.advance(token)
        seen.append(logits)
    return found, np.stack(seen)


def test_what_the_file_says_of_itself(loaded, tiny_llama):
    """Vocabulary, ends, template and special tokens are those of the files it was made from."""
    model = loaded()
    config = json.loads((tiny_llama / "config.json").read_text())
    assert model.vocabulary_size == config["vocab_size"]
    assert model.context_tokens == 512
    assert config["eos_token_id"] in model.end_ids
    assert model.chat_template == (tiny_llama / "chat_template.jinja").read_text()
    assert model.special_tokens["bos_token"] == "<|endoftext|>"
    assert model.special_tokens["eos_token"] == "<|im_end|>"


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("rendered", [False, True])
def test_tokens_are_the_published_tokenizers(loaded, tiny_llama, text, rendered):
    """A text has the tokens that tokenizer.json gives it, special tokens by their names."""
    tokenizer = Tokenizer.from_file(str(tiny_llama / "tokenizer.json"))
    assert loaded().tokenize(text, rendered=rendered) == tokenizer.encode(text).ids


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_add_up_to_the_text(loaded, text):
    """The bytes of a text's tokens are the text's, but for special ones, which have none."""
    model = loaded()
    left = text.replace("<|im_start|>", "").replace("<|im_end|>", "")
    assert b"".join(map(model.piece, model.tokenize(text, rendered=False))) == left.encode()


def test_special_and_unused_ids_have_no_piece(loaded):
    """What is not text is nothing."""
    model = loaded()
    assert [model.piece(token) for token in (0, 1, 2, 3, 2048, -1, 10**9)] == [b""] * 7


def test_half_a_surrogate_pair_is_refused(loaded):
    """Text that is not Unicode is the caller's mistake, and never reaches the C++ code."""
    with pytest.raises(MealkitError) as caught:
        loaded().tokenize("x\ud800", rendered=False)
    assert caught.value.problems[0].code == "REQUEST_INVALID"


def test_nothing_is_left_of_what_was_read_before(loaded):
    """A request's logits are the same bits after other requests, short and long."""
    model = loaded()
    tokens = model.tokenize(PROMPT, rendered=True)
    first = greedy(model, tokens)
    greedy(model, [5] * 500, 10)
    greedy(model, [7], 3)
    again = greedy(model, tokens)
    assert first[0] == again[0]
    assert np.array_equal(first[1], again[1])


@pytest.mark.parametrize(
    "fields",
    [{"threads": 2}, {"use_mmap": False}, {"repack": True}, {"n_batch": 8, "n_ubatch": 8}],
    ids=str,
)
def test_what_does_not_change_a_bit(loaded, fields):
    """Threads and how the file is read change nothing, nor where a prompt is cut into batches."""
    plain, other = loaded(), loaded(**fields)
    tokens = plain.tokenize(PROMPT, rendered=True)
    expected, found = greedy(plain, tokens), greedy(other, tokens)
    assert expected[0] == found[0]
    assert np.array_equal(expected[1], found[1])


@pytest.mark.parametrize("fields", [{"n_ubatch": 1}, {"flash_attn": True}], ids=str)
def test_what_changes_the_last_bits(loaded, fields):
    """These give other numbers, which is why the lock pins them; here not other tokens."""
    plain, other = loaded(), loaded(**fields)
    tokens = plain.tokenize(PROMPT, rendered=True)
    expected, found = greedy(plain, tokens), greedy(other, tokens)
    assert expected[0] == found[0]
    assert not np.array_equal(expected[1], found[1])
    assert np.abs(expected[1] - found[1]).max() < 0.01


@pytest.mark.parametrize("fields", [{}, {"flash_attn": True}, {"n_batch": 100, "n_ubatch": 7}])
def test_the_whole_context_can_be_used(loaded, fields):
    """512 tokens fit; the 513th is an error of the engine, not a silent shift."""
    model = loaded(**fields)
    logits = model.begin([5] * 500)
    for _ in range(12):
        logits = model.advance(int(logits.argmax()))
    with pytest.raises(MealkitError) as caught:
        model.advance(5)
    assert caught.value.problems[0].code == "ENGINE_ANSWER"
    assert np.isfinite(model.begin([5])).all()


def test_a_smaller_context_is_the_kits_choice(loaded):
    """max_length below the model's context is what the model has."""
    assert loaded(context_tokens=100).context_tokens == 100


def test_a_larger_context_than_trained_is_refused(loaded):
    """A context that the model was not trained for is refused with both numbers."""
    with pytest.raises(MealkitError) as caught:
        loaded(context_tokens=513)
    problem = caught.value.problems[0]
    assert problem.code == "ENGINE_START"
    assert "513" in problem.message
    assert "512" in problem.message


def test_reading_a_prompt_ends_when_nobody_waits(loaded):
    """An interrupted prompt leaves no answer, and nothing for the next one."""
    model = loaded()
    expected = model.begin([5] * 300)
    assert model.begin_unless([7] * 300, lambda: True) is None
    assert np.array_equal(model.begin_unless([5] * 300, lambda: False), expected)
    model.advance(5)
    assert np.array_equal(model.begin([5] * 300), expected)


@pytest.mark.parametrize("repack", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_quantised_weights_compute_on_any_processor(loaded, quantised, repack, threads):
    """Eight-bit weights load and repeat their answer, repacked for the processor or not."""
    model = loaded(model=quantised, repack=repack, threads=threads)
    tokens = model.tokenize(PROMPT, rendered=True)
    first, again = greedy(model, tokens), greedy(model, tokens)
    assert first[0]
    assert np.array_equal(first[1], again[1])
