"""The paper's own code reads files of any kind, in their folders below /models."""

import io
import lzma
import sqlite3

import numpy as np
from runtime.conftest import python_kit, with_code

HANDLER = """
import lzma, sqlite3
from pathlib import Path

class Handler:
    def load(self, models: Path) -> None:
        with lzma.open(models / "lists" / "words.txt.xz", "rt") as file:
            self.words = file.read().split()
        self.vectors = (models / "lists" / "vectors" / "means.npy").read_bytes()
        self.counts = f"file:{models}/words.db?mode=ro&immutable=1"

    def predict(self, text: str) -> dict[str, int]:
        with sqlite3.connect(self.counts, uri=True) as database:
            (count,) = database.execute("select n from counts where word = ?", [text]).fetchone()
        return {"place": self.words.index(text), "count": count, "bytes": len(self.vectors)}
"""


def counts():
    database = sqlite3.connect(":memory:")
    database.execute("create table counts (word text, n integer)")
    database.execute("insert into counts values ('b', 7)")
    database.commit()
    return database.serialize()


def vectors():
    stream = io.BytesIO()
    np.save(stream, np.zeros(4, "float32"))
    return stream.getvalue()


def test_files_of_any_kind(make_lock, start):
    """Compressed texts, arrays and a database are there as the kit names them."""
    weights = {
        "lists/words.txt.xz": lzma.compress(b"a b c"),
        "lists/vectors/means.npy": vectors(),
        "words.db": counts(),
    }

    def place(root):
        with_code(HANDLER)(root)
        for name, data in weights.items():
            (root / "models" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "models" / name).write_bytes(data)

    kit = start(python_kit(make_lock, weights=weights), change=place).wait_ready()
    answer = kit.post("/v1/predict", input={"text": "b"})
    assert answer.json()["output"] == {"place": 1, "count": 7, "bytes": len(vectors())}
