"""The form that every engine's worker fills in, and the values that pass between it and its host.

Refuses: a configuration with a missing, unknown or mistyped field. Standard library only, because
the image's worker process has nothing but the engine's own packages beside it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from mealkit.errors import failure
from mealkit.worker.generation_values import (
    ChatInput,
    CompletionInput,
    GenerationEvent,
    Message,
)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker is told: which model, where its files are, and every value that is pinned."""

    model_name: str
    model_root: Path
    task: str
    hyperparameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    code_root: Path
    """The folder of the paper's own code, if the kit brings any."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read the form that ``as_json`` makes.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise failure(
                "CONFIG_INVALID", f"the worker's settings are not JSON: {error}"
            ) from error
        require_fields(values, _FIELDS, "worker")
        paths = {name: Path(values[name]) for name in ("model_root", "code_root")}
        return cls(**{**values, **paths})

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "model_name": self.model_name,
            "model_root": str(self.model_root),
            "task": self.task,
            "hyperparameters": dict(self.hyperparameters),
            "settings": dict(self.settings),
            "code_root": str(self.code_root),
        }


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector per text, in the order of the texts.

    A vector is ``dimensions`` packed little-endian float32 numbers; a token count includes the
    special tokens that the model saw.
    """

    vectors: Sequence[bytes]
    dimensions: int
    token_counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Classifications:
    """The probability of every label, text by text, in the order of ``labels``."""

    labels: Sequence[str]
    probabilities: Sequence[Sequence[float]]
    token_counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Relevance:
    """How relevant each document is to the query, in the order of the documents."""

    scores: Sequence[float]
    token_counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class PredictionSchema:
    """JSON Schemas of what a prediction takes and gives; ``streams``: it gives piece by piece."""

    input: Mapping[str, Any]
    output: Mapping[str, Any]
    streams: bool


IsCancelled = Callable[[], bool]
"""Tells whether the caller has gone; quick to ask."""


class Cancelled(Exception):  # noqa: N818 - nothing has gone wrong
    """The caller has gone, so there is no answer."""


def never() -> bool:
    """Tell of an answer that is always waited for."""
    return False


def require_waiting(is_cancelled: IsCancelled) -> None:
    """Stop if the caller has gone: between two parts of the work for one answer.

    Raises:
        Cancelled: the caller has gone.
    """
    if is_cancelled():
        raise Cancelled


class Worker(Protocol):
    """What every worker can do, whatever its task.

    It may also have ``prepare()``, which imports what ``load`` will need and looks at neither model
    nor machine: it is called while the machine is still being compared with the kit's needs.

    A task adds one method, as ``EmbeddingWorker`` does; the host asks for it by the task's name.
    The class is made without arguments, and imports its engine in ``load``, not before.
    """

    def load(self, config: WorkerConfig) -> None:
        """Read the model and be able to answer; called once, before any request.

        Raises:
            MealkitError: the configuration cannot be used, or the engine does not start.
        """


