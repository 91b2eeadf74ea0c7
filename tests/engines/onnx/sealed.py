"""Load a worker and use it, in a process that dies if it opens a socket or a file for writing.

A seccomp filter kills the process at ``socket``, ``creat``, ``mkdir``, and at ``open`` with a flag
that writes or creates; it holds for all threads (seccomp(2)). Arguments: the configuration, and
``use``, or ``connect`` and ``write``, which show that the filter works.
"""

import ctypes
import os
import platform
import socket
import struct
import sys
from pathlib import Path

from mealkit.engines.onnx.worker import OnnxWorker

# The engine itself is imported in ``load``, under the seal.
from mealkit.worker.generation_values import CompletionInput, Sampling
from mealkit.worker.interface import WorkerConfig

_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Numbers of the calls: those always refused, then those with flags and which argument they are.
_CALLS = {
    "x86_64": ((41, 83, 85, 258), {2: 1, 257: 2}),
    "aarch64": ((198, 34), {56: 2}),
}


def seal():
    """Install the filter in this process and all that it starts."""
    refused, flagged = _CALLS[platform.machine()]
    program = [(_LOAD, 0, 0, 0)]
    for number in refused:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _KILL)]
    for number, argument in flagged.items():
        # 16 bytes before the arguments, 8 bytes each, low half first (struct seccomp_data).
        program += [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, 16 + 8 * argument),
            (_ANY_BIT, 0, 1, _WRITES),
            (_RETURN, 0, 0, _KILL),
            (_RETURN, 0, 0, _ALLOW),
        ]
    program.append((_RETURN, 0, 0, _ALLOW))
    packed = b"".join(struct.pack("<HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(packed)
    header = ctypes.create_string_buffer(
        struct.pack("<H6xQ", len(program), ctypes.addressof(buffer))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(
        set_seccomp, filter_mode, header, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the filter cannot be installed")


def use(worker, task):
    """Ask for what the worker does; return what shows that it did."""
    if task == "embeddings":
        return worker.embed(["hello world", "a longer text than the first"]).token_counts
    sampling = Sampling(10, 0.0, 1.0, 0, 0.0, 1.0, 0.0, 0.0, 7, (), {})
    events = worker.complete(CompletionInput("Return the", sampling, 1, None), lambda: False)
    return [type(event).__name__ for event in events]


def main(config, action):
    """Seal, then do what the action says."""
    given = WorkerConfig.from_json(Path(config).read_text())
    seal()
    if action == "connect":
        socket.socket()
    elif action == "write":
        Path("written").touch()
    worker = OnnxWorker()
    worker.load(given)
    print(use(worker, given.task))


if __name__ == "__main__":
    main(*sys.argv[1:])
