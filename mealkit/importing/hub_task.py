"""Decides what a repository's model is for: from its modules, its tag and its architecture.

No I/O. Raises KitError for models that no engine here can serve as their publisher means them:
adapters, models that read pictures or sound, and tasks that kits do not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mealkit.engines.registry import code_engine
from mealkit.errors import MealkitError, failure
from mealkit.importing.gguf_names import is_encoder, other_kind
from mealkit.importing.proposal import LeftOut
from mealkit.importing.quoting import short
from mealkit.importing.repository import Repository
from mealkit.importing.stated_pooling import activation
from mealkit.recipe.kit import Task

# The names of tasks on the Hub: https://huggingface.co/docs/hub/models-tasks
_TAGS = {
    "text-generation": Task.GENERATION,
    "conversational": Task.GENERATION,
    "feature-extraction": Task.EMBEDDINGS,
    "sentence-similarity": Task.EMBEDDINGS,
    "text-classification": Task.CLASSIFICATION,
    "text-ranking": Task.RERANKING,
}
# Tags of models of text that state a use, and not what the model computes.
_USES = frozenset(
    {
        *("fill-mask", "other", "question-answering", "summarization", "table-question-answering"),
        *("text2text-generation", "token-classification", "translation"),
        "zero-shot-classification",
    }
)
# Tags of models that read text together with something else.
_WITH_MORE_THAN_TEXT = frozenset(
    {
        *("any-to-any", "audio-text-to-text", "document-question-answering", "image-text-to-image"),
        *("image-text-to-text", "image-text-to-video", "image-to-text", "video-text-to-text"),
        *("visual-document-retrieval", "visual-question-answering"),
    }
)
# Parts of config.json that describe how a model reads pictures or sound.
_OTHER_SENSES = (
    *("audio_config", "audio_processor", "img_processor", "mm_audio_tower", "mm_vision_tower"),
    *("speech_config", "vision_config", "vision_encoder", "vision_tower", "visual"),
)
_PROCESSORS = ("feature_extractor_type", "image_processor_type", "processor_class")
_HEADS = {
    "ForCausalLM": Task.GENERATION,
    "LMHeadModel": Task.GENERATION,
    "ForSequenceClassification": Task.CLASSIFICATION,
}
_OTHER_HEADS = {
    "ForTokenClassification": "token classification",
    "ForQuestionAnswering": "finding answers in a text",
    "ForMaskedLM": "filling gaps in a text",
    "ForMultipleChoice": "multiple choice",
    "ForNextSentencePrediction": "next sentence prediction",
    "ForConditionalGeneration": "generation from an encoder and a decoder",
    "ForSpeechSeq2Seq": "speech recognition",
    "ForCTC": "speech recognition",
    "ForImageClassification": "image classification",
    "ForObjectDetection": "object detection",
}
_MOST_NAMES = 100
# Words in a card's tags, or in a repository's name, of models that score pairs of texts.
_OF_PAIRS = ("cross-encoder", "rerank")


@dataclass(frozen=True, slots=True)
class StatedTask:
    """A model's task."""

    task: Task
    why: str
    """Where the repository states it."""
    left_out: tuple[LeftOut, ...] = ()


def stated_task(repository: Repository, metadata: Mapping[str, Any] | None) -> StatedTask:
    """Return the task; ``metadata`` is that of the GGUF, if the kit uses one.

    Raises:
        KitError: no engine serves such a model, or the task is not stated (``KIT_INVALID``).
    """
    _require_whole_model(repository, metadata)
    more = _more_than_text(repository)
    if more is not None and metadata is None:
        message = f"it reads more than text, which no engine here does: {more}"
        raise _refused(repository, message, _own_code())
    found = _of_text(repository, metadata)
    if more is None:
        return found
    # A GGUF has only the part of the model that reads text.
    why = f"no engine here reads them ({more})"
    item = LeftOut("pictures, sound", why, "nothing, if callers send text only")
    return StatedTask(found.task, found.why, (item, *found.left_out))


def labels_of(repository: Repository) -> int:
    """Return how many labels a classifier has."""
    return _stated_labels(repository) or 2  # transformers' default


