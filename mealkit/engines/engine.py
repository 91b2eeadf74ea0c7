"""The description of an engine for the build: what it needs, accepts, and writes into a lock.

Imports no engine's own package, so that it works without any of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable

from pydantic import BaseModel, JsonValue

from mealkit.engines.demand import Use, no_demand
from mealkit.engines.needed_files import Needs, no_files
from mealkit.engines.new_kits import NewKit
from mealkit.engines.published_models import PublishedModels
from mealkit.errors import Problem
from mealkit.kit.load import LoadedKit
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.requirements import Demand, Dtype
from mealkit.recipe.traits import EngineTraits

Values = Mapping[str, JsonValue]


def no_features(_task: Task, _hyperparameters: Values, _settings: Values) -> frozenset[Feature]:
    """Return an empty set: the features of an engine that has none."""
    return frozenset()


def tokenizer_features(
    task: Task, hyperparameters: Values, _settings: Values
) -> frozenset[Feature]:
    """Return the features of an engine with a tokenizer that may generate by ``generation/``.

    They depend on the kit's settings for chats and tool calls.
    """
    if task is not Task.GENERATION:
        return frozenset({Feature.TOKENS})
    found = set(Feature)
    if hyperparameters["chat_template"] == "none":
        found -= {Feature.CHAT, Feature.TOOLS}
    if hyperparameters["tool_calls"] == "none":
        found -= {Feature.TOOLS}
    return frozenset(found)


def no_problems(_loaded: LoadedKit, _settings: Values) -> list[Problem]:
    """Return an empty list: the problems of an engine without checks of its own."""
    return []


def no_requirements(_settings: Values) -> tuple[str, ...]:
    """Return an empty tuple: the packages of an engine whose settings require none."""
    return ()


def no_memory(_settings: Values) -> tuple[float, int] | None:
    """Return None: the memory of an engine does not depend on its settings."""
    return None


def never(_weights: str, _generates: bool) -> bool:  # noqa: FBT001
    """Return False: the engine is not the usual one for any model."""
    return False


@dataclass(frozen=True, slots=True)
class Recipe:
    """An engine, as the build sees it."""

    name: str
    """The engine's name in ``runtime.engine``."""
    worker: str
    """The path of its worker, ``package.module:Class``; the lock contains it."""
    hyperparameters: Mapping[Task, type[BaseModel]]
    """The hyperparameters' model for each supported task; the first task is the default."""
    settings: type[BaseModel]
    """The model of its settings."""
    requirements: tuple[str, ...]
    """The Python packages that its worker imports for every task."""
    excludes: tuple[str, ...]
    """Dependencies of these packages that the worker never imports; they are not in the image."""
    environment: Mapping[str, str]
    """Environment variables of its worker, such as those that switch telemetry off."""
    formats: frozenset[str]
    """The weight formats that it supports."""
    memory_factor: float
    """The memory of the loaded weights, as a multiple of their size."""
    memory_bytes: int
    """The memory of the engine itself, measured."""
    features: Callable[[Task, Values, Values], frozenset[Feature]] = no_features
    """Returns its features for a task with these hyperparameters and settings."""
    task_requirements: Mapping[Task, tuple[str, ...]] = field(default_factory=dict)
    """The additional packages that it imports for a task."""
    warn: Callable[[LoadedKit, Values], list[Problem]] = no_problems
    """Returns warnings about a kit that may run in spite of them."""
    settings_memory: Callable[[Values], tuple[float, int] | None] = no_memory
    """Returns ``memory_factor`` and ``memory_bytes`` for settings that have other ones."""
    settings_requirements: Callable[[Values], tuple[str, ...]] = no_requirements
    """Returns the additional packages for its settings, such as its build for a device."""
    bounds: Mapping[str, str] = field(default_factory=dict)
    """The versions of these packages that its worker runs with, such as ``>=2.5``, by name. Locks
    contain no digest of this text, so a lock stays valid when a bound changes."""
    demand: Callable[[Use], Demand | None] = no_demand
    """Returns the values that affect its memory, from its flags."""
    computes_in: Dtype | None = None
    """The data type of its computation if no flag sets one; None: that of the weights."""
    traits: EngineTraits = field(default_factory=EngineTraits)
    """Its traits, which the image also contains."""
    is_usual_for: Callable[[str, bool], bool] = never
    """Returns whether it is the usual engine for models with a weight format that do or do not
    generate text; it is the default if no engine is named."""
    published_models: PublishedModels | None = None
    """How a kit for a published model is written; None: not supported."""
    products: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Vendor and product of its packages in the National Vulnerability Database, by name."""
    needs_weights: bool = True
    """Whether a kit without weight files is rejected."""
    check: Callable[[LoadedKit, Values], list[Problem]] = no_problems
    """Returns the problems of a kit whose fields are valid one by one, given all its settings."""

    new_kits: Mapping[Task, NewKit] = field(default_factory=dict)
    """The example of each task, for the templates in its folder ``new``. An engine without examples
    has a template for its first task, which brings all its files."""
    needed_files: Needs = no_files
    """Returns the files below /models that it needs for a task with these hyperparameters and
    settings."""

    @property
    def new_kit(self) -> Traversable:
        """The folder ``new`` of its package, with the templates for ``mealkit new``.

        It may be missing.
        """
        package = self.worker.partition(":")[0].rpartition(".")[0]
        return files(package).joinpath("new")

    @property
    def default_task(self) -> Task:
        """The task of a kit that does not name one."""
        return next(iter(self.hyperparameters))

    def requirements_for(self, task: Task, settings: Values) -> tuple[str, ...]:
        """Return the Python packages that its worker imports for a task with these settings."""
        of_task = self.task_requirements.get(task, ())
        return (*self.requirements, *of_task, *self.settings_requirements(settings))

    def bounds_for(self, task: Task, settings: Values) -> tuple[str, ...]:
        """Return the bounds of the packages that its worker imports, likewise."""
        wanted = self.requirements_for(task, settings)
        return tuple(f"{name}{bound}" for name, bound in self.bounds.items() if name in wanted)

    def own_memory(self, settings: Values) -> tuple[float, int]:
        """Return the memory of the weights, as a multiple of their size, and that of the engine."""
        return self.settings_memory(settings) or (self.memory_factor, self.memory_bytes)

    def estimated_memory_bytes(self, weights_bytes: int, settings: Values) -> int:
        """Estimate the memory of the whole container: gateway, engine and weights."""
        factor, own_bytes = self.own_memory(settings)
        return int(weights_bytes * factor) + own_bytes
