"""Recognises Python pickles of any protocol, by their content alone.

It follows the opcodes and the kinds of values on the stack, as an unpickler does, but runs nothing
and keeps nothing of the values. The rule: data is a pickle if it begins with a protocol and an
opcode, if an opcode that calls something is reached with a stack that fits it, or if the end (STOP)
is reached after more than a few opcodes; after a shorter one the next pickle may follow. Bytes that
mean something else break the rules soon: of a million files of random bytes, less than a hundred
are taken for pickles. Source of the opcodes and of their effect on the stack: the standard
library's pickletools. What is accepted as a number is what CPython's unpickler accepts
(Modules/_pickle.c): more than pickletools reads.
"""

import pickletools
import re
from collections.abc import Mapping
from typing import Any, Protocol

from mealkit.sources.ranges import HEAD_BYTES

# Opcodes that call something; an unpickler runs them as soon as it reads them.
_CALLS = frozenset({"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"})
# These call, too, unless an operand is only the name of a global: then an unpickler stops with an
# error. Lists of words have many names in a row: "cat", "cow", "cup", "cut", "bee".
_CALLS_WITH_VALUES = frozenset({"REDUCE", "BUILD"})
# These put values into what is below them. If that was not made by the pickle, it is a global such
# as ``os.environ`` or the names of a module, which have changed even if the pickle breaks off.
_FILLS = {"SETITEM": 2, "APPEND": 1, "SETITEMS": None, "APPENDS": None, "ADDITEMS": None}
# Text such as "N.B." is by chance a pickle of two opcodes.
_CHANCE_OPCODES = 3
_NEWEST_PROTOCOL = 5
# Beyond these, data that still follows the rules counts as a pickle.
_MOST_STEPS = 300_000
_MOST_BYTES = 64 * 1024 * 1024
# Numbers and names are on shorter lines; texts may be on longer ones.
_CHECKED_LINE_BYTES = 8192
_TEXT_KINDS = frozenset({"stringnl", "unicodestringnl"})
_NAME_KINDS = frozenset({"stringnl_noescape", "stringnl_noescape_pair"})
_WHOLE_KINDS = frozenset({"decimalnl_short", "decimalnl_long"})
# In any base, in any white space, up to a zero byte.
_WHOLE_NUMBER = re.compile(
    rb"\s*[+-]?(?:0[xXoObB][0-9a-fA-F_]+|[0-9][0-9_]*)L?\s*(?:\0.*)?", re.DOTALL
)
_LONG_NUMBER = re.compile(
    rb"\s*[+-]?[0-9a-fA-FxXoObB_.]*(?:[eE][+-]?[0-9]*)?L?\s*(?:\0.*)?", re.DOTALL
)
_WINDOW_BYTES = 64 * 1024
_LENGTHS: Mapping[int, tuple[int, bool]] = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
"""How an argument of variable length states it: the bytes of the number, and its sign."""
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_MARK = pickletools.markobject.name
_ANY = pickletools.anyobject.name
_GLOBAL = "the name of a global"


class Forward(Protocol):
    """Data that is read once, from its beginning."""

    def read(self, length: int) -> bytes:
        """Return the next bytes; fewer only at the end."""
        ...

    def skip(self, length: int) -> bool:
        """Pass over bytes; return whether there were as many."""
        ...


class _BrokenError(Exception):
    """What follows is not a pickle."""


class _EnoughError(Exception):
    """It follows the rules for so long that it is a pickle."""


def is_pickle(data: Forward) -> bool:
    """Return whether data is a pickle, or begins as one that has been cut."""
    tape = _Tape(data)
    return _begins_with_protocol(tape.peek(3)) or _runs(tape)


def runs_as_pickle(data: Forward) -> bool:
    """Return whether data that begins as another format is a pickle, too.

    Its first bytes are numbers, which may be those of a pickle by chance.
    """
    return _runs(_Tape(data))


def _runs(tape: "_Tape") -> bool:
    try:
        return _is_followed(tape)
    except _BrokenError:
        return False
    except _EnoughError:
        return True