def _of_text(repository: Repository, metadata: Mapping[str, Any] | None) -> StatedTask:
    kind = repository.map("config_sentence_transformers.json").get("model_type")
    if "modules.json" in repository.sizes_bytes and kind != "CrossEncoder":
        return StatedTask(Task.EMBEDDINGS, "modules.json: a sentence-transformers model.")
    # A GGUF states itself what it is: the config beside it may be that of a larger model.
    tag, name = repository.tag, "" if metadata else _architecture(repository)
    head = next((task for end, task in _HEADS.items() if name.endswith(end)), None)
    if kind == "CrossEncoder":
        _require_plain_scores(repository)
    if tag in _TAGS or (kind == "CrossEncoder" and head is not None):
        wanted = _TAGS.get(tag or "", Task.RERANKING)
        return _of_tag(repository, wanted, f"The repository's tag is {tag}.", name)
    if tag is not None and tag not in _USES | _WITH_MORE_THAN_TEXT:
        message = f"its tag is {short(tag)}, which is not a task of an engine here"
        raise _refused(repository, message, _own_code())
    if head is Task.CLASSIFICATION:
        return _scores(repository, None, f"config.json states {name}.")
    if head is not None:
        _require_decoder(repository, name)
        return StatedTask(head, f"config.json states {name}.")
    _require_known_head(repository, name)
    return _of_gguf(repository, metadata)


def _of_gguf(repository: Repository, metadata: Mapping[str, Any] | None) -> StatedTask:
    """Return the task of a GGUF's architecture."""
    if metadata == {}:  # of several GGUFs none was read, because none was named
        return StatedTask(Task.GENERATION, "The weights are in GGUF.")
    architecture = (metadata or {}).get("general.architecture")
    if isinstance(architecture, str):
        task = Task.EMBEDDINGS if is_encoder(metadata or {}) else Task.GENERATION
        return StatedTask(task, f"From the GGUF's metadata: {architecture}.")
    stated = f" (the tag is {short(repository.tag)})" if repository.tag else ""
    message = f"neither the repository's card nor its config.json states its task{stated}"
    raise _refused(repository, message, "mealkit new NAME")


def _of_tag(repository: Repository, task: Task, why: str, name: str) -> StatedTask:
    """Return the task of a tag, if the model has the head for it."""
    if task is Task.EMBEDDINGS or not name:
        return StatedTask(task, why)
    if task is Task.GENERATION:
        _require_known_head(repository, name)
        _require_decoder(repository, name)
        if not name.endswith("ForSequenceClassification"):
            return StatedTask(task, why)
    elif name.endswith("ForSequenceClassification"):
        return _scores(repository, task, why)
    message = f"its tag is {repository.tag}, but config.json states {name}, which has another head"
    raise _refused(repository, message, _own_code())


def _scores(repository: Repository, stated: Task | None, why: str) -> StatedTask:
    """Distinguish classifiers from rerankers, which have one label and read pairs of texts."""
    labels = _stated_labels(repository)
    if stated is Task.RERANKING and (labels or 1) > 1:
        message = f"it has {labels} labels, and a reranker has one"
        raise _refused(repository, message, "mealkit new NAME, with task: classification")
    if stated is Task.RERANKING or (labels == 1 and _scores_pairs(repository)):
        return StatedTask(Task.RERANKING, f"{why} It has one label, and scores pairs of texts.")
    if labels == 1:
        task = stated or Task.RERANKING
        if repository.config().get("problem_type") == "regression":
            message = "it computes one number that is not a probability (problem_type: regression)"
            raise _refused(repository, message, _own_code())
        reason = "it has one label: a score of a text, or of a pair of texts as in a reranker"
        item = LeftOut(f"the task: {task} is a guess", reason, "ask the publisher; set model.task")
        return StatedTask(task, why, (item,))
    if repository.tag == "zero-shot-classification":
        reason = "the model compares a text with a sentence about it; the kit only reads the text"
        item = LeftOut("zero-shot classification", reason, _own_code())
        return StatedTask(Task.CLASSIFICATION, why, (item,))
    if _scores_pairs(repository) or _infers(repository):
        reason = "the model classifies two texts together; a kit classifies one"
        return StatedTask(
            Task.CLASSIFICATION, why, (LeftOut("pairs of texts", reason, _own_code()),)
        )
    return StatedTask(Task.CLASSIFICATION, why)


