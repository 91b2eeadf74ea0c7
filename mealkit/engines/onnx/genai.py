"""A model that writes text, by onnxruntime-genai on the CPU, which keeps its keys and values.

Only what it computes is taken of it: tokens in, logits out. How a token is chosen is written once
for all engines. Refuses models that need more than tokens, configurations that would load code or
write files, and logits that are not numbers. Imports the engine, so only what is imported in
``load`` may import this module.
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

# How much of a prompt is read at a time, between looks at whether anybody still waits. Another
# number can give other last bits. A graph may give the logits of all of them: this bounds that.
_READ_TOKENS = 512

# Parts of a model that is not one graph from tokens to logits.
_OTHER_PARTS = ("encoder", "embedding", "vision", "speech")


class GenaiModel(Vocabulary):
    """An ``InterruptibleModel``; what one request left behind is wiped before the next.

    There is memory for one sequence of ``max_length`` tokens, which onnxruntime-genai takes whole.
    """

    def __init__(self, config: GraphConfig, max_length: int) -> None:
        """Load the graph that genai_config.json describes, take its memory, and try a token.

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
        # Whatever fails at the first token fails now, before anyone asks.
        with _problems("ENGINE_START", f"on {self._max_length} tokens", str(path)):
            self._begin()
            self._feed([self.first_id])
            self._vocabulary_size = len(self._logits())

    @property
    def context_tokens(self) -> int:
        """The most tokens that the model was made for."""
        return self._context_tokens

    @property
    def vocabulary_size(self) -> int:
        """How many logits there are; some models have more than their tokenizer has tokens."""
        return self._vocabulary_size

    def begin(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Forget everything, read these tokens, at least one; return the next one's logits.

        Raises:
            EngineError: ``ENGINE_OUT_OF_MEMORY`` or ``ENGINE_ANSWER``.
        """
        logits = self.begin_unless(tokens, never)
        assert logits is not None  # noqa: S101  nobody has cancelled
        return logits

    def begin_unless(
        self, tokens: Sequence[int], is_cancelled: IsCancelled
    ) -> NDArray[np.float32] | None:
        """As ``begin``; None, if ``is_cancelled`` answers True meanwhile.

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
        """Append a token; return the next one's logits.

        Raises:
            EngineError: ``ENGINE_OUT_OF_MEMORY`` or ``ENGINE_ANSWER``.
        """
        with _problems("ENGINE_ANSWER", "while it generated"):
            self._feed([token_id])
            return self._logits()

    def _begin(self) -> None:
        """Begin an empty sequence, with all the memory that it will need."""
        # The last one's goes first: a container may have room for one.
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
    """Refuse a configuration that asks for more than one graph over tokens."""
    where = str(config.root / _FILE)
    model = object_of(stated, "model")
    decoder = object_of(model, "decoder")
    others = [name for name in _OTHER_PARTS if object_of(model, name).get("filename")]
    others += ["decoder.pipeline"] if decoder.get("pipeline") else []
    if others:
        message = f"the model has parts that this engine does not run: {', '.join(others)}"
        raise failure("ENGINE_START", message, where=where)
    named = decoder.get("filename")
    if named != config.graph:
        message = f"{_FILE} names the graph {named!r}, the kit {config.graph!r}"
        hint = f"set runtime.settings.graph to {named}"
        raise failure("ENGINE_START", message, where=where, hint=hint)
    require_file(config.root / config.graph)
    options = object_of(decoder, "session_options")
    if "custom_ops_library" in options:
        message = f"{_FILE} wants a library of code to be loaded: {options['custom_ops_library']}"
        hint = "take a graph that needs no operators of its own"
        raise failure("ENGINE_REMOTE_CODE", message, where=where, hint=hint)
    if options.get("enable_profiling"):
        raise failure("ENGINE_START", f"{_FILE} asks for a profile to be written", where=where)
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
        # Spinning threads would burn a container's CPU quota between tokens.
        "session.intra_op.allow_spinning": "0",
        "log_severity_level": 3,
    }
    how = onnxruntime_genai.Config(str(config.root))
    # The CPU, whatever the publisher had in mind.
    how.clear_providers()
    how.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
    return onnxruntime_genai.Model(how)


@contextmanager
def _problems(code: str, doing: str, where: str | None = None) -> Iterator[None]:
    """Turn whatever the engine raises into a problem with this code."""
    try:
        yield
    except MealkitError:
        raise
    except MemoryError as error:
        message = f"the engine ran out of memory {doing}"
        raise failure("ENGINE_OUT_OF_MEMORY", message, where=where) from error
    except Exception as error:  # its errors share no narrower base
        message = f"onnxruntime-genai failed {doing}: {error}"
        raise failure(code, message, where=where) from error
