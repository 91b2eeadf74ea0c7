"""Calls llama.cpp through llama-cpp-python's low-level bindings: its log, a model, a context.

Imports the engine, so only modules that ``LlamaCppWorker.load`` imports may import this module.
Raises EngineError for a file that llama.cpp cannot load, with llama.cpp's reason.
"""

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from mealkit.engines.llama_cpp.config import CACHE_TYPES, LlamaCppConfig
from mealkit.errors import failure
from mealkit.worker.interface import IsCancelled

_POOLING = {
    "none": llama_cpp.LLAMA_POOLING_TYPE_UNSPECIFIED,
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama_cpp.LLAMA_POOLING_TYPE_CLS,
}
# The return values of llama_decode (llama.h), and how often the caller is checked.
_ABORTED = 2
_ASK_SECONDS = 0.1
# The buffer for a token's bytes; it is enlarged for longer tokens.
_PIECE_BYTES = 64
# enum ggml_log_level (ggml.h); the names in llama-cpp-python's own logger are older.
_WARNING, _ERROR, _CONTINUED = 3, 4, 5


class _Log:
    """llama.cpp's log: warnings and errors go to stderr, everything else is dropped."""

    def __init__(self) -> None:
        self._level = 0
        self._errors: list[str] = []
        # This reference keeps it alive: C has only a bare pointer to it.
        self._callback = llama_cpp.llama_log_callback(self._take)
        llama_cpp.llama_log_set(self._callback, None)

    @contextmanager
    def errors(self) -> Iterator[list[str]]:
        """Collect the errors that are logged in the meantime."""
        self._errors = []
        yield self._errors

    def _take(self, level: int, text: bytes | None, _data: Any) -> None:
        self._level = self._level if level == _CONTINUED else level
        said = (text or b"").decode("utf-8", "replace")
        if self._level == _ERROR:
            self._errors.append(said)
        if self._level in {_WARNING, _ERROR}:
            sys.stderr.write(said)


_LOG = _Log()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model and its one context: pointers that only llama.cpp reads; they are never freed."""

    model: int
    vocabulary: int
    context: int
    memory: int | None
    """The memory of the tokens read so far; an encoder has none."""


def load(config: LlamaCppConfig) -> Loaded:
    """Load the file and allocate a context of ``context_tokens`` tokens.

    Raises:
        EngineError: ``WEIGHTS_MISSING`` or ``ENGINE_START``, with llama.cpp's own reason.
    """
    if not config.model.is_file():
        message = f"{config.model.name} is missing"
        raise failure("WEIGHTS_MISSING", message, where=str(config.model))
    if config.n_gpu_layers and not llama_cpp.llama_supports_gpu_offload():
        message = f"settings.n_gpu_layers is {config.n_gpu_layers}, but this llama.cpp has no GPU"
        hint = "name a llama-cpp-python for the GPU in runtime.wheels, or write n_gpu_layers: 0"
        raise failure("ENGINE_START", message, hint=hint)
    llama_cpp.llama_backend_init()
    with _LOG.errors() as errors:
        model = llama_cpp.llama_model_load_from_file(
            str(config.model).encode(), _model_parameters(config)
        )
    if not model:
        raise _start_failed(config, "llama.cpp cannot load the model", errors)
    trained = llama_cpp.llama_model_n_ctx_train(model)
    if config.context_tokens > trained:
        message = f"max_length is {config.context_tokens}, but the model has a context of {trained}"
        raise failure("ENGINE_START", message, where=str(config.model))
    with _LOG.errors() as errors:
        context = llama_cpp.llama_init_from_model(model, _context_parameters(config))
    if not context:
        raise _start_failed(config, "llama.cpp cannot create a context", errors)
    return Loaded(
        model=model,
        vocabulary=llama_cpp.llama_model_get_vocab(model),
        context=context,
        memory=llama_cpp.llama_get_memory(context),
    )


def forget(loaded: Loaded, *, wipe: bool) -> None:
    """Clear the tokens read so far; ``wipe`` also clears the values computed from them."""
    llama_cpp.llama_memory_clear(loaded.memory, wipe)


@contextmanager
def interruptible(loaded: Loaded, is_cancelled: IsCancelled) -> Iterator[None]:
    """Check a few times a second during ``decode`` whether to continue. On the CPU only."""
    asked = -_ASK_SECONDS

    def ask(_data: object) -> bool:
        # This is called for each node of the graph; a large model has thousands.
        nonlocal asked
        if time.monotonic() - asked < _ASK_SECONDS:
            return False
        asked = time.monotonic()
        return is_cancelled()

    callback = llama_cpp.ggml_abort_callback(ask)
    llama_cpp.llama_set_abort_callback(loaded.context, callback, None)
    try:
        yield
    finally:
        nothing = llama_cpp.ggml_abort_callback()
        llama_cpp.llama_set_abort_callback(loaded.context, nothing, None)


def decode(loaded: Loaded, tokens: NDArray[np.int32], wanted: NDArray[np.int8]) -> bool:
    """Append tokens to the sequence and compute them; ``wanted`` is 1 where an output is needed.

    Returns:
        False if it was interrupted.

    Raises:
        EngineError: ``ENGINE_ANSWER``, llama.cpp failed.
    """
    pointer = tokens.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token))
    batch = llama_cpp.llama_batch_get_one(pointer, len(tokens))
    batch.logits = wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))
    with _LOG.errors() as errors:
        status = llama_cpp.llama_decode(loaded.context, batch)
    if status == _ABORTED:
        return False
    if status:
        reason = _reason(errors) or "it logged no reason"
        raise failure("ENGINE_ANSWER", f"llama.cpp failed with status {status}: {reason}")
    return True


def tokenize(loaded: Loaded, text: str, *, add: bool, parse: bool) -> list[int]:
    """Return a text's tokens.

    ``add``: with the tokens that the model's tokenizer adds before and after a text; ``parse``: the
    text may contain special tokens.

    Raises:
        RequestError: ``REQUEST_INVALID``, the text is not valid Unicode.
        EngineError: ``ENGINE_ANSWER``, llama.cpp failed.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        message = "the text contains half a surrogate pair, which is not a character"
        raise failure("REQUEST_INVALID", message) from error
    # Each token is at least one byte of the text, except the two or so that are added.
    room = len(data) + 8
    tokens = (llama_cpp.llama_token * room)()
    count = llama_cpp.llama_tokenize(loaded.vocabulary, data, len(data), tokens, room, add, parse)
    if count < 0:
        raise failure("ENGINE_ANSWER", f"llama.cpp cannot tokenize the text ({count})")
    found: list[int] = tokens[:count]
    return found


