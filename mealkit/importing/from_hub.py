"""Converts a repository on the Hub to a kit: its task, engine, files and values.

No I/O. Reads everything from the repository's own configs at one commit; values that they do not
state are guesses, which are written out and listed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.engines.published_models import Comments, Description, Published, Served
from mealkit.engines.registry import engine_names, recipe_of
from mealkit.errors import failure
from mealkit.importing.engine_part import engine_part, engines_for_published, how_served
from mealkit.importing.hub_files import beside, chosen, left_behind, weights_of
from mealkit.importing.proposal import LeftOut, Proposal
from mealkit.importing.quoting import verbatim
from mealkit.importing.repository import Repository, spdx
from mealkit.importing.stated_pooling import embedding, gguf_embedding, prompts, scoring
from mealkit.importing.stated_sampling import Values, sampling, template
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
_ARCHITECTURES = {
    "ForCausalLM": Task.GENERATION,
    "LMHeadModel": Task.GENERATION,
    "ForSequenceClassification": Task.CLASSIFICATION,
}
_MOST_NAMES = 100
_GGUF_ENCODERS = frozenset({"bert", "nomic-bert", "jina-bert-v2", "modern-bert"})


def propose(repository: Repository, file: str | None, engine: str | None) -> Proposal:
    """Propose the kit of a repository; ``file`` names one of several GGUFs or graphs.

    Raises:
        KitError: the engine does not support the task (``USAGE``), or no engine computes it as the
            repository states (``KIT_INVALID``).
        SourceError: the repository has no weights that a kit accepts.
    """
    found = weights_of(repository)
    architecture = _gguf_architecture(repository, file)
    task, why = _task(repository, architecture)
    sizes_bytes = {
        name: sum(repository.sizes_bytes[file] for file in files) for name, files in found.items()
    }
    picked = _engine(Published(task, sizes_bytes, file), engine)
    how = how_served(picked)
    _require_description(repository, task, picked, how.description)
    weights = chosen(repository, found.get(how.weights, ()), picked, how, file)
    values = _values(repository, task, how.weights, weights[0])
    files = [*weights, *(name for name in beside(repository, how) if name not in weights)]
    words = prompts(values, repository) if task is Task.EMBEDDINGS else {}
    served = Served(task, repository.config(), weights[0], values.values["max_length"])
    part = engine_part(picked, served)
    license_id = spdx(repository.card.get("license"), repository.card.get("license_name"))
    left = [
        *values.left_out,
        *part.left_out,
        *left_behind(repository, files),
        *_unsaid(repository, license_id),
    ]
    kit: dict[str, Any] = {
        "description": f"{repository.name}, with {picked}.",
        "license": "Apache-2.0",
        "model": {
            "name": repository.name,
            "license": license_id or "LicenseRef-unknown",
            "task": task.value,
            "weights": [
                {
                    "source": "hub",
                    "repo": repository.repo,
                    "revision": repository.commit,
                    "files": files,
                }
            ],
        },
        "prompts": {
            name: {"file": f"prompts/{name}.jinja", "variables": ["text"]} for name in words
        },
        "hyperparameters": values.values,
        **part.form,
    }
    return Proposal(
        origin=f"{repository.repo} at {repository.commit}",
        engine=picked,
        kit=kit,
        files={**_prompt_files(words), **part.files},
        comments=_comments(why, values, part.comments),
        left_out=left,
    )


def _prompt_files(words: Mapping[str, str]) -> dict[str, str]:
    return {f"prompts/{name}.jinja": verbatim(text) + "{{ text }}" for name, text in words.items()}


def _comments(why: str, values: Values, of_engine: Comments) -> Comments:
    return {
        ("license",): "For the files in this folder.",
        ("model", "license"): "For the weights, from the repository's card.",
        ("model", "task"): why,
        **{("hyperparameters", name): text for name, text in values.comments.items()},
        **of_engine,
    }


def _task(repository: Repository, gguf_architecture: str | None) -> tuple[Task, str]:
    if "modules.json" in repository.sizes_bytes:
        return Task.EMBEDDINGS, "modules.json: a sentence-transformers model."
    if repository.tag in _TAGS:
        return _TAGS[repository.tag], f"The repository's tag is {repository.tag}."
    names = repository.config().get("architectures")
    for name in names[:_MOST_NAMES] if isinstance(names, list) else ():
        for end, task in _ARCHITECTURES.items():
            if str(name).endswith(end):
                one = task is Task.CLASSIFICATION and _labels(repository) == 1
                return (Task.RERANKING if one else task), f"config.json states {name}."
    if gguf_architecture is not None:
        encodes = gguf_architecture in _GGUF_ENCODERS
        said = f"The GGUF's architecture is {gguf_architecture}."
        return (Task.EMBEDDINGS if encodes else Task.GENERATION), said
    message = "neither the repository's card nor its config.json states its task"
    stated = f" (the tag is {repository.tag})" if repository.tag else ""
    raise failure("KIT_INVALID", message + stated, where=repository.repo, hint="mealkit new NAME")


def _engine(model: Published, asked: str | None) -> str:
    """Choose the most suitable engine; a requested one must support the task."""
    if asked is not None:
        if asked not in engine_names() or model.task not in recipe_of(asked).hyperparameters:
            able = [
                name for name in engine_names() if model.task in recipe_of(name).hyperparameters
            ]
            hint = f"choose one of {', '.join(able)}"
            raise failure("USAGE", f"{asked} does not support {model.task}", hint=hint)
        return asked
    engines = engines_for_published()
    return max(engines, key=lambda name: engines[name].suits(model))


def _require_description(
    repository: Repository, task: Task, engine: str, description: Description | None
) -> None:
    """Check that the model has the description file that the engine needs."""
    if description is None or task is not description.needed_for:
        return
    if description.file not in repository.sizes_bytes:
        message = f"it has no {description.file} next to its files, which {engine} needs for {task}"
        hint = "choose another engine with --engine, or name the files in your own kit"
        raise failure("KIT_INVALID", message, where=repository.repo, hint=hint)


def _values(repository: Repository, task: Task, weights: str, first: str) -> Values:
    metadata = repository.headers.get(first, {})
    architecture = str(metadata.get("general.architecture", ""))
    if weights == "gguf" and task is Task.EMBEDDINGS:
        return gguf_embedding(metadata, architecture, first)
    match task:
        case Task.GENERATION if weights == "gguf":
            return gguf_sampling(repository, metadata, architecture)
        case Task.GENERATION:
            tokenizer = repository.map("tokenizer_config.json")
            found = sampling(
                repository.config(), tokenizer, repository.map("generation_config.json")
            )
            jinja = repository.texts.get("chat_template.jinja")
            source = "chat_template.jinja" if jinja else "tokenizer_config.json"
            template(found, jinja or tokenizer.get("chat_template"), source)
            return found
        case Task.EMBEDDINGS:
            return embedding(repository)
        case _:
            labels = 1 if task is Task.RERANKING else _labels(repository)
            return scoring(repository, labels=labels)


def gguf_sampling(repository: Repository, metadata: Mapping[str, Any], architecture: str) -> Values:
    """Return the hyperparameters for generation from a GGUF and the configs next to it."""
    context = metadata.get(f"{architecture}.context_length")
    config = {"max_position_embeddings": context}
    found = sampling(config, {}, repository.map("generation_config.json"))
    if "max_position_embeddings" in found.comments["max_length"]:
        source = "From context_length of the GGUF's metadata. A shorter context needs less memory."
        found.set("max_length", context, source)
    template(found, metadata.get("tokenizer.chat_template"), "the GGUF")
    return found


def _labels(repository: Repository) -> int:
    config = repository.config()
    named, number = config.get("id2label"), config.get("num_labels")
    if isinstance(named, dict) and named:
        return len(named)
    return number if type(number) is int else 2


def _gguf_architecture(repository: Repository, file: str | None) -> str | None:
    names = [file] if file and file in repository.headers else sorted(repository.headers)
    stated = repository.headers[names[0]].get("general.architecture") if names else None
    return stated if isinstance(stated, str) else None


def _unsaid(repository: Repository, license_id: str | None) -> Sequence[LeftOut]:
    found = []
    if license_id is None:
        why = "the repository's card does not state it"
        found.append(LeftOut("the licence of the weights", why, "ask their publisher"))
    if "auto_map" in repository.map("config.json"):
        why = "config.json refers to the repository's own code (auto_map)"
        instead = "check that the engine supports this model without that code: mealkit run"
        found.append(LeftOut("custom code", why, instead))
    return found
