"""What a predictor imports from ``cog``, in the words of mealkit's engine ``python``.

Written by ``mealkit new --from cog``. It has the names that predictors use; it is not Cog.
"""

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic

__all__ = [
    "AsyncConcatenateIterator",
    "BaseModel",
    "BasePredictor",
    "BaseRunner",
    "ConcatenateIterator",
    "File",
    "Input",
    "Path",
    "Secret",
]

_Piece = TypeVar("_Piece", covariant=True)

_NO_DEFAULT: Any = ...


class BasePredictor:
    """What a predictor derives from."""

    def setup(self, *_: Any, **__: Any) -> None:
        """Load the model."""


class BaseRunner(BasePredictor):
    """What a runner derives from."""


class BaseModel(pydantic.BaseModel):
    """What an output of several values derives from."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())


class File(io.IOBase):
    """A file that is open for reading, as an annotation; ``File(x)`` is ``x``."""

    def __new__(cls, file: Any) -> Any:
        """Return the file itself."""
        return file


class Secret(pydantic.SecretStr):
    """A text that is not shown; ``get_secret_value`` returns it."""


class ConcatenateIterator(Iterator[_Piece]):
    """Pieces of a text."""


class AsyncConcatenateIterator(AsyncIterator[_Piece]):
    """Pieces of a text, asynchronously."""


@dataclass(frozen=True)
class _Input:
    """What a parameter's default says of it."""

    default: Any
    description: str | None
    ge: float | None
    le: float | None
    min_length: int | None
    max_length: int | None
    regex: str | None
    choices: list[Any] | None


def Input(  # noqa: N802, PLR0913  the name and the parameters are Cog's
    default: Any = _NO_DEFAULT,
    *,
    description: str | None = None,
    ge: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    regex: str | None = None,
    choices: list[Any] | None = None,
    deprecated: bool | None = None,  # noqa: ARG001
) -> Any:
    """Describe a parameter; the handler makes its type from this."""
    return _Input(default, description, ge, le, min_length, max_length, regex, choices)
