"""Compile Python files; run by the Python of an image, with nothing of mealkit or its own library.

Reads records from standard input: the length of each part in eight bytes, little-endian, and the
part: the path that the code shall name as its file, the path to write to, the source. What does not
compile is left out, as pip leaves it out. Each file is compiled in a child of its own, forked from
the same state: so its bytes depend on nothing but its source, its path and the interpreter.

Ends with 0; with 3 and ``errno N`` as its last line if a file cannot be written; with 1 if a child
has ended otherwise.
"""

import _frozen_importlib_external as external
import _imp
import marshal
import os
import sys

# Found by hash, and not checked: PEP 552. The file's time is not in it, and the image is read-only.
_UNCHECKED_HASH = (1).to_bytes(4, "little")

# More than any errno.
_CRASHED = 255


def main() -> int:
    """Compile until the input ends."""
    while (path := read()) is not None:
        target, source = read() or b"", read() or b""
        child = os.fork()
        if child == 0:
            os._exit(outcome(path.decode(errors="surrogateescape"), target, source))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if 0 < code < _CRASHED:
            sys.stderr.write(f"errno {code}\n")
            return 3
        if code:
            sys.stderr.write(f"{path!a}: the compiler ended with {code}\n")
            return 1
    return 0


def read() -> bytes | None:
    """Read a part of a record; None at the end."""
    length = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(int.from_bytes(length, "little")) if length else None


def outcome(path: str, target: bytes, source: bytes) -> int:
    """Write a source's code, if it has any; return 0, the errno, or _CRASHED."""
    try:
        write(path, target, source)
    except OSError as error:
        return error.errno or _CRASHED
    except BaseException as error:  # noqa: BLE001  whatever it is, the parent tells
        sys.stderr.write(f"{error!r}\n")
        sys.stderr.flush()
        return _CRASHED
    return 0


def write(path: str, target: bytes, source: bytes) -> None:
    """Write a source's code in the form that its import expects; nothing if it has none."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError):
        return
    except MemoryError as error:
        # The parser says so of sources that are nested too deeply: with words, but before 3.12
        # without any, as for a machine that has no memory left.
        if error.args or sys.version_info < (3, 12):
            return
        raise
    key = int.from_bytes(external.MAGIC_NUMBER, "little")
    head = external.MAGIC_NUMBER + _UNCHECKED_HASH + _imp.source_hash(key, source)
    with open(target, "wb") as file:  # noqa: PTH123  pathlib is not there
        file.write(head + marshal.dumps(code))


if __name__ == "__main__":
    sys.exit(main())
