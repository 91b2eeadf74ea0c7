"""Inputs that are nearly right: valid ones, changed in the places where parsers go wrong.

The same seed gives the same inputs, on every machine.
"""

import random
import struct
from collections.abc import Iterator, Sequence

MAX_BYTES = 64 * 1024

_NUMBERS = (
    0,
    1,
    7,
    8,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
_TOKENS = (
    b"",
    b"\0",
    b"\xff",
    b"\xff\xfe\xfd",
    b"\r\n\r\n",
    b"\n\n",
    b"\\",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[[[[[[[",
    b"{}",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"-0",
    b"9" * 25,
    b"9" * 5000,
    b"\\ud800",
    b"\\u0000",
    "²".encode(),
    "\u2028".encode(),
    "\u202e".encode(),
    b"\x1b[31m",
    b"../../etc/passwd",
    b"/",
    b"..",
    b"*",
    b"&a",
    b"*a",
    b"!!python/object:os.system",
    b"%s%n",
    b"{{ 1 }}",
    b"sha256:",
    b"sha256:" + b"0" * 64,
    b"\xc0\x80",
    b"x" * 300,
)


def inputs(seeds: Sequence[bytes], count: int, number: int) -> Iterator[bytes]:
    """Yield the seeds themselves, then changed ones; ``number`` decides which."""
    chance = random.Random(number)
    yield from seeds[:count]
    for _ in range(max(0, count - len(seeds))):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
            _change(data, seeds, chance)
        yield bytes(data[:MAX_BYTES])


def _change(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    # Heads decide most; so every third change is made there.
    if chance.random() < 0.35:
        at = min(at, chance.randrange(48))
    length = chance.choice((1, 1, 2, 4, 8, 16, 64, 512))
    match chance.randrange(9):
        case 0:
            data[at:at] = chance.choice(_TOKENS)
        case 1:
            data[at : at + length] = chance.choice(_TOKENS)
        case 2:
            del data[at : at + length]
        case 3:
            data[at:at] = data[at : at + length] * chance.choice((1, 2, 30))
        case 4 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 5:
            form = chance.choice(("<Q", "<I", "<H", ">I", "<B"))
            size = struct.calcsize(form)
            number = chance.choice(_NUMBERS) % 2 ** (8 * size)
            data[at : at + size] = struct.pack(form, number)
        case 6:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[at : at + length] = other[start : start + length]
        case 7:
            del data[at:]
        case _:
            _change_digits(data, at, chance)


def _change_digits(data: bytearray, at: int, chance: random.Random) -> None:
    """Replace the next number that is written in digits."""
    start = next((i for i in range(at, min(at + 200, len(data))) if chr(data[i]).isdigit()), None)
    if start is None:
        return
    stop = start
    while stop < len(data) and 0x30 <= data[stop] <= 0x39:
        stop += 1
    data[start:stop] = str(chance.choice((*_NUMBERS, -1, 10**30))).encode()
