"""Compiles Python files. The Python of an image runs this script, without mealkit's modules.

It reads records from standard input: the file name for the code, and the source, each after its
length in eight bytes, little-endian. For each record it writes the length of the code in the same
form, and the code. The length is 0 for a module that does not compile; it gets no bytecode, as with
pip. Each file is compiled in a separate child, forked from the same state, so its bytes depend only
on its source, its path and the interpreter.

Exits with 0; with 1 if a child failed, with the reason as the last line of standard error.
"""

import _frozen_importlib_external as external
import _imp
import marshal
import os
import sys

# Unchecked hash-based bytecode (PEP 552): it has no file time, and the image is read-only.
_UNCHECKED_HASH = (1).to_bytes(4, "little")


def main() -> int:
    """Compile until the input ends."""
    while (path := read()) is not None:
        source = read() or b""
        child = os.fork()
        if child == 0:
            os._exit(outcome(path.decode(errors="surrogateescape"), source))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code:
            sys.stderr.write(f"{path!a}: the compiler ended with {code}\n")
            return 1
    return 0


def read() -> bytes | None:
    """Read a part of a record; return None at the end."""
    length = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(int.from_bytes(length, "little")) if length else None


def outcome(path: str, source: bytes) -> int:
    """Write a source's code, if it compiles; return 0, or 1 if the compiler failed."""
    try:
        write(coded(path, source))
    except BaseException as error:  # noqa: BLE001  whatever it is, the parent tells
        sys.stderr.write(f"{error!r}\n")
        sys.stderr.flush()
        return 1
    return 0


def coded(path: str, source: bytes) -> bytes:
    """Return a source's code in the form that imports expect; empty if it does not compile."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError):
        return b""
    except MemoryError as error:
        # The parser raises MemoryError for sources that are nested too deeply: with a message, but
        # before 3.12 without one, as if the machine had no memory left.
        if error.args or sys.version_info < (3, 12):
            return b""
        raise
    key = int.from_bytes(external.MAGIC_NUMBER, "little")
    head = external.MAGIC_NUMBER + _UNCHECKED_HASH + _imp.source_hash(key, source)
    return head + marshal.dumps(code)


def write(data: bytes) -> None:
    """Write the length of data, and the data."""
    left = memoryview(len(data).to_bytes(8, "little") + data)
    while left:
        left = left[os.write(1, left) :]


if __name__ == "__main__":
    sys.exit(main())
