"""The yardstick of a build: hashing the weights, and nothing else.

An image needs two SHA-256 digests of each weight file: the file's own, which the lock states, and
that of the layer around it. So each file is hashed twice, on as many threads as there are cores,
with the same buffer for every thread and the largest files first. With two cores and one file that
is: every core hashes all bytes once. Standard library only.
"""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_BUFFER_BYTES = 1024 * 1024


def main(paths: list[str]) -> None:
    """Hash each file twice."""
    twice = sorted([Path(path) for path in paths] * 2, key=lambda path: -path.stat().st_size)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for digest in pool.map(_hash, twice):
            sys.stdout.write(f"{digest}\n")


def _hash(path: Path) -> str:
    state = hashlib.sha256()
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            state.update(buffer[:count])
    return state.hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