def piece(loaded: Loaded, token_id: int) -> bytes:
    """Return the bytes of a token: empty for a special one."""
    room, found = 0, _PIECE_BYTES
    buffer = ctypes.create_string_buffer(0)
    while found > room:
        room, buffer = found, ctypes.create_string_buffer(found)
        # As text: special tokens have no text.
        special = False
        arguments = (loaded.vocabulary, token_id, buffer, room, 0, special)
        found = abs(llama_cpp.llama_token_to_piece(*arguments))
    return buffer.raw[:found]


def numbers(pointer: Any, count: int) -> NDArray[np.float32]:
    """Return a copy of numbers that llama.cpp computed.

    Raises:
        EngineError: ``ENGINE_ANSWER``, llama.cpp returned no numbers.
    """
    if not pointer:
        raise failure("ENGINE_ANSWER", "llama.cpp returned no numbers")
    copied: NDArray[np.float32] = np.ctypeslib.as_array(pointer, (count,)).copy()
    return copied


def _model_parameters(config: LlamaCppConfig) -> Any:
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = config.n_gpu_layers
    parameters.split_mode = llama_cpp.LLAMA_SPLIT_MODE_LAYER
    parameters.main_gpu = 0
    parameters.load_mode = {
        (False, False): llama_cpp.LLAMA_LOAD_MODE_NONE,
        (True, False): llama_cpp.LLAMA_LOAD_MODE_MMAP,
        (False, True): llama_cpp.LLAMA_LOAD_MODE_MLOCK,
        (True, True): llama_cpp.LLAMA_LOAD_MODE_MMAP_MLOCK,
    }[config.use_mmap, config.use_mlock]
    parameters.lazy_mode = llama_cpp.LLAMA_LAZY_MODE_OFF
    # The lock pins the file's digest, which is checked when the file is mounted.
    parameters.check_tensors = False
    parameters.use_extra_bufts = config.repack
    return parameters


def _context_parameters(config: LlamaCppConfig) -> Any:
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = config.context_tokens
    parameters.n_batch = config.n_batch
    parameters.n_ubatch = config.n_ubatch
    parameters.n_seq_max = 1
    parameters.n_threads = parameters.n_threads_batch = config.threads
    parameters.pooling_type = _POOLING[config.pooling]
    parameters.embeddings = config.pooling != "none"
    # Never "auto", which depends on the hardware.
    parameters.flash_attn_type = (
        llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        if config.flash_attn
        else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    parameters.type_k = CACHE_TYPES[config.cache_type_k]
    parameters.type_v = CACHE_TYPES[config.cache_type_v]
    parameters.offload_kqv = parameters.op_offload = config.n_gpu_layers > 0
    parameters.no_perf = True
    parameters.swa_full = False
    return parameters


def _start_failed(config: LlamaCppConfig, what: str, errors: list[str]) -> Exception:
    reason = _reason(errors)
    message = f"{what}: {reason}" if reason else what
    return failure("ENGINE_START", message, where=str(config.model))


def _reason(errors: list[str]) -> str:
    """Return the first error, which causes the others, without its function's name."""
    first = next((line.strip() for line in errors if line.strip()), "")
    function, colon, rest = first.partition(": ")
    return rest if colon and function.replace("_", "").isalnum() else first
