"""A worker without a model: vectors from a text's length, and every mishap on demand.

A text that begins with a command obeys it: ``wait:PATH`` (until the file exists), ``long:N`` (N
tokens, over the limit of 16), ``die``, ``exit:CODE``, ``garbage``.
"""

import os
import signal
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mealkit.errors import failure
from mealkit.worker.interface import Embeddings, IsCancelled, WorkerConfig

DIMENSIONS = 4


class StandIn:
    """Loads as its settings say, answers as the texts say."""

    def load(self, config: WorkerConfig) -> None:
        settings = config.settings
        if path := settings.get("load_waits_for"):
            _wait_for(Path(str(path)))
        if message := settings.get("load_fails"):
            raise failure("WEIGHTS_MISSING", str(message), where="here")
        if text := settings.get("load_says"):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        if name := settings.get("load_ends_by"):
            os.kill(os.getpid(), signal.Signals[str(name)])
        if code := settings.get("load_exits"):
            os._exit(int(str(code)))
        if text := settings.get("load_raises"):
            raise RuntimeError(str(text))
        if size := settings.get("load_takes_bytes"):
            self._memory = bytes(b"x" * int(str(size)))
        if settings.get("load_dies"):
            sys.stderr.write("cannot allocate memory\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if (path := settings.get("load_dies_if")) and Path(str(path)).exists():
            raise SystemExit(9)
        self._broken = settings.get("answers_badly", False)

    def embed(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Embeddings:
        for text in texts:
            _obey(text)
        if self._broken:
            return Embeddings([b""], DIMENSIONS, [1])
        vectors = [struct.pack("<4f", len(text), 0.5, 0.25, -1.0) for text in texts]
        return Embeddings(vectors, DIMENSIONS, [len(text.split()) for text in texts])


def _obey(text: str) -> None:
    command, _, value = text.partition(":")
    match command:
        case "wait":
            _wait_for(Path(value))
        case "long":
            message = f"the input has {value} tokens, the limit is 16"
            raise failure("REQUEST_TOO_LONG", message, where="input[0]")
        case "die":
            sys.stderr.write("about to die\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(int(value))
        case "environment":
            raise failure("REQUEST_INVALID", " ".join(sorted(os.environ)))


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)
