"""A model that generates text with onnxruntime-genai on the CPU, which stores its keys and values.

Uses only its computation: tokens in, logits out. The choice of tokens is the same code for all
engines. Raises errors for models that need more than tokens, for configurations that would load
code or write files, and for logits that are not valid numbers. Imports the engine, so only modules
that are imported in ``load`` may import this module.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime_genai
from numpy.typing import NDArray

from mealkit.engines.onnx.config import GraphConfig
from mealkit.errors import MealkitError, failure
from mealkit.worker.interface import IsCancelled, never
from mealkit.worker.model_files import object_of, require_file, require_json
from mealkit.worker.tokenizer.vocabulary import Vocabulary, end_ids_in

_FILE = "genai_config.json"

# The number of a prompt's tokens per step; after each step the caller is checked. Another number
# can change the last bits. A graph may return logits for all of them: this limits their memory.
_READ_TOKENS = 512

# Parts of a model that does not consist of one graph from tokens to logits.
_OTHER_PARTS = ("encoder", "embedding", "vision", "speech")


class GenaiModel(Vocabulary):
    """An ``InterruptibleModel``; the state of a request is cleared before the next.

    onnxruntime-genai allocates the memory for one sequence of ``max_length`` tokens at once.
    """

    def __init__(self, config: GraphConfig, max_length: int) -> None:
        """Load the graph in genai_config.json, allocate its memory, and compute a token.

        Raises:
            EngineError: ``WEIGHTS_MISSING``, ``ENGINE_REMOTE_CODE``, ``ENGINE_OUT_OF_MEMORY`` or
                ``ENGINE_START``.
        """
        super().__init__(config.root)
        path = config.root / _FILE
        stated = object_of(_checked(require_json(path), config), "model")
        self._context_tokens = _count(stated, "context_length", str(path))
        self._end_ids |= end_ids_in(stated.get("eos_token_id"))
        self._max_length = min(max_length, self._context_tokens)
        with _problems("ENGINE_START", "while it loaded the graph", str(path)):
            self._model = _load(config)
        self._begun: Any = None
        # Errors of the first token are raised now, before the first request.
        with _problems("ENGINE_START", f"on {self._max_length} tokens", str(path)):
            self._begin()
            self._feed([self.first_id])
            self._vocabulary_size = len(self._logits())

    @property
    def context_tokens(self) -> int:
        """The maximum number of tokens that the model supports."""
        return self._context_tokens

    @property
    def vocabulary_size(self) -> int:
        """The number of logits; some models have more than their tokenizer has tokens."""
        return self._vocabulary_size

    def begin(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Clear the sequence, read at least one token, and return the next token's logits.

        Raises:
            EngineError: ``ENGINE_OUT_OF_MEMORY`` or ``ENGINE_ANSWER``.
        """
        logits = self.begin_unless(tokens, never)
        assert logits is not None  # noqa: S101  it was not cancelled
        return logits

    def begin_unless(
        self, tokens: Sequence[int], is_cancelled: IsCancelled
    ) -> NDArray[np.float32] | None:
        """Do the same as ``begin``; return None if ``is_cancelled`` returns True meanwhile.

        Raises:
            EngineError: as ``begin``.
        """
        with _problems("ENGINE_ANSWER", f"while it read {len(tokens)} tokens"):
            self._begin()
            for start in range(0, len(tokens), _READ_TOKENS):
                if is_cancelled():
                    return None
                self._feed(tokens[start : start + _READ_TOKENS])
            return self._logits()

    def advance(self, token_id: int) -> NDArray[np.float32]:
        """Append a token; return the next token's logits.

        Raises:
            EngineError: ``ENGINE_OUT_OF_MEMORY`` or ``ENGINE_ANSWER``.
        """
        with _problems("ENGINE_ANSWER", "while it generated"):
            self._feed([token_id])
            return self._logits()

    def _begin(self) -> None:
        """Begin an empty sequence, with all the memory that it will need."""
        # The old one is freed first: a container may have memory for one only.
        self._begun = None
        how = onnxruntime_genai.GeneratorParams(self._model)
        how.set_search_options(max_length=self._max_length, batch_size=1, num_beams=1)
        self._begun = onnxruntime_genai.Generator(self._model, how)

    def _feed(self, tokens: Sequence[int]) -> None:
        self._begun.append_tokens(np.array([tokens], dtype=np.int32))

    def _logits(self) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = np.asarray(self._begun.get_logits()[0, -1], dtype=np.float32)
        if np.isnan(logits).any():
            raise failure("ENGINE_ANSWER", "the model's logits are not numbers")
        return logits


def _checked(stated: Mapping[str, Any], config: GraphConfig) -> Mapping[str, Any]:
    """Check that a configuration needs only one graph over tokens."""
    where = str(config.root / _FILE)
    model = object_of(stated, "model")
    decoder = object_of(model, "decoder")
    others = [name for name in _OTHER_PARTS if object_of(model, name).get("filename")]
    others += ["decoder.pipeline"] if decoder.get("pipeline") else []
    if others:
        message = f"the model has parts that this engine does not support: {', '.join(others)}"
        raise failure("ENGINE_START", message, where=where)
    named = decoder.get("filename")
    if named != config.graph:
        message = f"{_FILE} names the graph {named!r}, but the kit names {config.graph!r}"
        hint = f"set runtime.settings.graph to {named}"
        raise failure("ENGINE_START", message, where=where, hint=hint)
    require_file(config.root / config.graph)
    options = object_of(decoder, "session_options")
    if "custom_ops_library" in options:
        message = f"{_FILE} requires a library of code: {options['custom_ops_library']}"
        hint = "use a graph without custom operators"
        raise failure("ENGINE_REMOTE_CODE", message, where=where, hint=hint)
    if options.get("enable_profiling"):
        raise failure("ENGINE_START", f"{_FILE} enables profiling, which writes files", where=where)
    return stated


def _count(stated: Mapping[str, Any], name: str, where: str) -> int:
    value = stated.get(name)
    if type(value) is not int or value < 1:
        message = f"model.{name} of {_FILE} is {value!r}, expected a number of tokens"
        raise failure("ENGINE_START", message, where=where)
    return value


def _load(config: GraphConfig) -> Any:
    onnxruntime_genai.disable_telemetry_events()
    options = {
        "intra_op_num_threads": config.threads,
        "inter_op_num_threads": 1,
        # Spinning threads would use up a container's CPU quota between tokens.
        "session.intra_op.allow_spinning": "0",
        "log_severity_level": 3,
    }
    how = onnxruntime_genai.Config(str(config.root))
    # Always the CPU, whatever genai_config.json states.
    how.clear_providers()
    how.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
    return onnxruntime_genai.Model(how)


@contextmanager
def _problems(code: str, doing: str, where: str | None = None) -> Iterator[None]:
    """Turn the engine's exceptions into a problem with this code."""
    try:
        yield
    except MealkitError:
        raise
    except MemoryError as error:
        message = f"the engine ran out of memory {doing}"
        raise failure("ENGINE_OUT_OF_MEMORY", message, where=where) from error
    except Exception as error:  # its errors have no narrower base class
        message = f"onnxruntime-genai failed {doing}: {error}"
        raise failure(code, message, where=where) from error