def _begins_with_protocol(head: bytes) -> bool:
    # Numbers may also start like this; then no opcode follows, and an unpickler stops.
    if len(head) < 2 or head[0] != 0x80 or head[1] > _NEWEST_PROTOCOL:
        return False
    return len(head) == 2 or head[2] in _OPCODES


def _is_followed(tape: "_Tape") -> bool:
    stack = _Stack()
    opcodes = 0
    for _ in range(_MOST_STEPS):
        code = tape.read(1)
        opcode = _OPCODES.get(code[0]) if code else None
        if opcode is None:
            return False
        calls = stack.calls(opcode)
        if opcode.arg is not None:
            tape.pass_argument(opcode)
            count = 1
        else:
            # A picture of one colour may be one opcode a million times.
            count = 1 + (tape.pass_same(code) if not opcode.stack_before else 0)
        stack.apply(opcode, count)
        opcodes += count
        if calls:
            return True
        if opcode.name == "STOP":
            if opcodes > _CHANCE_OPCODES:
                return True
            # Some files are several pickles, such as those that old versions of torch wrote.
            stack, opcodes = _Stack(), 0
    return True


class _Tape:
    """Bytes with a window, and a limit for all of them."""

    def __init__(self, data: Forward) -> None:
        self._data = data
        self._window = b""
        self._at = 0
        self._left_bytes = _MOST_BYTES
        # Readers of files elsewhere keep the head, and most files are known by it.
        self._next_bytes = HEAD_BYTES

    def peek(self, length: int) -> bytes:
        """Return the next bytes without passing over them; fewer at the end."""
        if len(self._window) - self._at < length:
            if self._left_bytes <= 0:
                raise _EnoughError
            more = self._data.read(self._next_bytes)
            self._next_bytes = _WINDOW_BYTES
            self._left_bytes -= len(more)
            self._window, self._at = self._window[self._at :] + more, 0
        return self._window[self._at : self._at + length]

    def read(self, length: int) -> bytes:
        """Return the next bytes; fewer at the end."""
        found = self.peek(length)
        self._at += len(found)
        return found

    def pass_same(self, code: bytes) -> int:
        """Pass over all following bytes that are the same; return how many."""
        count = 0
        while self.peek(1) == code:
            rest = self._window[self._at :]
            same = len(rest) - len(rest.lstrip(code))
            self._at += same
            count += same
        return count

    def pass_argument(self, opcode: pickletools.OpcodeInfo) -> None:
        """Pass over an opcode's argument.

        Raises:
            _BrokenError: it is not one, or is cut.
        """
        kind = opcode.arg
        if kind is None:
            return
        if kind.n in _LENGTHS:
            size, signed = _LENGTHS[kind.n]
            length = int.from_bytes(self._whole(size), "little", signed=signed)
            self._skip(length)
        elif kind.n == pickletools.UP_TO_NEWLINE:
            lines = 2 if kind.name == "stringnl_noescape_pair" else 1
            is_text = kind.name in _TEXT_KINDS
            texts = [self._line(may_be_long=is_text) for _ in range(lines)]
            _require_argument(kind, b"".join(texts))
        else:
            value = self._whole(kind.n)
            if opcode.name == "PROTO" and value[0] > _NEWEST_PROTOCOL:
                raise _BrokenError

    def _whole(self, length: int) -> bytes:
        found = self.read(length)
        if len(found) < length:
            raise _BrokenError
        return found

    def _skip(self, length: int) -> None:
        if length < 0:
            raise _BrokenError
        inside = min(length, len(self._window) - self._at)
        self._at += inside
        if length > inside and not self._data.skip(length - inside):
            raise _BrokenError

    def _line(self, *, may_be_long: bool) -> bytes:
        """Return a line; of a long one, no more than can be checked.

        Raises:
            _BrokenError: it is cut, or is long and must not be.
        """
        line = b""
        while True:
            if not self.peek(1):
                raise _BrokenError
            end = self._window.find(b"\n", self._at) + 1
            part = self._window[self._at : end or len(self._window)]
            self._at += len(part)
            line = (line + part)[: _CHECKED_LINE_BYTES + 1]
            if end:
                return line
            if len(line) > _CHECKED_LINE_BYTES and not may_be_long:
                # A number may be long, with zeros or spaces.
                if _LONG_NUMBER.fullmatch(line) is None:
                    raise _BrokenError
                may_be_long = True


