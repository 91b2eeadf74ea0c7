"""Tokens of texts and pairs."""

import json

import pytest
from tokenizers import Tokenizer

from mealkit.errors import MealkitError
from mealkit.worker.tokenizer.encode import TextTokenizer
from mealkit.worker.tokenizer.tokenizer_file import open_tokenizer


def refused(action):
    with pytest.raises(MealkitError) as caught:
        action()
    found = caught.value.problems[0]
    return found.code, found.message, found.where


def test_the_files_own_settings_are_overridden(onnx_folder):
    """tokenizer.json cuts and pads at 128 by itself; here a text keeps its tokens, and no others."""
    path = onnx_folder / "tokenizer.json"
    own = json.loads(path.read_text())
    assert own["truncation"]["max_length"] == own["padding"]["strategy"]["Fixed"] == 128
    text = "salt " * 200
    assert len(Tokenizer.from_file(str(path)).encode(text).ids) == 128
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=256)
    assert [len(item.ids) for item in tokenizer.texts([text, "salt"])] == [202, 3]


def test_the_limit_is_inclusive(onnx_folder):
    """A text of exactly the limit passes; one token more is refused with number, limit and place."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=256)
    assert len(tokenizer.texts(["salt " * 254])[0].ids) == 256
    assert refused(lambda: tokenizer.texts(["a", "b", "c", "salt " * 299])) == (
        "REQUEST_TOO_LONG",
        "input 3 has 301 tokens, but this model's maximum context length is 256 tokens",
        "input[3]",
    )


def test_a_text_that_is_cut_keeps_its_ends(onnx_folder):
    """The first tokens that fit, between those that belong around a text; others stay whole."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=5)
    whole = TextTokenizer(open_tokenizer(onnx_folder), max_length=99)
    cut, short = tokenizer.texts(["salt pepper salt pepper salt", "salt"], truncate=True)
    assert list(cut.ids) == list(whole.texts(["salt pepper salt"])[0].ids)
    assert len(cut.type_ids) == 5
    assert list(short.ids) == list(whole.texts(["salt"])[0].ids)


def test_pairs_follow_the_tokenizers_template(onnx_folder):
    """A query and a document stand in one sequence, told apart by their types."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=256)
    (pair,) = tokenizer.pairs("salt", ["pepper salt"])
    (query,), (document,) = tokenizer.texts(["salt"]), tokenizer.texts(["pepper salt"])
    assert list(pair.ids) == [*query.ids, *document.ids[1:]]
    assert list(pair.type_ids) == [0] * len(query.ids) + [1] * (len(document.ids) - 1)


def test_the_limit_holds_for_query_and_document_together(onnx_folder):
    """One token too many in a pair is refused with the document's number."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=256)
    assert len(tokenizer.pairs("salt", ["salt " * 252])[0].ids) == 256
    assert refused(lambda: tokenizer.pairs("salt", ["salt", "salt " * 253])) == (
        "REQUEST_TOO_LONG",
        "the query with document 1 has 257 tokens, but this model's maximum context length is 256 tokens",
        "documents[1]",
    )


def test_tokens_of_any_length_can_be_asked_for(onnx_folder):
    """Counting is not running: a text over the limit has its tokens too."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=8)
    assert len(tokenizer.ids("salt " * 299)) == 301


def test_a_text_without_tokens_is_refused(tmp_path):
    """With a tokenizer that adds no special tokens, a text may have none, and so no mean."""
    plain = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
    }
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(plain))
    tokenizer = TextTokenizer(open_tokenizer(tmp_path), max_length=8)
    assert refused(lambda: tokenizer.texts(["a", " "])) == (
        "REQUEST_INVALID",
        "input 1 has no tokens",
        "input[1]",
    )
