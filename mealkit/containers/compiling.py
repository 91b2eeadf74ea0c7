"""Compile Python files; run by the Python of an image, with nothing of mealkit or its own library.

Reads records from standard input: the path that the code shall name as its file, and the source;
before each its length in eight bytes, little-endian. Writes for each record the length of the code,
likewise, and the code; a length of 0 for what does not compile, which is left out, as pip leaves it
out. Each file is compiled in a child of its own, forked from the same state: so its bytes depend on
nothing but its source, its path and the interpreter.

Ends with 0; with 1 if a child has ended otherwise, with why as its last line of standard error.
"""

import _frozen_importlib_external as external
import _imp
import marshal
import os
import sys

# Found by hash, and not checked: PEP 552. The file's time is not in it, and the image is read-only.
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
    """Read a part of a record; None at the end."""
    length = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(int.from_bytes(length, "little")) if length else None


def outcome(path: str, source: bytes) -> int:
    """Write a source's code, if it has any; return 0, or 1 if the compiler failed."""
    try:
        write(coded(path, source))
    except BaseException as error:  # noqa: BLE001  whatever it is, the parent tells
        sys.stderr.write(f"{error!r}\n")
        sys.stderr.flush()
        return 1
    return 0


def coded(path: str, source: bytes) -> bytes:
    """Return a source's code in the form that its import expects; nothing if it has none."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError):
        return b""
    except MemoryError as error:
        # The parser says so of sources that are nested too deeply: with words, but before 3.12
        # without any, as for a machine that has no memory left.
        if error.args or sys.version_info < (3, 12):
            return b""
        raise
    key = int.from_bytes(external.MAGIC_NUMBER, "little")
    head = external.MAGIC_NUMBER + _UNCHECKED_HASH + _imp.source_hash(key, source)
    return head + marshal.dumps(code)


def write(data: bytes) -> None:
    """Write a length and what is so long."""
    left = memoryview(len(data).to_bytes(8, "little") + data)
    while left:
        left = left[os.write(1, left) :]


if __name__ == "__main__":
    sys.exit(main())