def _require_argument(kind: Any, text: bytes) -> None:
    """Raise unless lines are what the opcode takes, such as a number or a text in quotes.

    Raises:
        _BrokenError: they are not.
    """
    if kind.name in _TEXT_KINDS:
        bare = text.strip()
        if kind.name == "stringnl" and bare[:1] not in (b"'", b'"'):
            raise _BrokenError
        return
    if kind.name in _NAME_KINDS:
        is_right = len(text) <= _CHECKED_LINE_BYTES and _are_names(text)
    elif len(text) > _CHECKED_LINE_BYTES:
        is_right = _LONG_NUMBER.fullmatch(text) is not None
    elif kind.name in _WHOLE_KINDS:
        is_right = _WHOLE_NUMBER.fullmatch(text) is not None
    else:
        is_right = _is_fraction(text)
    if not is_right:
        raise _BrokenError


def _are_names(text: bytes) -> bool:
    try:
        names = text.decode().split("\n")[:-1]
    except UnicodeDecodeError:
        return False
    return all(name.isprintable() and name and " " not in name for name in names)


def _is_fraction(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Stack:
    """The kinds of values on an unpickler's stack, each with how many there are in a row."""

    def __init__(self) -> None:
        self._runs: list[list[Any]] = []

    def calls(self, opcode: pickletools.OpcodeInfo) -> bool:
        """Return whether the opcode calls something, as the stack is before it."""
        if opcode.name in _CALLS_WITH_VALUES:
            return bool(self._runs) and self._runs[-1][0] != _GLOBAL
        if opcode.name in _FILLS:
            return self._fills(_FILLS[opcode.name])
        return opcode.name in _CALLS

    def _fills(self, count: int | None) -> bool:
        """Return whether so many values, or those after the last mark, go into a global.

        If all of them are names of globals themselves, it is a list of words.
        """
        values: set[str] = set()
        for kind, length in reversed(self._runs):
            if count is None and kind == _MARK:
                if length > 1:
                    return False
                count = 0
            elif count is not None and count < length:
                return kind in {_GLOBAL, _ANY} and bool(values - {_GLOBAL})
            else:
                values.add(kind)
                count = None if count is None else count - length
        return False

    def apply(self, opcode: pickletools.OpcodeInfo, count: int) -> None:
        """Follow one opcode, or the same one several times.

        Raises:
            _BrokenError: the stack does not have its operands.
        """
        takes = [item.name for item in opcode.stack_before]
        if _MARK in takes:
            self._pop_mark()
            takes = takes[: takes.index(_MARK)]
        for _ in takes:
            # Only POP may take a mark that another opcode has put there.
            self._pop(may_be_mark=opcode.name == "POP")
        gives = [_GLOBAL] if opcode.name in {"GLOBAL", "STACK_GLOBAL"} else None
        for kind in gives or [item.name for item in opcode.stack_after]:
            self._push(kind, count)

    def _push(self, kind: str, count: int) -> None:
        if self._runs and self._runs[-1][0] == kind:
            self._runs[-1][1] += count
        else:
            self._runs.append([kind, count])

    def _pop(self, *, may_be_mark: bool) -> None:
        if not self._runs or (self._runs[-1][0] == _MARK and not may_be_mark):
            raise _BrokenError
        self._runs[-1][1] -= 1
        if not self._runs[-1][1]:
            self._runs.pop()

    def _pop_mark(self) -> None:
        while self._runs and self._runs[-1][0] != _MARK:
            self._runs.pop()
        if not self._runs:
            raise _BrokenError
        self._pop(may_be_mark=True)
