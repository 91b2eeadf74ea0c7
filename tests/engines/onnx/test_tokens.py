"""Tokens and sub-batches."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tokenizers import Tokenizer

from mealkit.engines.onnx.tokens import SUB_BATCH_TOKENS, TextTokenizer, Tokens, sub_batches
from mealkit.errors import MealkitError


@given(some.lists(some.integers(1, SUB_BATCH_TOKENS + 100), min_size=1, max_size=60))
def test_sub_batches_hold_every_text_once_and_are_bounded(lengths):
    """Each text is in one sub-batch, whole, under its mask; no sub-batch is over the bound."""
    found = [Tokens([index + 1] * count, [1] * count) for index, count in enumerate(lengths)]
    seen = []
    for batch in sub_batches(found, pad_id=9999):
        assert batch.ids.size <= SUB_BATCH_TOKENS or len(batch.indices) == 1
        assert batch.mask.any(axis=0).all()
        for row, index in enumerate(batch.indices):
            count = lengths[index]
            assert batch.mask[row].sum() == batch.mask[row, :count].sum() == count
            assert (batch.ids[row, :count] == index + 1).all()
            assert (batch.ids[row, count:] == 9999).all()
            assert batch.type_ids[row].sum() == count
            seen.append(index)
    assert sorted(seen) == list(range(len(lengths)))


def test_the_files_own_settings_are_overridden(onnx_folder):
    """tokenizer.json cuts and pads at 128 by itself; here a text keeps its tokens, and no others."""
    path = onnx_folder / "tokenizer.json"
    own = json.loads(path.read_text())
    assert own["truncation"]["max_length"] == own["padding"]["strategy"]["Fixed"] == 128
    text = "salt " * 200
    assert len(Tokenizer.from_file(str(path)).encode(text).ids) == 128
    tokenizer = TextTokenizer(path, max_length=256)
    assert [len(item.ids) for item in tokenizer.tokenize([text, "salt"])] == [202, 3]
    assert tokenizer.pad_id == own["padding"]["pad_id"]


def test_the_limit_is_inclusive(onnx_folder):
    """A text of exactly the limit passes; one token more is refused with number, limit and place."""
    tokenizer = TextTokenizer(onnx_folder / "tokenizer.json", max_length=256)
    assert len(tokenizer.tokenize(["salt " * 254])[0].ids) == 256
    with pytest.raises(MealkitError) as caught:
        tokenizer.tokenize(["a", "b", "c", "salt " * 299])
    problem = caught.value.problems[0]
    assert problem.code == "REQUEST_TOO_LONG"
    assert problem.message == "input 3 has 301 tokens, the limit is 256"
    assert problem.where == "input[3]"


def test_a_text_without_tokens_is_refused(tmp_path):
    """With a tokenizer that adds no special tokens, a text may have none: there is no mean of it."""
    plain = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
    }
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(plain))
    tokenizer = TextTokenizer(path, max_length=8)
    assert tokenizer.pad_id == 0
    with pytest.raises(MealkitError, match="input 1 has no tokens"):
        tokenizer.tokenize(["a", " "])
