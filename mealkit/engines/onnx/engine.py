"""The build side of the onnx engine: onnxruntime on the CPU over pinned safetensors."""

from typing import Annotated

from pydantic import Field

from mealkit.engines.engine import Recipe, tokenizer_features
from mealkit.engines.hyperparameters import (
    ClassificationHyperparameters,
    EmbeddingHyperparameters,
    GenerationHyperparameters,
    RerankingHyperparameters,
)
from mealkit.recipe.kit import StrictModel, Task
from mealkit.strings import LoosePath


class OnnxSettings(StrictModel):
    """The flags of onnxruntime that can change an answer or its speed."""

    graph: LoosePath = "model.onnx"
    """The graph's path below /models."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads within one operator."""


RECIPE = Recipe(
    name="onnx",
    worker="mealkit.engines.onnx.worker:OnnxWorker",
    hyperparameters={
        Task.EMBEDDINGS: EmbeddingHyperparameters,
        Task.CLASSIFICATION: ClassificationHyperparameters,
        Task.RERANKING: RerankingHyperparameters,
        Task.GENERATION: GenerationHyperparameters,
    },
    settings=OnnxSettings,
    requirements=("onnxruntime", "tokenizers", "numpy"),
    task_requirements={Task.GENERATION: ("onnxruntime-genai", "jinja2", "llguidance")},
    # tokenizers can fetch from the Hub, onnxruntime can train and quantise: a worker does neither.
    excludes=("huggingface-hub", "flatbuffers", "packaging", "protobuf"),
    environment={"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    formats=frozenset({"onnx", "onnx-data", "safetensors"}),
    # onnxruntime keeps one copy of the initializers beside the mapped file (measured: 178 MiB
    # resident for 87 MiB of weights, of which 48 MiB are the libraries).
    memory_factor=1.6,
    memory_bytes=384 * 1024 * 1024,
    features=tokenizer_features,
)
