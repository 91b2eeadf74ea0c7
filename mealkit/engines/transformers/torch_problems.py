"""Turns exceptions of torch and transformers into problems.

Imports the engine, so only modules that are imported in ``load`` may import this module.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mealkit.errors import MealkitError, failure

# Messages of torch (c10/core/impl/alloc_cpu.cpp) and the C library if the kernel has no memory.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory")


@contextmanager
def engine_problems(code: str, doing: str, where: str | None = None) -> Iterator[None]:
    """Turn the engine's exceptions into a problem with this code.

    Raises:
        EngineError: ``ENGINE_OUT_OF_MEMORY``, or the given code.
    """
    try:
        yield
    except MealkitError:
        raise
    except Exception as error:  # errors of torch, safetensors and models have no common base class
        if _is_out_of_memory(error):
            message = f"the engine ran out of memory {doing}: {_words_of(error)}"
            raise failure("ENGINE_OUT_OF_MEMORY", message, where=where) from error
        message = f"the engine failed {doing}: {type(error).__name__}: {_words_of(error)}"
        raise failure(code, message, where=where) from error


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in _NO_MEMORY)


def _words_of(error: Exception) -> str:
    """Return an error's first lines as one line; some of torch's errors also contain a stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:600]
