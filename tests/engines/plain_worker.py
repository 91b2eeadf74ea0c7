"""Workers without a model: every way in which a worker can behave, chosen by settings and texts."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mealkit.errors import failure
from mealkit.worker.interface import Embeddings, IsCancelled, WorkerConfig


class PlainWorker:
    """Embeds a text as numbers from its SHA-256; one token per word.

    Settings: ``wait_for`` is a FIFO that ``load`` reads to its end. Texts: ``wait RUNNING GO`` says
    on the FIFO RUNNING that it runs, then waits for the end of the FIFO GO; ``bug`` raises;
    ``short`` leaves its vector out.
    """

    def load(self, config: WorkerConfig) -> None:
        """Load, or wait, or fail, as the settings say."""
        if "wait_for" in config.settings:
            Path(config.settings["wait_for"]).read_bytes()
        if "refuse" in config.settings:
            raise failure(config.settings["refuse"], "this model cannot be loaded")
        if "raise" in config.settings:
            raise RuntimeError("out of luck")
        if "exit" in config.settings:
            os._exit(config.settings["exit"])

    def embed(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Embeddings:
        """Embed, or do what a text says."""
        for text in texts:
            match text.split():
                case ["wait", running, go]:
                    Path(running).write_bytes(b"running")
                    Path(go).read_bytes()
                case ["bug"]:
                    raise ZeroDivisionError("a bug")
        vectors = [
            _numbers(hashlib.sha256(text.encode()).digest()) for text in texts if text != "short"
        ]
        return Embeddings(vectors, 8, [len(text.split()) for text in texts])


class Mute:
    """Loads, and can do no task."""

    def load(self, config: WorkerConfig) -> None:
        """Do nothing."""


def _numbers(digest: bytes) -> bytes:
    # The exponent's top bit is cleared in each number, so that none is infinite.
    return bytes(byte & 0xBF if index % 4 == 3 else byte for index, byte in enumerate(digest))
