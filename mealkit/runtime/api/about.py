"""A kit's description of itself: models, metadata, the lock as its manifest, and licences.

No I/O, except reading the licence texts from the model's folder.
"""

import json
from pathlib import Path
from typing import Any

from mealkit.digest import Digest
from mealkit.recipe.kit import Task
from mealkit.recipe.lock import Lock, lock_bytes
from mealkit.runtime.api.rerank import MAX_DOCUMENTS
from mealkit.runtime.api.served_model import ServedModel, show_bounds
from mealkit.runtime.api.texts import MAX_INPUTS

_LICENCE_NAMES = ("license", "licence", "copying", "notice")
_LICENCE_BYTES = 256 * 1024


def metadata(
    lock: Lock, served: ServedModel, image: Digest | None, endpoints: list[str]
) -> dict[str, Any]:
    """Return what operators and auditors need: name, owner, exact versions and limits."""
    about = lock.about.model_dump(mode="json")
    owner = about.pop("owner")
    return {
        "kit": about,
        "owner": owner,
        "recipe": str(lock.recipe),
        "salt": str(lock.salt),
        "image": image and str(image),
        "model": {
            "name": lock.model.name,
            "license": lock.model.license,
            "task": lock.model.task.value,
            "files": [
                {"path": file.path, "sha256": file.sha256.hex, "size_bytes": file.size_bytes}
                for file in lock.model.files
            ],
        },
        "engine": {
            "name": lock.engine.name,
            "settings": lock.engine.settings,
            "features": [feature.value for feature in lock.engine.features],
        },
        "hyperparameters": lock.hyperparameters,
        "overrides": {
            name: {**bounds.model_dump(mode="json"), "means": show_bounds(bounds)}
            for name, bounds in lock.overrides.items()
        },
        "prompts": {
            name: {"sha256": prompt.sha256.hex, "variables": list(prompt.variables)}
            for name, prompt in lock.prompts.items()
        },
        "system_prompt": _system_prompt(lock),
        "code": {path: code.sha256.hex for path, code in lock.code.items()},
        "versions": {
            "mealkit": lock.mealkit_version,
            "python": lock.runtime.python,
            **{wheel.name: wheel.version for wheel in lock.engine.packages},
        },
        "requirements": lock.requirements.model_dump(mode="json"),
        "limits": limits(lock, served),
        "endpoints": endpoints,
    }


def _system_prompt(lock: Lock) -> dict[str, Any] | None:
    """Return which prompt every conversation begins with; its text is in the manifest."""
    pinned = lock.system_prompt
    if pinned is None:
        return None
    prompt = lock.prompts.get(pinned.prompt)
    return {
        "prompt": pinned.prompt,
        "placement": pinned.placement.value,
        "sha256": prompt and prompt.sha256.hex,
    }


def limits(lock: Lock, served: ServedModel) -> dict[str, Any]:
    """Return the limits for requests; None if there is no limit of a kind."""
    most = {
        Task.EMBEDDINGS: MAX_INPUTS,
        Task.CLASSIFICATION: MAX_INPUTS,
        Task.RERANKING: MAX_DOCUMENTS,
        Task.GENERATION: 1,
        Task.PREDICTION: 1,
    }
    return {
        "max_concurrency": lock.serving.max_concurrency,
        "max_body_bytes": served.body_limit.total_bytes,
        "max_file_bytes": served.body_limit.file_bytes or None,
        "max_inputs": most[served.task],
        "max_tokens": lock.hyperparameters.get("max_length"),
        "max_answer_tokens": lock.hyperparameters.get("max_tokens"),
        "timeout_seconds": lock.serving.timeout_seconds,
        "dimensions": served.dimensions,
    }


def model_cards(lock: Lock) -> dict[str, dict[str, Any]]:
    """Return the model in OpenAI's format, by its own name first, then by its aliases."""
    return {name: _card(name, lock) for name in (lock.model.name, *lock.serving.model_aliases)}


def _card(name: str, lock: Lock) -> dict[str, Any]:
    # created is 0, as nothing in an image has a time.
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": lock.about.owner.team,
    }


def manifest(lock: Lock) -> tuple[bytes, Digest]:
    """Return the lock as it is in the image, and the digest of the returned bytes.

    It has the digests of the paper's own code instead of the texts, because not every caller may
    read the source. Without such code it is the lock byte by byte.
    """
    data = lock_bytes(lock)
    if lock.code:
        form = json.loads(data)
        for code in form["code"].values():
            del code["text"]
        data = (json.dumps(form, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()
    return data, Digest.of(data)


def licences(lock: Lock, models: Path) -> dict[str, Any]:
    """Return the licences of kit and model, with the texts that came with the model's files.

    A text that cannot be read, or is too long for a licence, is None.
    """
    texts = {
        file.path: _text(models / file.path)
        for file in lock.model.files
        if Path(file.path).name.lower().startswith(_LICENCE_NAMES)
    }
    return {
        "kit": {"name": lock.about.name, "license": lock.about.license},
        "model": {"name": lock.model.name, "license": lock.model.license, "texts": texts},
    }


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(_LICENCE_BYTES + 1)
        return data.decode() if len(data) <= _LICENCE_BYTES else None
    except (OSError, UnicodeDecodeError):
        return None
