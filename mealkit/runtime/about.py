"""What a kit says of itself: ``/v1/metadata`` and ``/v1/models``."""

from typing import Any

from mealkit.engines.endpoints.embeddings import MAX_INPUTS
from mealkit.runtime.service import Service


def metadata(service: Service, endpoints: list[str]) -> dict[str, Any]:
    """Return everything an operator or auditor asks: what, whose, exactly which, how much."""
    lock = service.lock
    about = lock.about.model_dump(mode="json")
    owner = about.pop("owner")
    image = service.settings.image_digest
    return {
        "kit": about,
        "owner": owner,
        "recipe": service.recipe,
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
        "engine": {"name": lock.engine.name, "settings": lock.engine.settings},
        "hyperparameters": lock.hyperparameters,
        "prompts": {name: prompt.sha256.hex for name, prompt in lock.prompts.items()},
        "versions": {
            "mealkit": lock.mealkit_version,
            "python": lock.runtime.python,
            **{wheel.name: wheel.version for wheel in lock.engine.packages},
        },
        "requirements": lock.requirements.model_dump(mode="json"),
        "limits": {
            "max_concurrency": lock.serving.max_concurrency,
            "max_body_bytes": service.max_body_bytes,
            "max_inputs": MAX_INPUTS,
            "max_tokens": lock.hyperparameters.get("max_length"),
            "timeout_seconds": lock.serving.timeout_seconds,
            "dimensions": service.offer.dimensions,
        },
        "endpoints": endpoints,
    }


def model_card(service: Service) -> dict[str, Any]:
    """Return the one model in OpenAI's shape; nothing in an image has a time, so created is 0."""
    return {
        "id": service.lock.model.name,
        "object": "model",
        "created": 0,
        "owned_by": service.lock.about.owner.team,
    }
