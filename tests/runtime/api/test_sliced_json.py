"""A large body, parsed part by part: the same values, and the same refusals, as in one piece."""

import json
import random

import pytest

from mealkit.runtime.api.sliced_json import PART_BYTES, parse_in_parts
from mealkit.untrusted import UntrustedError, parse_json

LIMITS = {"max_depth": 12, "max_values": 5_000}
TEXTS = [
    "",
    "a",
    "word " * 9,
    "é日😀" * 7,
    '"\\\n\t' * 8,
    "\ud800",
    "\ud83d" * 5,
    "\\ud83d\\u",
    "[{,}]",
]


def outcome(parse, data, **options):
    try:
        return ("value", parse(data, **LIMITS, **options))
    except UntrustedError as error:
        return ("refused", error.member)


def drawn(source, depth=0):
    """Draw a value."""
    kind = source.randrange(8 if depth < 5 else 5)
    if kind < 2:
        return source.choice(TEXTS) * source.randrange(4)
    if kind < 5:
        return source.choice([0, -1, 12345, 1.5, 1e-9, True, False, None])
    count = source.choice([0, 1, 3, 12])
    if kind < 7:
        return [drawn(source, depth + 1) for _ in range(count)]
    return {f"{source.choice(TEXTS)}{n}": drawn(source, depth + 1) for n in range(count)}


@pytest.mark.parametrize("seed", range(40))
def test_the_same_as_in_one_piece(seed):
    """Whatever the document, however it is written, broken or not, and wherever it is cut."""
    source = random.Random(seed)
    for _ in range(12):
        written = json.dumps(
            drawn(source), ensure_ascii=source.random() < 0.5, indent=source.choice([None, 1, 9])
        )
        data = bytearray(written.encode("utf-8", "surrogatepass" if seed % 5 else "replace"))
        if source.random() < 0.4 and data:
            at = source.randrange(len(data))
            match source.randrange(4):
                case 0:
                    del data[at]
                case 1:
                    data[at:at] = source.choice([b",", b'"', b"]", b"{", b"\\", b" ", b"\xff"])
                case 2:
                    data[at] = source.randrange(256)
                case 3:
                    del data[at:]
        whole = outcome(parse_json, bytes(data), half_pairs=True)
        for part_bytes in (24, 60, 500):
            assert outcome(parse_in_parts, bytes(data), part_bytes=part_bytes) == whole


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": [' + b"1," * 5_001 + b"1]}",
        b'{"a": ' + b"[" * 12 + b"]" * 12 + b"}",
        b'{"a": 1, ' + b" " * 99 + b'"b": 2, "a": 3}',
        b"[" + b" " * 99 + b",1]",
        b"[1," + b" " * 99 + b"]",
        b'{"a": 1}' + b" " * 99 + b"{}",
        b'["' + b"x" * 99,
        b'["' + b"x" * 99 + b"\\",
        b"[" + b"1" * 99 + b"x]",
    ],
)
def test_what_is_refused(data):
    """Too many values, too deep, twice the same member, no value between commas, no end."""
    assert outcome(parse_in_parts, data, part_bytes=24)[0] == "refused"
    assert outcome(parse_json, data)[0] == "refused"


@pytest.mark.parametrize(
    "data", [b"[" + b" " * 99 + b"]", b"{" + b" " * 99 + b"}", b" " * 99 + b"7"]
)
def test_blanks(data):
    """Any number of them may stand between what counts."""
    assert outcome(parse_in_parts, data, part_bytes=24) == outcome(parse_json, data)


def test_a_text_of_megabytes():
    """It comes back as it was, with characters and escapes that lie across a cut."""
    for character in ("a", "é", "日", "😀", '"', "\\", "\n"):
        text = character * (3 * PART_BYTES)
        for ensure_ascii in (True, False):
            data = json.dumps({"input": text}, ensure_ascii=ensure_ascii).encode()
            assert parse_in_parts(data, max_depth=9, max_values=9) == {"input": text}
