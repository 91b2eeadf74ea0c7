"""What is a pickle and what only looks like one: opcodes are followed, and nothing is run."""

import io
import pickle
import random
import struct
import wave

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mealkit.sources.forward_data import PiecesForward
from mealkit.sources.pickles import is_pickle


class Harmful:
    def __reduce__(self):
        return (print, ("run",))


def judged(data, piece_bytes=100_000):
    pieces = (data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes))
    return is_pickle(PiecesForward(pieces))


CALL = b"cbuiltins\nprint\n(S'run'\ntR."
PICKLES = {
    "after a long line": b"S'" + b"a" * 200_000 + b"'\n0" + CALL,
    "after a long value": b"B" + struct.pack("<I", 300_000) + b"\0" * 300_000 + b"0" + CALL,
    "after many values": b"N0" * 20_000 + CALL,
    "after more values than are followed": b"N0" * 200_000 + b"?",
    "after many marks": b"(" * 100_000 + CALL,
    "after many marks, which are taken back": b"(" * 50_000 + b"0" * 50_000 + CALL,
    "that begins as bzip2 does": b"BZh\0\0" + b"\0" * 0x685A + b"0" + CALL,
    "with a name twice": b"cbuiltins\nprint\n2(S'run'\ntR.",
    "with a state": b"cbuiltins\nprint\n}b.",
    "after a number in another base": b"I0x10\n0" + CALL,
    "after a long number in another base": b"L0o17L\n0" + CALL,
    "after a number with a zero byte": b"I1\0 and more\n0" + CALL,
    "after many spaces": b"I" + b" " * 9000 + b"1\n0" + CALL,
    "after many digits": b"F1." + b"0" * 9000 + b"\n0" + CALL,
    "after a place of many spaces": b"Np" + b" " * 9000 + b"1\n0" + CALL,
    "after other short pickles": b"L119547037146038801333356L\n.I1001\n.}." + CALL,
    "that only fills a module": b"cbuiltins\n__dict__\nS'len'\ncbuiltins\nprint\ns\xff",
    "that only fills the environment": b"cos\nenviron\n(S'A'\nS'B'\nu\xff",
    "that only adds to a list": b"csys\npath\nS'/tmp'\na\xff",
    "that fills what it has noted": b"cos\nenviron\np0\n0g0\nS'A'\nS'B'\ns\xff",
    "an instance": b"(cbuiltins\nprint\nS'run'\no.",
    "of newer opcodes": pickle.dumps([{1, 2}, frozenset({3}), bytearray(b"x"), 2**90], 5)[2:],
}


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_in_another_shape(kind):
    """However much stands before the call, and whatever it begins with."""
    assert judged(PICKLES[kind])


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_with_and_without_its_first_bytes(protocol):
    """An unpickler needs neither the number of the protocol nor a frame."""
    for value in (Harmful(), [Harmful()], {"a": [1.5, None, True, b"x", "ü"], "b": (1, 2, 3, 4)}):
        data = pickle.dumps(value, protocol)
        assert judged(data)
        if data[:1] == b"\x80":
            bare = data[2 + 9 * (data[2:3] == b"\x95") :]
            assert judged(bare)


def silence(width):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setparams((1, width, 8000, 0, "NONE", ""))
        sound.writeframes((b"\x80" if width == 1 else b"\0\0") * 40_000)
    return stream.getvalue()


INNOCENT = {
    "words, some of which would go into a global": b"cow\nsea\ncat\nany\nant\n" * 99,
    "numbers with letters": b"I1\nL20\nF0.5\np3\nIa\n" * 99,
    "short ends": b"N.K.]." * 99 + b"?",
    **{f"one byte {code:02x} again and again": bytes([code]) * 70_000 for code in range(256)},
    "words from c": "".join(f"c{end}\n" for end in ("at", "ow", "up", "ut")).encode()
    + b"bee\nRun\n",
    "many words from c": "".join(f"c{n}\n" for n in range(999)).encode() + b"bee\n",
    "words from V": "".join(f"V{n}\n" for n in range(9999)).encode(),
    "numbers after I": "".join(f"I{n}\n" for n in range(9999)).encode(),
    "numbers after F": "".join(f"F{n}.5\n" for n in range(9999)).encode(),
    "a tree in brackets": b"(ROOT (S (NP (DT The) (NN cat)) (VP (VBZ sits))))\n" * 400,
    "lisp": b"(defun a (b) (c d))\n(b 1)\n",
    "bitmap": b"BM" + struct.pack("<IHHI", 70_054, 0, 0, 54) + bytes(70_040),
    "tabs and Time": b"Time,Value\n" + b"1,2\n" * 9999,
    "X and Y": b"X,Y\n" + b"1,2\n" * 9999,
    "genome": b"ACGT" * 20_000,
    "unknown genome": b"N" * 70_000 + b"\n",
    "sound": silence(1),
    "silence without a header": b"\x80" * 70_000,
    "sqlite": b"SQLite format 3\0" + bytes(4080),
    "fasttext": struct.pack("<iiii", 793712314, 12, 100, 5) + bytes(range(256)) * 40,
    "message pack": b"\x84\xa5nodes\x93\x01\x02\x03\xa5attrs\x90\xa6params\x90\xa6shapes\x90",
    "empty message pack": b"\x80",
    "empty": b"",
    "floats": np.linspace(-4, 4, 20_000, dtype="float32").tobytes(),
    "integers": np.arange(20_000, dtype="int64").tobytes(),
    "half": np.full(20_000, 0.5, "float16").tobytes(),
    "parquet": b"PAR1\x15\x04\x15\x80\x01" + bytes(range(256)) * 9,
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 9,
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 9,
    "a global without more": b"cbuiltins\nprint\n",
    "a length beyond the end": b"X" + struct.pack("<I", 2**31) + b"abc",
    "a negative length": b"T" + struct.pack("<i", -5) + b"abc",
}


@pytest.mark.parametrize("kind", INNOCENT)
def test_what_only_begins_like_one_is_none(kind):
    """Also where all bytes are opcodes: none calls anything, and no end is reached."""
    assert not judged(INNOCENT[kind])


@given(st.binary(max_size=300))
@example(b"\x80")
@example(b"(0")
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_judged_the_same(data):
    """However they are cut into pieces, and without an error."""
    assert judged(data, 7) == judged(data)


def test_random_bytes_are_hardly_ever_a_pickle():
    """Of random data that begins with each byte, so little is refused that no one meets it."""
    chance = random.Random(7)
    taken = sum(
        judged(bytes([first]) + chance.randbytes(200)) for first in range(256) for _ in range(40)
    )
    assert taken <= 5
