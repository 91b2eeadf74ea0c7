"""The model for the task classification: one logit for each label in its config.json.

Raises EngineError if config.json does not name each of the graph's labels once.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mealkit.engines.onnx.config import GraphConfig
from mealkit.engines.onnx.graph import Graph
from mealkit.engines.onnx.scoring import sigmoid, softmax
from mealkit.errors import failure
from mealkit.worker.encoding_values import ScoringConfig
from mealkit.worker.interface import Classifications, IsCancelled
from mealkit.worker.model_files import object_of, require_json
from mealkit.worker.tokenizer.encode import TextTokenizer
from mealkit.worker.tokenizer.tokenizer_file import open_tokenizer


class Classifier:
    """Computes the probabilities of a text's labels; several threads may use it concurrently."""

    def __init__(self, config: GraphConfig, how: ScoringConfig) -> None:
        self.tokenizer = TextTokenizer(open_tokenizer(config.root), how.max_length)
        self._probabilities = {"softmax": softmax, "sigmoid": sigmoid}[how.function]
        self._labels = read_labels(config.root / "config.json")
        if how.function == "softmax" and len(self._labels) == 1:
            message = "the model has one label, whose softmax is always 1"
            raise failure("ENGINE_START", message, where="hyperparameters.function")
        self._graph = Graph(config, "logits", _logits, how.max_length)
        if self._graph.width != len(self._labels):
            message = (
                f"the graph has {self._graph.width} logits, "
                f"but config.json names {len(self._labels)} labels"
            )
            raise failure("ENGINE_START", message, where=str(config.root / "config.json"))

    def classify(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Classifications:
        """Classify each text as if it were alone; see ``ClassificationWorker``."""
        tokens = self.tokenizer.texts(texts)
        found = [
            self._probabilities(row).tolist() for row in self._graph.rows(tokens, is_cancelled)
        ]
        return Classifications(self._labels, found, [len(item.ids) for item in tokens])


def read_labels(path: Path) -> tuple[str, ...]:
    """Read ``id2label`` in a model's config.json: its labels in the order of their numbers.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, the file does not exist; ``ENGINE_START``, it names no
            labels, skips numbers, or has a label twice.
    """
    named = object_of(require_json(path), "id2label")
    if not named:
        raise failure("ENGINE_START", "config.json names no labels in id2label", where=str(path))
    found = [named.get(str(number)) for number in range(len(named))]
    labels = [label for label in found if isinstance(label, str) and label]
    if len(labels) < len(named):
        message = f"id2label of config.json does not name the labels 0 to {len(named) - 1}"
        raise failure("ENGINE_START", message, where=str(path))
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        message = f"id2label of config.json names {twice[0]!r} twice"
        raise failure("ENGINE_START", message, where=str(path))
    return tuple(labels)


def _logits(found: NDArray[np.float32]) -> NDArray[np.float32]:
    if found.ndim != 2:
        message = f"the graph's logits have the shape {found.shape}, expected (input, label)"
        raise failure("ENGINE_START", message)
    return found
