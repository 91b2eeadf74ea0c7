"""What one kit offers its callers, computed from its lock at the start.

Raises RequestError for what the engine does not support, and for hyperparameters that the kit pins.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mealkit.errors import MealkitError, failure
from mealkit.recipe.kit import Feature, Override, Task
from mealkit.recipe.lock import Lock
from mealkit.recipe.task_endpoints import case_endpoint
from mealkit.runtime.api.file_schema import has_file
from mealkit.runtime.api.prompt_set import Prompts
from mealkit.runtime.api.system_message import SystemMessage
from mealkit.runtime.api.template_messages import Readable, as_they_are
from mealkit.runtime.body_limits import BodyLimit, body_limit
from mealkit.runtime.engine_traits import traits_of
from mealkit.untrusted import shown

_CANNOT = {
    Feature.CHAT: "does not accept messages: the model has no chat template in this kit",
    Feature.COMPLETION: "does not continue texts",
    Feature.TOKENS: "does not return tokens",
    Feature.TOOLS: "does not call tools in this kit",
    Feature.JSON_SCHEMA: "does not support answers in a required format",
    Feature.LOGPROBS: "does not return log probabilities",
    Feature.LOGIT_BIAS: "does not support biases",
    Feature.MULTIPLE: "returns only one answer per request",
}


# A longer request, such as one with an image in it, is no example for people.
_EXAMPLE_BYTES = 4096

TRUNCATING = "truncate_if_asked"
"""The value of the hyperparameter ``overlong`` with which callers may have texts truncated."""


@dataclass(slots=True)
class ServedModel:
    """The model, its features, the values that the kit pins, and those that callers may set."""

    model: str
    engine: str
    task: Task
    features: frozenset[Feature]
    hyperparameters: Mapping[str, Any]
    overrides: Mapping[str, Override]
    prompts: Prompts
    system: SystemMessage | None = field(default=None)
    """The system prompt of each conversation, if the kit pins one."""
    aliases: frozenset[str] = field(default=frozenset())
    """Other names of the model for callers."""
    requires_room: bool = field(default=False)
    """Whether the engine may refuse a ``max_tokens`` that does not fit into its context."""
    binds_only_strict: bool = field(default=False)
    """Whether the engine binds the arguments of a required call only if its function is strict."""
    contract_inputs: frozenset[str] = field(default=frozenset())
    """The inputs that the kit's data contract has rules for."""
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The request of the kit's first case for each endpoint that a case is for, by its path."""
    example_files: Mapping[str, str] = field(default_factory=dict)
    """The paths of files in the kit's folder, by the input of the first case that has files."""
    readable: Readable = field(default=as_they_are)
    """Rewrites the messages that the chat template would lose, if the engine does not."""
    checks_tokens: bool = field(default=True)
    """Whether the engine finds out that tokens are another tokenizer's."""
    dimensions: int | None = field(default=None)
    """The length of the model's vectors, known after the first answer."""
    body: BodyLimit = field(default_factory=lambda: BodyLimit(0))
    """The limit for requests, if the kit takes files."""
    prediction: Mapping[str, Any] | None = field(default=None)
    """The schemas of a prediction's input and output, known after the worker has loaded."""

    @classmethod
    def of(cls, lock: Lock) -> Self:
        """Compute what a lock offers.

        Raises:
            LockError: ``LOCK_INVALID``, a prompt is not a template.
        """
        prompts = Prompts(lock.prompts)
        return cls(
            model=lock.model.name,
            engine=lock.engine.name,
            task=lock.model.task,
            features=frozenset(lock.engine.features),
            hyperparameters=lock.hyperparameters,
            overrides=lock.overrides,
            prompts=prompts,
            system=SystemMessage.of(lock, prompts),
            aliases=frozenset(lock.serving.model_aliases),
            requires_room=traits_of(lock.engine.name).requires_room,
            binds_only_strict=traits_of(lock.engine.name).binds_only_strict,
            checks_tokens=traits_of(lock.engine.name).checks_tokens,
            examples=examples_of(lock),
            example_files=next((dict(case.files) for case in lock.cases if case.files), {}),
            body=body_limit(lock.serving.model_dump(include={"max_body"}), lock.engine.settings),
            contract_inputs=frozenset(lock.data.inputs if lock.data else ()),
        )

    @property
    def takes_files(self) -> bool:
        """Whether an input of the paper's code is a file."""
        return self.prediction is not None and has_file(self.prediction.get("input"))

    @property
    def body_limit(self) -> BodyLimit:
        """The limit for requests."""
        return self.body if self.takes_files else self.body.without_files

    @property
    def max_file_bytes(self) -> int:
        """How many bytes the files of a request may have together."""
        return self.body.file_bytes

    def resolve_alias(self, values: dict[str, Any]) -> None:
        """Replace an alias in a request's values by the model's own name."""
        name = values.get("model")
        if isinstance(name, str) and name in self.aliases:
            values["model"] = self.model

    def require_model(self, name: str) -> None:
        """Raise if a request names another model.

        Raises:
            RequestError: ``REQUEST_MODEL``.
        """
        if name != self.model:
            message = f"this kit has no model {shown(name)}; it has: {self.model!r}"
            raise failure("REQUEST_MODEL", message, where="model")

    def require(self, feature: Feature, where: str) -> None:
        """Raise if a parameter needs a feature that the engine does not have.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, naming the parameter and the engine.
        """
        if feature not in self.features:
            message = f"{where} is not supported: the engine {self.engine} {_CANNOT[feature]}"
            raise failure("REQUEST_UNSUPPORTED", message, where=where)

    def choose(self, name: str, asked: Any) -> Any:
        """Return a hyperparameter's value: the kit's, or the caller's, if the kit leaves it open.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, naming the parameter, the kit's pinned
                value, and the allowed values.
        """
        pinned = self.hyperparameters.get(name)
        if asked is None or asked == pinned:
            return pinned
        bounds = self.overrides.get(name)
        if bounds is None:
            raise _pinned(name, asked, pinned)
        require_within(name, asked, bounds)
        return asked


def examples_of(lock: Lock) -> dict[str, Mapping[str, Any]]:
    """Return the requests of the cases that are examples for people, by their endpoint's path."""
    found: dict[str, Mapping[str, Any]] = {}
    for case in lock.cases:
        if len(json.dumps(case.request)) <= _EXAMPLE_BYTES and not case.files:
            found.setdefault(case_endpoint(case, lock), case.request)
    return found


def require_within(name: str, asked: Any, bounds: Override) -> None:
    """Raise if a number is outside the kit's bounds.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the parameter and the bounds.
    """
    low, high = bounds.minimum, bounds.maximum
    if (low is not None and asked < low) or (high is not None and asked > high):
        message = f"{name} is {asked}, this kit allows {show_bounds(bounds)}"
        hint = f"choose a value of {name} within the bounds, or leave it out"
        raise failure("REQUEST_UNSUPPORTED", message, where=name, hint=hint)


def show_bounds(bounds: Override) -> str:
    """Return a kit's bounds in words, such as "0 to 2"."""
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
    hint = f"leave {name} out; the kit's author can let callers set it, with overrides in kit.yaml"
    return failure("REQUEST_UNSUPPORTED", message, where=name, hint=hint)