@runtime_checkable
class EmbeddingWorker(Worker, Protocol):
    """A worker for the task ``embeddings``."""

    def embed(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Embeddings:
        """Embed texts, none of them empty; called from several threads at once.

        Raises:
            RequestError: a text cannot be embedded whole; none is ever cut.
            EngineError: the engine failed, or its answer is not usable.
            Cancelled: the caller has gone.
        """


@runtime_checkable
class ClassificationWorker(Worker, Protocol):
    """A worker for the task ``classification``."""

    def classify(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Classifications:
        """Classify texts, none of them empty; called from several threads at once.

        Raises:
            RequestError: a text cannot be classified whole; none is ever cut.
            EngineError: the engine failed, or its answer is not usable.
            Cancelled: the caller has gone.
        """


@runtime_checkable
class RerankingWorker(Worker, Protocol):
    """A worker for the task ``reranking``."""

    def rerank(self, query: str, documents: Sequence[str], is_cancelled: IsCancelled) -> Relevance:
        """Score documents, none of them empty; called from several threads at once.

        Raises:
            RequestError: a pair cannot be scored whole; none is ever cut.
            EngineError: the engine failed, or its answer is not usable.
            Cancelled: the caller has gone.
        """


@runtime_checkable
class PredictionWorker(Worker, Protocol):
    """A worker for the task ``prediction``."""

    def schema(self) -> PredictionSchema:
        """Say what it takes and gives; called once it has loaded."""

    def wait_turn(self, is_cancelled: IsCancelled) -> None:
        """Return once it could begin with an input: if its code is stuck, it never does.

        Raises:
            Cancelled: the caller has gone.
        """

    def predict(self, values: Mapping[str, Any], seed: int, is_cancelled: IsCancelled) -> Any:
        """Answer one input with a JSON value, or, if it streams, with an iterator of them.

        Called from several threads at once. Draws begin at ``seed``; ``is_cancelled`` tells that
        the caller has gone.

        Raises:
            RequestError: the input is not what it takes, naming the field.
            EngineError: the code failed, or its answer is not JSON.
        """


@runtime_checkable
class GenerationWorker(Worker, Protocol):
    """A worker for the task ``generation``; its methods are called from several threads at once.

    An iterator's first event is ``Started``: whatever is wrong with a request is raised before.
    It ends early once ``is_cancelled`` answers True, which it asks before each token, and frees
    the model when it is closed.
    """

    def chat(self, request: ChatInput, is_cancelled: IsCancelled) -> Iterator[GenerationEvent]:
        """Answer a conversation.

        Raises:
            RequestError: it does not fit the context, or asks for what the model cannot do.
            EngineError: the engine failed.
        """

    def complete(
        self, request: CompletionInput, is_cancelled: IsCancelled
    ) -> Iterator[GenerationEvent]:
        """Go on with a text.

        Raises:
            RequestError: it does not fit the context, or asks for what the model cannot do.
            EngineError: the engine failed.
        """

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens that ``complete`` would see."""

    def tokenize_chat(self, messages: Sequence[Message]) -> Sequence[int]:
        """Return the tokens that ``chat`` would see, without any tools.

        Raises:
            RequestError: the chat template refuses the messages, or there is none.
        """


@runtime_checkable
class TokenizingWorker(Worker, Protocol):
    """A worker that can tell the tokens of a text."""

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens that the model would see, special tokens included."""


@runtime_checkable
class ServerWorker(Protocol):
    """An engine that is a server by itself: the host's process becomes it."""

    def command(self, config: WorkerConfig, socket: Path) -> Sequence[str]:
        """Return the command that serves the engine's OpenAI endpoints on a Unix socket.

        Raises:
            MealkitError: the configuration cannot be used.
        """

    def environment(self, config: WorkerConfig) -> Mapping[str, str]:
        """Return the variables that the settings ask for, beside those of the lock."""


def require_fields(values: Any, fields: Mapping[str, type], where: str) -> None:
    """Refuse a mapping that has not exactly these fields with exactly these types.

    Raises:
        ContainerError: ``CONFIG_INVALID``, naming the field under ``where``.
    """
    if not isinstance(values, Mapping):
        raise failure("CONFIG_INVALID", f"{where} is {type(values).__name__}, expected an object")
    for name in sorted(values.keys() | fields.keys()):
        field = f"{where}.{name}"
        if name not in fields:
            raise failure("CONFIG_INVALID", f"{field} is not known", where=field)
        if name not in values:
            raise failure("CONFIG_INVALID", f"{field} is missing", where=field)
        # Not isinstance: True is an int to Python, and no thread count.
        if type(values[name]) is not fields[name]:
            found = type(values[name]).__name__
            message = f"{field} is {found}, expected {fields[name].__name__}"
            raise failure("CONFIG_INVALID", message, where=field)


def require_one_of(value: Any, allowed: Sequence[Any], where: str) -> None:
    """Refuse a value that is not among those that are known.

    Raises:
        ContainerError: ``CONFIG_INVALID``, naming ``where``.
    """
    if value not in allowed:
        message = f"{where} is {value!r}, expected {' or '.join(map(repr, allowed))}"
        raise failure("CONFIG_INVALID", message, where=where)


def require_positive(value: int, where: str) -> None:
    """Refuse a number below 1.

    Raises:
        ContainerError: ``CONFIG_INVALID``, naming ``where``.
    """
    if value < 1:
        raise failure("CONFIG_INVALID", f"{where} is {value}, expected 1 or more", where=where)


_FIELDS: Mapping[str, type] = {
    "model_name": str,
    "model_root": str,
    "task": str,
    "hyperparameters": dict,
    "settings": dict,
    "code_root": str,
}
