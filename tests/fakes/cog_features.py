"""Cog projects with one subject each: what Cog's server and an imported kit are compared with."""

_PLAIN = "predict: predict.py:Predictor\n"

# Every kind of input, and an answer that shows what the predictor got, with its types.
INPUTS = {
    "cog.yaml": _PLAIN,
    "predict.py": """\
from enum import Enum
from typing import List, Optional, Union

from cog import BasePredictor, Input, Path, Secret


class Shade(str, Enum):
    DARK = "dark"
    PALE = "pale"


class Predictor(BasePredictor):
    def predict(
        self,
        text: str,
        hint: Optional[str] = Input(description="Perhaps"),
        shade: str = Input(choices=list(Shade), default="dark"),
        flavors: List[str] = Input(description="Each one long enough", min_length=2, default=["ab"]),
        count: int = Input(description="How many", ge=1, le=5, default=2),
        ratio: float = Input(ge=0, le=1, default=0.5),
        loud: bool = False,
        size: int = Input(choices=[1, 2, 4], default=2),
        color: str = Input(choices=["red", "green"], default="red", deprecated=True),
        word: str = Input(min_length=2, max_length=3, default="ab"),
        code: str = Input(regex="[a-z]+", default="x"),
        plain: str = Input(regex="^(?!x)[a-z]+$", default="ab"),
        words: List[str] = Input(default=["a"]),
        numbers: list[int] = Input(default=[1, 2], ge=0),
        note: Optional[str] = None,
        other: str | None = Input(default=None, description="Or nothing"),
        either: Union[int, str] = Input(default=1),
        table: dict = Input(default={}),
        maybe: Optional[List[int]] = Input(default=None),
        token: Secret = Input(default=Secret("none")),
        picture: Optional[Path] = Input(default=None, accept="image/*"),
    ) -> str:
        \"\"\"Say what was given.\"\"\"
        given = {name: value for name, value in locals().items() if name != "self"}
        given["token"] = (str(token), repr(token), token.get_secret_value(), Secret().secret_value)
        if picture is not None:
            given["picture"] = (picture.suffix, picture.read_bytes())
        return repr(given)
""",
}

# Every kind of output, of a predictor that promises nothing about it.
OUTPUTS = {
    "cog.yaml": f"build: {{python_packages: [numpy]}}\n{_PLAIN}",
    "predict.py": """\
import dataclasses
import datetime
import decimal
import enum
import io
import tempfile
import uuid
from typing import Any

import numpy as np
from cog import BaseModel, BasePredictor, Path, Secret


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Record(BaseModel):
    text: str


def written(name, data):
    path = Path(tempfile.mkdtemp()) / name
    path.write_bytes(data)
    return path


CASES = {
    "none": lambda: None,
    "bool": lambda: True,
    "float": lambda: [0.1 + 0.2, -0.0, 1e300],
    "nan": lambda: float("nan"),
    "infinity": lambda: [float("inf")],
    "big": lambda: 2**70,
    "long": lambda: "x" * 300_000,
    "unicode": lambda: "n\\u0303 \\U0001f372 \\u2028\\0",
    "surrogate": lambda: "\\ud800",
    "bytes": lambda: b"abc",
    "tuple": lambda: (1, "a"),
    "set": lambda: {1},
    "keys": lambda: {1: "a"},
    "time": lambda: datetime.datetime(2026, 1, 2, 3, 4, 5),
    "zone": lambda: [datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)],
    "date": lambda: datetime.date(2026, 1, 2),
    "decimal": lambda: decimal.Decimal("1.5"),
    "uuid": lambda: uuid.UUID(int=1),
    "enum": lambda: Color.RED,
    "dataclass": lambda: Point(np.int64(1), 2.0),
    "numbers": lambda: {"a": np.float32(0.5), "b": [np.int64(1), np.uint8(2), np.float64(0.1)]},
    "array": lambda: np.eye(2, dtype=np.float32),
    "arrays": lambda: (np.array([True]), {"a": np.array(5), "b": np.array(["x", None], object)}),
    "nan in array": lambda: np.array([np.nan]),
    "bool of numpy": lambda: np.bool_(True),
    "record": lambda: [Record(text="a")],
    "path": lambda: written("a.png", b"abc"),
    "webp": lambda: written("a.webp", b"abc"),
    "paths": lambda: [written("a.txt", b"abc"), written("b", b"")],
    "nested": lambda: {"a": {"b": written("a.jpg", b"abc")}},
    "missing": lambda: Path("/nowhere/a.png"),
    "open": lambda: io.BytesIO(b"abc"),
    "open text": lambda: io.StringIO("abc"),
    "open file": lambda: written("a.txt", b"abc").open("rb"),
    "open in list": lambda: [written("a.txt", b"abc").open("rb")],
    "generator": lambda: (letter for letter in "ab"),
    "iterator": lambda: iter([1, 2]),
    "range": lambda: range(2),
    "secret": lambda: Secret("a"),
    "object": object,
}


class Predictor(BasePredictor):
    def predict(self, case: str) -> Any:
        return CASES[case]()
""",
}

