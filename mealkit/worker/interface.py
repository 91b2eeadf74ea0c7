"""The protocols that engines' workers implement, and the values they exchange with the host.

Raises ContainerError for a configuration with a missing, unknown or mistyped field. Standard
library only, because the image's worker process has only the engine's packages.
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
    """A worker's configuration: the model, the folder of its files, and every pinned value."""

    model_name: str
    model_root: Path
    task: str
    hyperparameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    code_root: Path
    """The folder of the paper's own code, if the kit has any."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read the output of ``as_json``.

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
    """JSON Schemas of a prediction's input and output; ``streams``: it returns several pieces."""

    input: Mapping[str, Any]
    output: Mapping[str, Any]
    streams: bool


IsCancelled = Callable[[], bool]
"""Returns whether the caller has disconnected; cheap to call."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """The caller has disconnected, so there is no answer."""


def never() -> bool:
    """Return False, for an answer that is never cancelled."""
    return False


def require_waiting(is_cancelled: IsCancelled) -> None:
    """Raise if the caller has disconnected; called between two parts of the work for one answer.

    Raises:
        Cancelled: the caller has disconnected.
    """
    if is_cancelled():
        raise Cancelled


class Worker(Protocol):
    """The methods of every worker, for any task.

    It may also have ``prepare()``, which imports the modules that ``load`` needs, and uses neither
    model nor machine: it is called while the preflight still checks the machine.

    A task adds methods, such as ``embed`` of ``EmbeddingWorker``; the host looks for them by the
    task's name. The class is created without arguments, and imports its engine in ``load``, not
    before.
    """

    def load(self, config: WorkerConfig) -> None:
        """Load the model; called once, before any request.

        Raises:
            MealkitError: the configuration cannot be used, or the engine does not start.
        """


@runtime_checkable
class EmbeddingWorker(Worker, Protocol):
    """A worker for the task ``embeddings``."""

    def embed(
        self, texts: Sequence[str], is_cancelled: IsCancelled, *, truncate: bool = False
    ) -> Embeddings:
        """Embed texts, none of them empty; called from several threads concurrently.

        ``truncate``: of a text that is too long, embed the first tokens that fit, between the
        tokens that belong around a text. Otherwise texts are never truncated.

        Raises:
            RequestError: a text cannot be embedded whole.
            EngineError: the engine failed, or its answer is not valid.
            Cancelled: the caller has disconnected.
        """


@runtime_checkable
class ClassificationWorker(Worker, Protocol):
    """A worker for the task ``classification``."""

    def classify(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Classifications:
        """Classify texts, none of them empty; called from several threads concurrently.

        Raises:
            RequestError: a text cannot be classified whole; texts are never truncated.
            EngineError: the engine failed, or its answer is not valid.
            Cancelled: the caller has disconnected.
        """


@runtime_checkable
class RerankingWorker(Worker, Protocol):
    """A worker for the task ``reranking``."""

    def rerank(self, query: str, documents: Sequence[str], is_cancelled: IsCancelled) -> Relevance:
        """Score documents, none of them empty; called from several threads concurrently.

        Raises:
            RequestError: a pair cannot be scored whole; texts are never truncated.
            EngineError: the engine failed, or its answer is not valid.
            Cancelled: the caller has disconnected.
        """


@runtime_checkable
class PredictionWorker(Worker, Protocol):
    """A worker for the task ``prediction``."""

    def schema(self) -> PredictionSchema:
        """Return the schemas of input and output; called after the worker has loaded."""

    def wait_turn(self, is_cancelled: IsCancelled) -> None:
        """Return when the code is free for an input; never returns if the code hangs.

        Raises:
            Cancelled: the caller has disconnected.
        """

    def predict(self, values: Mapping[str, Any], seed: int, is_cancelled: IsCancelled) -> Any:
        """Answer one input with a JSON value, or, if it streams, with an iterator of them.

        Called from several threads concurrently. ``seed`` is the seed of all random numbers;
        ``is_cancelled`` returns whether the caller has disconnected.

        Raises:
            RequestError: the input does not match the schema, naming the field.
            EngineError: the code failed, or its answer is not JSON.
        """


@runtime_checkable
class GenerationWorker(Worker, Protocol):
    """A worker for the task ``generation``; its methods are called from several threads.

    An iterator's first event is ``Started``; errors in the request are raised before it. The
    iterator calls ``is_cancelled`` before each token, ends early if it returns True, and frees the
    model when it is closed.
    """

    def chat(self, request: ChatInput, is_cancelled: IsCancelled) -> Iterator[GenerationEvent]:
        """Answer a conversation.

        Raises:
            RequestError: it does not fit into the context, or uses an unsupported feature.
            EngineError: the engine failed.
        """

    def complete(
        self, request: CompletionInput, is_cancelled: IsCancelled
    ) -> Iterator[GenerationEvent]:
        """Continue a text.

        Raises:
            RequestError: it does not fit into the context, or uses an unsupported feature.
            EngineError: the engine failed.
        """

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens of a text, as for ``complete``."""

    def tokenize_chat(self, messages: Sequence[Message]) -> Sequence[int]:
        """Return the tokens of a conversation, as for ``chat`` without tools.

        Raises:
            RequestError: the chat template rejects the messages, or the model has none.
        """


@runtime_checkable
class TokenizingWorker(Worker, Protocol):
    """A worker that can return the tokens of a text."""

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens of a text as the model gets them, special tokens included."""


@runtime_checkable
class DetokenizingWorker(TokenizingWorker, Protocol):
    """A worker that can also return the text of tokens."""

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without special ones; any numbers from 0 are accepted."""


@runtime_checkable
class ServerWorker(Protocol):
    """An engine that is itself a server, which replaces the host's process."""

    def command(self, config: WorkerConfig, socket: Path) -> Sequence[str]:
        """Return the command that serves the engine's OpenAI endpoints on a Unix socket.

        Raises:
            MealkitError: the configuration cannot be used.
        """

    def environment(self, config: WorkerConfig) -> Mapping[str, str]:
        """Return the variables that the settings need, in addition to those of the lock."""


def require_fields(values: Any, fields: Mapping[str, type], where: str) -> None:
    """Raise unless a mapping has exactly these fields with exactly these types.

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
        # Not isinstance: in Python True is an int, but it is not a number of threads.
        if type(values[name]) is not fields[name]:
            found = type(values[name]).__name__
            message = f"{field} is {found}, expected {fields[name].__name__}"
            raise failure("CONFIG_INVALID", message, where=field)


def require_one_of(value: Any, allowed: Sequence[Any], where: str) -> None:
    """Raise for a value that is not allowed.

    Raises:
        ContainerError: ``CONFIG_INVALID``, naming ``where``.
    """
    if value not in allowed:
        message = f"{where} is {value!r}, expected {' or '.join(map(repr, allowed))}"
        raise failure("CONFIG_INVALID", message, where=where)


def require_positive(value: int, where: str) -> None:
    """Raise for a number below 1.

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
