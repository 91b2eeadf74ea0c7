"""Handlers as papers would bring them, one for each way to answer, and one for each way to fail."""

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from mealkit.refusal import Refusal

HERE = Path(__file__).parent


def tell(fifo: str, text: str) -> None:
    Path(fifo).write_text(text)


@dataclass
class Word:
    text: str
    length: int


class Words:
    """Words of a text, longest first."""

    def load(self, models: Path, parameters: dict[str, Any], seed: int) -> None:
        self.models = models
        self.parameters = parameters
        self.seed = seed

    def predict(
        self,
        text: Annotated[str, Field(min_length=1, description="What to read.")],
        top: Annotated[int, Field(ge=1, le=100)] = 10,
        order: Literal["longest", "shortest"] = "longest",
        copy: bool = False,
    ) -> list[Word]:
        words = sorted(text.split(), key=len, reverse=order == "longest")
        return [Word(word, len(word)) for word in words[:top]] * (1 + copy)


class Loaded:
    def load(self, models: Path, parameters: dict[str, Any], seed: int) -> None:
        self.found = [models.name, parameters, seed]

    def predict(self) -> list[Any]:
        return self.found


class Random:
    def predict(self) -> list[float]:
        return [random.random() for _ in range(3)]


class Later:
    async def load(self) -> None:
        await asyncio.sleep(0)
        self.loop = asyncio.get_running_loop()

    async def predict(self, text: str) -> str:
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is self.loop
        return text.upper()


class Letters:
    def predict(self, text: str, fail_at: int = -1) -> Iterator[str]:
        for index, letter in enumerate(text):
            if index == fail_at:
                raise LookupError(f"no {text}")
            yield letter


class LaterLetters:
    async def predict(self, text: str, fail_at: int = -1) -> AsyncIterator[str]:
        for index, letter in enumerate(text):
            await asyncio.sleep(0)
            if index == fail_at:
                raise LookupError(f"no {text}")
            yield letter


class Endless:
    """Writes on a FIFO how its generator ended."""

    def predict(self, ended: str) -> Iterator[int]:
        try:
            yield from range(1_000_000_000)
        finally:
            Path(ended).write_text("closed")


class LaterEndless:
    async def predict(self, ended: str) -> AsyncIterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
                await asyncio.sleep(0)
        finally:
            tell(ended, "closed")


class Waiting:
    """Says on one FIFO that it runs, and on another that it was cancelled."""

    async def predict(self, running: str, ended: str) -> str:
        tell(running, "running")
        try:
            await asyncio.Event().wait()
        finally:
            tell(ended, "cancelled")
        return "never"


class Slow:
    """Holds its turn until the FIFO ends; counts its calls."""

    def load(self) -> None:
        self.calls = 0

    def predict(self, running: str = "", go: str = "") -> int:
        self.calls += 1
        if running:
            Path(running).write_text("running")
            Path(go).read_bytes()
        return self.calls


class Files:
    def predict(
        self, file: Path, more: list[Path] | None = None, suffix: str = ".txt"
    ) -> dict[str, Any]:
        every = [file, *(more or [])]
        return {
            "sizes": [len(item.read_bytes()) for item in every],
            "suffixes": [item.suffix for item in every],
            "paths": [str(item) for item in every],
        }


class FileOut:
    def predict(self, text: str, suffix: str = ".txt", size: int = 0) -> Path:
        handle, name = tempfile.mkstemp(suffix=suffix)
        os.close(handle)
        path = Path(name)
        path.write_text(text + "x" * size)
        return path


class FilesOut:
    def predict(self, texts: list[str]) -> dict[str, Path]:
        found = {}
        for text in texts:
            path = Path(tempfile.mkdtemp()) / f"{text}.json"
            path.write_text(text)
            found[text] = path
        return found


class Page(BaseModel):
    title: str
    picture: Path | None = None
    pages: list[Path] = []


class Pages:
    """Files inside a model, in and out."""

    def predict(self, page: Page) -> dict[str, Page]:
        assert isinstance(page, Page)
        assert isinstance(page.pages[0], Path)
        title = page.pages[0].read_text()
        return {title: Page(title=title, picture=page.pages[0])}


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("it is odd")
    return number


def _one_word(text: str) -> str:
    if " " in text:
        raise Refusal("it has a blank", hint="send one word", status=415)
    return text


class Picky:
    def predict(
        self,
        number: Annotated[int, AfterValidator(_even)],
        word: Annotated[str, AfterValidator(_one_word)] = "",
    ) -> int:
        return number


class Failing:
    def predict(self, how: str, secret: str = "") -> Any:
        match how:
            case "raise":
                return self._deep(secret)
            case "exit":
                raise SystemExit(3)
            case "cancel":
                raise asyncio.CancelledError
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "object":
                return object()
            case "nan":
                return [float("nan")]
            case "deep":
                deep: Any = []
                for _ in range(100_000):
                    deep = [deep]
                return deep
            case "surrogate":
                return "\ud800"
        return how

    def _deep(self, secret: str) -> Any:
        raise KeyError(secret)  # the line that is named


class Refusing:
    def predict(self, text: str) -> Iterator[int]:
        if not text:
            raise ValueError("text has no words")
        yield int(text)


class OwnRefusalError(ValueError):
    """A class that a paper has without mealkit."""

    field, hint, status = "how", "send a portrait", 422


class RefusingMore:
    def predict(self, how: str) -> Iterator[int]:
        match how:
            case "public":
                raise Refusal("no face", field="how", hint="send a portrait", status=422)
            case "own":
                raise OwnRefusalError("no face")
            case "library":
                # The frame that raises is no file of the kit.
                said = "raise R('no face', field='how', hint='send a portrait', status=422)"
                exec(said, {"R": Refusal})  # noqa: S102
            case _:
                raise Refusal("no")
        yield 1


class RefusingLater:
    async def predict(self, n: int = 1) -> AsyncIterator[int]:
        yield n
        raise Refusal("too many", field="n", status=413)


class LaterFailing:
    async def predict(self, how: str, secret: str = "") -> Any:
        await asyncio.sleep(0)
        return Failing().predict(how, secret)


class WrongResult:
    def predict(self) -> list[int]:
        return ["one"]


class SameFile:
    """One file several times, in one answer or in several pieces."""

    def predict(self, n: int = 2) -> list[Path]:
        file = Path(tempfile.mkdtemp()) / "a.txt"
        file.write_text("x")
        return [file] * n


class SameFileInPieces:
    def predict(self, n: int = 2) -> Iterator[Path]:
        yield from SameFile().predict(n)