# An output of several values.
RECORD = {
    "cog.yaml": _PLAIN,
    "predict.py": """\
import copy
import dataclasses
import tempfile
from typing import List, Optional

from cog import BaseModel, BasePredictor, Path


class Box(BaseModel, frozen=True):
    x: float
    tags: List[str] = dataclasses.field(default_factory=list)
    size: int = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "size", len(self.tags))


class Base(BaseModel):
    text: str


class Output(Base):
    count: int = 3
    note: Optional[str] = None
    files: List[Path] = None


class Predictor(BasePredictor):
    def predict(self, case: str) -> Output:
        path = Path(tempfile.mkdtemp()) / "a.png"
        path.write_bytes(b"abc")
        made = Output(text="a")
        match case:
            case "positional":
                return Output("a", 4, "n")
            case "wrong":
                return Output(text=5)
            case "dict":
                return {"text": "a"}
            case "more":
                return {"text": "a", "more": 1}
            case "less":
                return {"count": 1}
            case "changed":
                made.text, made.note = "b", "c"
            case "shown":
                made.text = f"{made!r} {made == Output(text='a')}"
            case "files":
                made.files = [path]
            case "asdict":
                return dataclasses.asdict(made)
            case "replaced":
                return dataclasses.replace(made, count=5)
            case "fields":
                made.note = repr([item.name for item in dataclasses.fields(made)])
            case "options":
                box = Box(1.5, ["a"])
                made.note = [box, Box(2), hash(Box(2, ())) == hash(Box(2, ())), copy.deepcopy(box)]
            case "matched":
                match made:
                    case Output(text, count):
                        made.note = f"{text} {count}"
            case "missing":
                return Output()
            case "unknown":
                return Output("a", what=2)
            case "none":
                return None
        return made
""",
}

# What newer projects import, and pieces that callers may stream.
STREAMED = {
    "cog.yaml": "run: run.py\n",
    "run.py": """\
from typing import Annotated, Optional

from cog import (
    BaseRunner,
    CancelationException,
    ConcatenateIterator,
    ExperimentalFeatureWarning,
    Input,
    Opaque,
    concurrent,
    current_scope,
    streaming,
)


class Runner(BaseRunner):
    def setup(self) -> None:
        self.record_metric("outside", 1)

    @streaming
    @concurrent(max=1)
    def run(
        self,
        text: str = "ab",
        fail: int = Input(default=0),
        more: Optional[Annotated[dict, Opaque]] = None,
    ) -> ConcatenateIterator[str]:
        for number, letter in enumerate(text):
            if fail and number == fail:
                raise RuntimeError("no more")
            self.record_metric("pieces", 1, mode="incr")
            current_scope().record_metric("last", letter)
            self.scope.metrics["place"] = number
            yield letter
        if more:
            yield str(more)
""",
}

# What goes wrong, and what stays of it.
FAULTS = {
    "cog.yaml": _PLAIN,
    "predict.py": """\
import multiprocessing
import os
import sys
import threading
import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self):
        self.count = 0
        self.is_main = threading.current_thread() is threading.main_thread()

    def predict(self, case: str) -> str:
        self.count += 1
        print("to stdout")
        print("to stderr", file=sys.stderr)
        match case:
            case "value":
                raise ValueError("bad value")
            case "runtime":
                raise RuntimeError("it broke")
            case "library":
                return str(int("x"))
            case "exit":
                sys.exit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "another type":
                return 5
            case "sleep":
                while True:
                    time.sleep(0.01)
            case "thread of setup":
                return f"main: {self.is_main}"
            case "pool":
                with multiprocessing.Pool(1) as pool:
                    return str(pool.map(abs, [-1]))
            case "die":
                os._exit(4)
        return f"prediction {self.count}"
""",
}

FAILING_SETUP = {
    "cog.yaml": _PLAIN,
    "predict.py": """\
from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self):
        raise RuntimeError("no weights")

    def predict(self) -> str:
        return ""
""",
}
