"""The build side of the onnx engine: onnxruntime on the CPU with pinned ONNX graphs."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from mealkit.engines.demand import Use
from mealkit.engines.engine import Recipe, Values, tokenizer_features
from mealkit.engines.hyperparameters import (
    ClassificationHyperparameters,
    EmbeddingHyperparameters,
    GenerationHyperparameters,
    RerankingHyperparameters,
)
from mealkit.engines.needed_files import NeededFiles, named_template
from mealkit.engines.new_kits import (
    CHAT,
    CHAT_GRAPH,
    LABELS,
    RANKING,
    SENTENCES,
    SENTENCES_GRAPH,
    graph_of,
)
from mealkit.engines.onnx.traits import TRAITS
from mealkit.engines.other_values import another_file, kept
from mealkit.engines.published_models import (
    Comments,
    Description,
    Published,
    PublishedModels,
    Served,
    TokenizerFiles,
    on_processors,
)
from mealkit.recipe.answers import StrictModel
from mealkit.recipe.kit import Task
from mealkit.recipe.requirements import Demand
from mealkit.strings import LoosePath


class OnnxSettings(StrictModel):
    """The flags of onnxruntime that can change an answer or its speed."""

    graph: Annotated[LoosePath, another_file(".onnx")] = "model.onnx"
    """The graph's path below /models."""
    threads: Annotated[int, Field(ge=1, le=1024), kept("it changes the speed")] = 1
    """The number of threads within one operator."""


def _demand(use: Use) -> Demand | None:
    return use.demand(
        "onnx",
        context=use.number("max_length"),
        # It generates text for one request at a time.
        at_a_time=1 if use.model and use.model.generates else None,
        kv_dtype="f32",  # as in graphs for CPUs
        # Its CPU kernels compute in 32 bits, and it converts constants when it loads.
        float_bytes=4,
    )


def _needed_files(task: Task, hyperparameters: Values, settings: Values) -> Iterator[NeededFiles]:
    """Yield the graph, the tokenizer, and what describes the graph for a task."""
    yield NeededFiles("the graph", ((str(settings["graph"]),),), setting="graph")
    yield NeededFiles("the tokenizer", (("tokenizer.json",),))
    if task is Task.CLASSIFICATION:
        yield NeededFiles("the names of the labels (id2label)", (("config.json",),))
    if task is Task.GENERATION:
        yield NeededFiles(
            "the graph's description for onnxruntime-genai", (("genai_config.json",),)
        )
        yield from named_template(hyperparameters)


def _suits(model: Published) -> int:
    """Return 3 for a graph that was named, or 2 if there are graphs but no safetensors."""
    if (model.named_file or "").endswith(".onnx"):
        return 3
    formats = model.bytes_by_format
    return 2 if "onnx" in formats and "safetensors" not in formats else 0


def _part(model: Served) -> tuple[dict[str, Any], Comments]:
    return on_processors("onnx", {"graph": model.weight}), {}


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
    # Generators take tokens one by one since onnxruntime-genai 0.6, and texts are encoded with
    # encode_batch_fast, of tokenizers 0.20.
    bounds={
        "tokenizers": ">=0.20",
        "onnxruntime-genai": ">=0.6",
        "jinja2": ">=3.1",
        "llguidance": ">=1",
    },
    # tokenizers can download from the Hub, onnxruntime can train and quantise: workers do neither.
    excludes=("huggingface-hub", "flatbuffers", "packaging", "protobuf"),
    environment={"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    formats=frozenset({"onnx", "onnx-data", "safetensors"}),
    # onnxruntime keeps a copy of the initializers in addition to the mapped file (measured: 178 MiB
    # resident for 87 MiB of weights, of which 48 MiB are the libraries).
    memory_factor=1.6,
    memory_bytes=384 * 1024 * 1024,
    features=tokenizer_features,
    demand=_demand,
    traits=TRAITS,
    new_kits={
        Task.GENERATION: CHAT.with_files(CHAT_GRAPH),
        Task.EMBEDDINGS: SENTENCES.with_files(SENTENCES_GRAPH),
        Task.CLASSIFICATION: LABELS.with_files(graph_of("tiny-classifier")),
        Task.RERANKING: RANKING.with_files(graph_of("tiny-reranker")),
    },
    needed_files=lambda *of: tuple(_needed_files(*of)),
    published_models=PublishedModels(
        weights="onnx",
        suits=_suits,
        part=_part,
        tokenizers=(TokenizerFiles(("tokenizer.json",)),),
        # A graph's numbers may be in a separate file, with one of two usual names.
        data_endings=(".data", "_data"),
        # onnxruntime-genai's file for a graph that generates text.
        description=Description(
            file="genai_config.json",
            main_file=("model", "decoder", "filename"),
            needed_for=Task.GENERATION,
            read_without=("tokenizer.json", "config.json"),
        ),
    ),
)
