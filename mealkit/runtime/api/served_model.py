"""What one kit offers its callers, worked out of its lock once.

Refuses what the engine cannot do, and every hyperparameter that the kit does not leave to callers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mealkit.errors import MealkitError, failure
from mealkit.recipe.kit import Feature, Override, Task
from mealkit.recipe.lock import Lock
from mealkit.runtime.api.prompt_set import Prompts
from mealkit.runtime.engine_traits import traits_of
from mealkit.untrusted import shown

_CANNOT = {
    Feature.CHAT: "takes no messages: the model has no chat template here",
    Feature.COMPLETION: "does not go on with a text",
    Feature.TOKENS: "does not tell tokens",
    Feature.TOOLS: "calls no tools in this kit",
    Feature.JSON_SCHEMA: "cannot hold an answer to a form",
    Feature.LOGPROBS: "tells no log probabilities",
    Feature.LOGIT_BIAS: "takes no biases",
    Feature.MULTIPLE: "gives one answer to a request",
}


@dataclass(slots=True)
class ServedModel:
    """The model, what it can do, what is pinned, and what a caller may choose."""

    model: str
    engine: str
    task: Task
    features: frozenset[Feature]
    hyperparameters: Mapping[str, Any]
    overrides: Mapping[str, Override]
    prompts: Prompts
    shortens_answers: bool = field(default=False)
    """Whether the engine would shorten an answer that does not fit, and say nothing."""
    dimensions: int | None = field(default=None)
    """How long the model's vectors are, once the first one was seen."""
    prediction: Mapping[str, Any] | None = field(default=None)
    """What a prediction takes and gives, once the worker has said so."""

    @classmethod
    def of(cls, lock: Lock) -> Self:
        """Work out what a lock offers.

        Raises:
            LockError: ``LOCK_INVALID``, a prompt is not a template.
        """
        return cls(
            model=lock.model.name,
            engine=lock.engine.name,
            task=lock.model.task,
            features=frozenset(lock.engine.features),
            hyperparameters=lock.hyperparameters,
            overrides=lock.overrides,
            prompts=Prompts(lock.prompts),
            shortens_answers=traits_of(lock.engine.name).shortens_answers,
        )

    def require_model(self, name: str) -> None:
        """Refuse a request for another model.

        Raises:
            RequestError: ``REQUEST_MODEL``.
        """
        if name != self.model:
            message = f"the model {shown(name)} is not served here, {self.model!r} is"
            raise failure("REQUEST_MODEL", message, where="model")

    def require(self, feature: Feature, where: str) -> None:
        """Refuse a parameter that needs what the engine cannot do.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, naming the parameter and the engine.
        """
        if feature not in self.features:
            message = f"{where} is not supported: the engine {self.engine} {_CANNOT[feature]}"
            raise failure("REQUEST_UNSUPPORTED", message, where=where)

    def choose(self, name: str, asked: Any) -> Any:
        """Return a hyperparameter's value: the kit's, or the caller's, if the kit leaves it open.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, naming the parameter, what the kit pins, and
                what it allows.
        """
        pinned = self.hyperparameters.get(name)
        if asked is None or asked == pinned:
            return pinned
        bounds = self.overrides.get(name)
        if bounds is None:
            raise _pinned(name, asked, pinned)
        require_within(name, asked, bounds)
        return asked


def require_within(name: str, asked: Any, bounds: Override) -> None:
    """Refuse a number outside a kit's bounds.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the parameter and the bounds.
    """
    low, high = bounds.minimum, bounds.maximum
    if (low is not None and asked < low) or (high is not None and asked > high):
        message = f"{name} is {asked}, this kit takes {show_bounds(bounds)}"
        hint = f"choose a value of {name} within the bounds, or leave it out"
        raise failure("REQUEST_UNSUPPORTED", message, where=name, hint=hint)


def show_bounds(bounds: Override) -> str:
    """Write a kit's bounds for people."""
    match (bounds.minimum, bounds.maximum):
        case (None, None):
            return "any value"
        case (low, None):
            return f"{low:g} or more"
        case (None, high):
            return f"{high:g} or less"
        case (low, high):
            return f"{low:g} to {high:g}"


def _pinned(name: str, asked: Any, pinned: Any) -> MealkitError:
    if pinned is None:
        message = f"{name} is not a hyperparameter of this kit"
    else:
        message = f"{name} is {asked!r}, this kit pins it to {pinned!r}"
    hint = f"leave {name} out; a kit's author lets callers set it by naming it in overrides"
    return failure("REQUEST_UNSUPPORTED", message, where=name, hint=hint)
