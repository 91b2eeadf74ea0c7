"""Whether bytes are a Python pickle, of any protocol and under any name.

Follows the opcodes and the depth of the stack, as an unpickler would, and runs nothing.
"""

import pickletools
from collections.abc import Iterator

# Opcodes that call something; by the time one is reached, an unpickler has run it.
_CALLS = frozenset({"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"})
# Text such as "N.B." is a pickle of two opcodes by chance; three or more, with a sound stack, not.
_CHANCE_OPCODES = 3
# A head that is cut off after this many sound opcodes is one too.
_CUT_OPCODES = 64
_NEWEST_PROTOCOL = 5
# What may follow an opcode; nothing, where the file is cut.
_AFTER_PROTOCOL = frozenset({"", *(opcode.code for opcode in pickletools.opcodes)})


def is_pickle(head: bytes, *, whole: bool) -> bool:
    """Tell whether a file begins as a pickle; ``whole`` if ``head`` is all of it.

    Source of the opcodes and their effect on the stack: the standard library's pickletools.
    """
    # Numbers may begin like this, too; then no opcode follows, and no unpickler goes on.
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
    except (ValueError, IndexError, OverflowError):  # an unknown opcode, or a cut argument
        return


class _Stack:
    """The depth of an unpickler's stack, and where its marks are."""

    def __init__(self) -> None:
        self._depth = 0
        self._marks: list[int] = []

    def apply(self, opcode: pickletools.OpcodeInfo) -> bool:
        """Follow one opcode; tell whether the stack held what it takes."""
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
