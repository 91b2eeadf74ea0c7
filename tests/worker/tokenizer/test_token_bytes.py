"""The bytes of tokens, for each kind of tokenizer."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.worker.tokenizer.token_bytes import pieces_of

REPLACE = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}


def described(vocabulary, decoder, added=()):
    return json.dumps(
        {"model": {"vocab": vocabulary}, "decoder": decoder, "added_tokens": list(added)}
    )


def test_byte_level_tokens_are_bytes():
    """Every byte has its printable character, in GPT-2's order."""
    vocabulary = {"A": 0, "\u0120the": 1, "\u010a": 2, "\u00c3\u00a4": 3, "日": 4}
    for decoder in (
        {"type": "ByteLevel"},
        {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]},
    ):
        found = pieces_of(described(vocabulary, decoder), "t")
        assert found == {0: b"A", 1: b" the", 2: b"\n", 3: "ä".encode(), 4: "日".encode()}


def test_sentencepiece_tokens_are_text_with_a_mark_for_blanks():
    """A lower one eighth block is a space; <0xNN> is a byte with byte fallback."""
    vocabulary = {"\u2581the": 0, "<0x0A>": 1, "<0xE6>": 2, "ä": 3}
    steps = [REPLACE, {"type": "ByteFallback"}, {"type": "Fuse"}]
    found = pieces_of(described(vocabulary, {"type": "Sequence", "decoders": steps}), "t")
    assert found == {0: b" the", 1: b"\n", 2: b"\xe6", 3: "ä".encode()}
    found = pieces_of(described(vocabulary, {"type": "Metaspace"}), "t")
    assert found[1] == b"<0x0A>"


def test_a_unigrams_vocabulary_is_a_list():
    """Its tokens have scores, and their place is their id."""
    found = pieces_of(described([["<unk>", 0.0], ["\u2581a", -1.5]], {"type": "Metaspace"}), "t")
    assert found == {0: b"<unk>", 1: b" a"}


def test_added_tokens_stand_for_themselves_or_nothing():
    """A special token has no bytes; another one has its text, whatever the decoder."""
    added = [
        {"id": 5, "content": "<|end|>", "special": True},
        {"id": 6, "content": "<tool_call> \u0120", "special": False},
    ]
    found = pieces_of(described({"a": 0}, {"type": "ByteLevel"}, added), "t")
    assert (found[5], found[6]) == (b"", "<tool_call> \u0120".encode())


@pytest.mark.parametrize("decoder", [None, {"type": "WordPiece"}, {"type": "BPEDecoder"}])
def test_a_decoder_without_bytes_is_refused(decoder):
    """WordPiece does not define the spaces of a text; it does not generate."""
    with pytest.raises(MealkitError) as caught:
        pieces_of(described({"a": 0}, decoder), "tokenizer.json")
    assert caught.value.problems[0].code == "ENGINE_START"