def _infers(repository: Repository) -> bool:
    """Return whether the labels say what follows from one text about another."""
    named = repository.config().get("id2label")
    return isinstance(named, dict) and "entailment" in (
        str(item).lower() for item in named.values()
    )


def _scores_pairs(repository: Repository) -> bool:
    """Return whether the repository states that the model is a cross-encoder."""
    card = repository.card
    tags = card.get("tags")
    words = [*(tags if isinstance(tags, list) else ()), repository.name]
    is_named = any(mark in str(word).lower() for word in words for mark in _OF_PAIRS)
    loaded = card.get("library_name") == "sentence-transformers"
    return is_named or loaded or activation(repository) is not None


def _stated_labels(repository: Repository) -> int | None:
    config = repository.config()
    named, number = config.get("id2label"), config.get("num_labels")
    if isinstance(named, dict) and named:
        return len(named)
    return number if type(number) is int and number > 0 else None


def _architecture(repository: Repository) -> str:
    """Return the first architecture with a known head, else the first one."""
    names = repository.map("config.json").get("architectures")
    every = [str(name) for name in (names[:_MOST_NAMES] if isinstance(names, list) else ())]
    known = (*_HEADS, *_OTHER_HEADS)
    return next((name for name in every if name.endswith(known)), every[0] if every else "")


def _require_decoder(repository: Repository, name: str) -> None:
    if repository.map("config.json").get("is_encoder_decoder") is True:
        message = f"{name} has an encoder and a decoder, and engines here run decoders only"
        raise _refused(repository, message, _own_code())


def _require_known_head(repository: Repository, name: str) -> None:
    for end, task in _OTHER_HEADS.items():
        if name.endswith(end):
            message = f"config.json states {name}: {task} is not a task of an engine here"
            raise _refused(repository, message, _own_code())


def _require_plain_scores(repository: Repository) -> None:
    """Raise for a cross-encoder whose score is not the logit of a classifier."""
    modules = repository.json("modules.json")
    kinds = [
        str(item.get("type", "")).rpartition(".")[2]
        for item in (modules if isinstance(modules, list) else ())
        if isinstance(item, dict)
    ]
    others = [kind for kind in kinds if kind != "Transformer"]
    if others:
        message = f"its scores go through {short(', '.join(others))}, which no engine here supports"
        raise _refused(repository, message, _own_code())


def _require_whole_model(repository: Repository, metadata: Mapping[str, Any] | None) -> None:
    """Raise for an adapter, which changes another model and is none itself."""
    adapter = repository.map("adapter_config.json")
    # Safetensors of a whole model have a config.json; some adapters have other names.
    endings = (".safetensors", ".gguf", ".onnx")
    whole = [
        name
        for name in repository.sizes_bytes
        if name.endswith(endings if "config.json" in repository.sizes_bytes else endings[1:])
        and not PurePosixPath(name).name.startswith("adapter")
    ]
    is_adapter = not whole and (bool(adapter) or repository.card.get("library_name") == "peft")
    if not is_adapter and (kind := other_kind(metadata or {})) is not None:
        raise _refused(repository, f"it is {kind}", "use a repository of a whole model of text")
    if not is_adapter:
        return
    base = adapter.get("base_model_name_or_path") or repository.card.get("base_model")
    of = f" of {short(base)}" if isinstance(base, str) else ""
    message = f"it is an adapter{of}, not a whole model"
    raise _refused(repository, message, "merge it into its model first, and publish the result")


def _more_than_text(repository: Repository) -> str | None:
    """Return what states that the model reads pictures or sound; None if nothing does."""
    if repository.tag in _WITH_MORE_THAN_TEXT:
        return f"the tag is {repository.tag}"
    config = repository.map("config.json")
    part = next((name for name in _OTHER_SENSES if config.get(name) is not None), None)
    if part is not None:
        return f"config.json has {part}"
    for file in ("preprocessor_config.json", "processor_config.json"):
        if any(isinstance(repository.map(file).get(kind), str) for kind in _PROCESSORS):
            return f"{file} prepares pictures or sound"
    return None


def _own_code() -> str:
    return f"write code that serves it: mealkit new NAME --engine {code_engine()}"


def _refused(repository: Repository, message: str, hint: str) -> MealkitError:
    return failure("KIT_INVALID", message, where=repository.repo, hint=hint)
