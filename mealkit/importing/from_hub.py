"""Converts a repository on the Hub to a kit: its task, engine, files and values.

No I/O. Reads everything from the repository's own configs at one commit; values that they do not
state are guesses, which are written out and listed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.engines.published_models import (
    Comments,
    Published,
    PublishedModels,
    Served,
)
from mealkit.engines.registry import engine_names, recipe_of
from mealkit.errors import failure
from mealkit.importing.engine_part import engine_part, engines_for_published, how_served
from mealkit.importing.hub_files import (
    beside,
    chosen,
    left_behind,
    missing_tokenizer,
    require_file,
    tokenizer_of,
    weights_of,
)
from mealkit.importing.hub_task import labels_of, stated_task
from mealkit.importing.proposal import LeftOut, Proposal
from mealkit.importing.quoting import short, verbatim
from mealkit.importing.repository import Repository, spdx
from mealkit.importing.stated_claims import stated_claims
from mealkit.importing.stated_pooling import embedding, gguf_embedding, prompts, scoring
from mealkit.importing.stated_sampling import Values, sampling, template
from mealkit.importing.stated_system import StatedSystem, built_in
from mealkit.recipe.kit import Task
from mealkit.worker.model_files import template_in

# Newer GGUFs state their publisher's sampling parameters: general.sampling.temp, ...
_OF_SAMPLING = "general.sampling."
_MOST_STATED = 20
# The only programs that read weights with these quant_methods.
_PROGRAMS = {"exl2": "ExLlamaV2", "exl3": "ExLlamaV3"}


def propose(repository: Repository, file: str | None, engine: str | None) -> Proposal:
    """Propose the kit of a repository; ``file`` names one of several GGUFs or graphs.

    Raises:
        KitError: the engine does not support the task (``USAGE``), or no engine computes it as the
            repository states (``KIT_INVALID``).
        SourceError: the repository has no weights that a kit accepts.
    """
    require_file(repository, file)
    found = weights_of(repository)
    stated = stated_task(repository, _gguf_metadata(repository, found, file, engine))
    task = stated.task
    sizes_bytes = {
        name: sum(repository.sizes_bytes[file] for file in files) for name, files in found.items()
    }
    picked = _engine(Published(task, sizes_bytes, file), engine)
    how = how_served(picked)
    _require_description(repository, task, picked, how)
    weights = chosen(repository, found.get(how.weights, ()), picked, how, file)
    values = _values(repository, task, how, weights[0])
    files = [*weights, *(name for name in beside(repository, how) if name not in weights)]
    words = prompts(values, repository) if task is Task.EMBEDDINGS else {}
    system = _system(repository, values, how, weights[0])
    served = Served(task, repository.config(), weights[0], values.values["max_length"])
    part = engine_part(picked, served)
    form = tokenizer_of(repository, how)
    part.form["runtime"]["settings"].update(form.settings if form else {})
    licenses = _licenses(repository)
    named = repository.card.get("license_name")
    license_id = spdx(licenses[0], named) if len(licenses) == 1 else None
    without = missing_tokenizer(repository, picked, how)
    claims = stated_claims(repository)
    return Proposal(
        origin=f"{repository.repo} at {repository.commit}",
        engine=picked,
        kit={
            "description": f"{repository.name}, with {picked}.",
            "license": "Apache-2.0",
            "model": _model(repository, task, license_id, files),
            "prompts": {**_applied(words), **system.prompts},
            **system.form,
            "hyperparameters": values.values,
            **({"claims": claims.claims} if claims.claims else {}),
            **part.form,
        },
        files={**_prompt_files(words), **system.files, **part.files},
        comments={
            **_comments(stated.why, values, {**part.comments, **claims.comments}),
            **system.comments,
        },
        left_out=[
            *stated.left_out,
            *([without] if without else []),
            *values.left_out,
            *part.left_out,
            *claims.left_out,
            *left_behind(repository, files),
            *_unsaid(repository, license_id),
            *_quantised(repository, picked, how),
        ],
    )


def _model(
    repository: Repository, task: Task, license_id: str | None, files: Sequence[str]
) -> dict[str, Any]:
    place = {"source": "hub", "repo": repository.repo, "revision": repository.commit}
    return {
        "name": repository.name,
        "license": license_id or "LicenseRef-unknown",
        "task": task.value,
        "weights": [{**place, "files": [*files]}],
    }


def _licenses(repository: Repository) -> Sequence[str]:
    """Return the licences that the card states."""
    stated = repository.card.get("license")
    return [
        item for item in (stated if isinstance(stated, list) else [stated]) if isinstance(item, str)
    ]


def _applied(words: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"file": f"prompts/{name}.jinja", "variables": ["text"]} for name in words}


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
    engines = {
        name: how
        for name, how in engines_for_published().items()
        if model.task in recipe_of(name).hyperparameters
    }
    return max(engines, key=lambda name: engines[name].suits(model))


def _require_description(
    repository: Repository, task: Task, engine: str, how: PublishedModels
) -> None:
    """Check that the model has the files that describe it for the engine."""
    if how.weights == "safetensors" and "config.json" not in repository.sizes_bytes:
        message = f"it has no config.json, which {engine} needs"
        hint = "use a repository of the model in the format of transformers"
        raise failure("KIT_INVALID", message, where=repository.repo, hint=hint)
    if how.weights == "safetensors":
        _require_readable(repository)
    description = how.description
    if description is None or task is not description.needed_for:
        return
    if description.file not in repository.sizes_bytes:
        message = f"it has no {description.file} next to its files, which {engine} needs for {task}"
        hint = "choose another engine with --engine, or name the files in your own kit"
        raise failure("KIT_INVALID", message, where=repository.repo, hint=hint)


def _require_readable(repository: Repository) -> None:
    """Raise for weights that only another program reads."""
    config = repository.map("config.json")
    stated = config.get("quantization_config")
    method = stated.get("quant_method") if isinstance(stated, dict) else None
    # MLX writes numbers of bits without a method.
    program = (
        "MLX"
        if method is None and isinstance(config.get("quantization"), dict)
        else _PROGRAMS.get(str(method))
    )
    if program is not None:
        message = f"its weights are quantised for {program}, which no engine here reads"
        hint = "use the repository that they were made of, or its GGUFs"
        raise failure("KIT_INVALID", message, where=repository.repo, hint=hint)


def _values(repository: Repository, task: Task, how: PublishedModels, first: str) -> Values:
    weights = how.weights
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
            template(found, *_template(repository))
            form = tokenizer_of(repository, how)
            if form is not None and form.has_chat_format:
                found.set("chat_template", "model", f"The tokenizer's own, in {form.files[0]}.")
            return found
        case Task.EMBEDDINGS:
            return embedding(repository)
        case _:
            labels = 1 if task is Task.RERANKING else labels_of(repository)
            return scoring(repository, labels=labels)


def _template(repository: Repository) -> tuple[Any, str]:
    """Return the chat template of a repository, and the name of its file."""
    if jinja := repository.texts.get("chat_template.jinja"):
        return jinja, "chat_template.jinja"
    stated = repository.map("tokenizer_config.json").get("chat_template")
    return stated, "tokenizer_config.json"


def _system(
    repository: Repository, values: Values, how: PublishedModels, first: str
) -> StatedSystem:
    """Return the system text that the model's chat template has built in."""
    if values.values.get("chat_template") != "model":
        return StatedSystem()
    if how.weights == "gguf":
        metadata = repository.headers.get(first, {})
        return built_in(metadata.get("tokenizer.chat_template"), "the template in the GGUF")
    found, source = _template(repository)
    return built_in(template_in({"chat_template": found}), f"the template in {source}")


