"""What torch and transformers raise, as problems.

Imports the engine, so only what is imported in ``load`` may import this module.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mealkit.errors import MealkitError, failure

# What torch (c10/core/impl/alloc_cpu.cpp) and the C library say when the kernel refuses memory.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory")


@contextmanager
def engine_problems(code: str, doing: str, where: str | None = None) -> Iterator[None]:
    """Turn whatever the engine raises into a problem with this code.

    Raises:
        EngineError: ``ENGINE_OUT_OF_MEMORY``, or the code that was given.
    """
    try:
        yield
    except MealkitError:
        raise
    except Exception as error:  # torch's, safetensors' and a model's own errors share no base
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
    """Return an error's first lines as one: behind them, some of torch's bring a whole stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:600]
