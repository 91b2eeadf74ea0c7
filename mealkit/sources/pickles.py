"""Detects Python pickles of any protocol and under any name.

It follows the opcodes and the depth of the stack, as an unpickler does, but runs nothing.
"""

import pickletools
from collections.abc import Iterator

# Opcodes that call something; an unpickler runs them as soon as it reads them.
_CALLS = frozenset({"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"})
# Text such as "N.B." is by chance a pickle of two opcodes; three or more with a valid stack are not
# chance.
_CHANCE_OPCODES = 3
# A truncated head with this many valid opcodes also counts as a pickle.
_CUT_OPCODES = 64
_NEWEST_PROTOCOL = 5
# The possible arguments of an opcode; none if the file ends there.
_AFTER_PROTOCOL = frozenset({"", *(opcode.code for opcode in pickletools.opcodes)})


def is_pickle(head: bytes, *, whole: bool) -> bool:
    """Return whether a file starts like a pickle; ``whole`` if ``head`` is the complete file.

    Source of the opcodes and their effect on the stack: the standard library's pickletools.
    """
    # Numbers may also start like this; then no opcode follows, and an unpickler stops.
    begins = len(head) > 1 and head[0] == 0x80 and head[1] <= _NEWEST_PROTOCOL
    if begins and head[2:3].decode("latin-1") in _AFTER_PROTOCOL:
        return True
    depth = _Stack()
    count = 0
    for opcode in _opcodes(head):
        count += 1
        if not depth.apply(opcode):
            return False
        if opcode.name in _CALLS:
            return True
        if opcode.name == "STOP":
            return count > _CHANCE_OPCODES
    return not whole and count > _CUT_OPCODES


def _opcodes(head: bytes) -> Iterator[pickletools.OpcodeInfo]:
    try:
        for opcode, _, _ in pickletools.genops(head):
            yield opcode
    except (ValueError, IndexError, OverflowError):  # an unknown opcode, or a truncated argument
        return


class _Stack:
    """The depth of an unpickler's stack, and the positions of its marks."""

    def __init__(self) -> None:
        self._depth = 0
        self._marks: list[int] = []

    def apply(self, opcode: pickletools.OpcodeInfo) -> bool:
        """Follow one opcode; return whether the stack had its operands."""
        takes = list(opcode.stack_before)
        if pickletools.markobject in takes:
            if not self._marks:
                return False
            self._depth = self._marks.pop()
            takes = takes[: takes.index(pickletools.markobject)]
        elif opcode.name == "POP" and self._marks and self._marks[-1] == self._depth:
            self._marks.pop()
            return True
        if self._depth < len(takes):
            return False
        self._depth -= len(takes)
        if opcode.name == "MARK":
            self._marks.append(self._depth)
        else:
            self._depth += len(opcode.stack_after)
        return True