def gguf_sampling(repository: Repository, metadata: Mapping[str, Any], architecture: str) -> Values:
    """Return the hyperparameters for generation from a GGUF and the configs next to it."""
    context = metadata.get(f"{architecture}.context_length")
    config = {"max_position_embeddings": context}
    found = sampling(config, {}, repository.map("generation_config.json"))
    if "max_position_embeddings" in found.comments["max_length"]:
        source = "From context_length of the GGUF's metadata. A shorter context needs less memory."
        found.set("max_length", context, source)
    template(found, metadata.get("tokenizer.chat_template"), "the GGUF")
    stated = [name for name in sorted(metadata) if name.startswith(_OF_SAMPLING)][:_MOST_STATED]
    for name in stated:
        why = f"it is {short(str(metadata[name]))} in the GGUF, which llama.cpp's server would use"
        found.leave_out(name, why, "compare it with the kit's hyperparameters")
    return found


def _gguf_metadata(
    repository: Repository,
    found: Mapping[str, Sequence[str]],
    file: str | None,
    engine: str | None,
) -> Mapping[str, Any] | None:
    """Return the metadata of the GGUF, empty if it was not read; None if the kit uses none."""
    engines = engines_for_published()
    wanted = engines[engine].weights if engine in engines else None
    named = (file or "").endswith(".gguf")
    only = found.keys() == {"gguf"}
    if not (named or wanted == "gguf" or (only and wanted is None)):
        return None
    names = [file] if file and file in repository.headers else sorted(repository.headers)
    return repository.headers[names[0]] if names else {}


def _unsaid(repository: Repository, license_id: str | None) -> Sequence[LeftOut]:
    found = []
    if license_id is None:
        why = "the repository's card does not state it"
        if several := _licenses(repository):
            why = f"the repository's card states several: {', '.join(several)}"
        found.append(LeftOut("the licence of the weights", why, "ask their publisher"))
    if "auto_map" in repository.map("config.json"):
        why = "config.json refers to the repository's own code (auto_map)"
        instead = "check that the engine supports this model without that code: mealkit run"
        found.append(LeftOut("custom code", why, instead))
    for name in sorted(repository.texts):
        if name.endswith(".json") and not repository.is_readable(name):
            why = "it is not valid JSON, so nothing of it is used"
            found.append(LeftOut(name, why, "check the values that it would have stated"))
    return found


def _quantised(repository: Repository, engine: str, how: PublishedModels) -> Sequence[LeftOut]:
    stated = repository.config().get("quantization_config")
    if how.reads_quantised or not how.reads_configs or not isinstance(stated, dict):
        return ()
    method = short(str(stated.get("quant_method", "quantised")))
    why = f"{engine} needs a package for it, which the kit does not name"
    instead = "choose another engine with --engine, or name the package in runtime.requirements"
    return (LeftOut(f"the reader of {method} weights", why, instead),)
