"""The form that every engine's build side fills in: what it needs, takes, and writes into a lock.

Imports in a bare environment: no engine's own package is touched here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable

from pydantic import BaseModel, JsonValue

from mealkit.engines.demand import Use, no_demand
from mealkit.engines.published_models import PublishedModels
from mealkit.errors import Problem
from mealkit.kit.load import LoadedKit
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.requirements import Demand, Dtype
from mealkit.recipe.traits import EngineTraits

Values = Mapping[str, JsonValue]


def no_features(_task: Task, _hyperparameters: Values, _settings: Values) -> frozenset[Feature]:
    """Return nothing: the features of an engine that has none."""
    return frozenset()


def tokenizer_features(
    task: Task, hyperparameters: Values, _settings: Values
) -> frozenset[Feature]:
    """Return the features of an engine that tokenizes, and generates by ``generation/`` if at all.

    It can do whatever that can do, as far as the kit says how the model chats and calls tools.
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
    """Return nothing: the problems of an engine that looks no further."""
    return []


def never(_weights: str, _generates: bool) -> bool:  # noqa: FBT001
    """Return that an engine is not the usual one for anything."""
    return False


@dataclass(frozen=True, slots=True)
class Recipe:
    """An engine as the build side knows it."""

    name: str
    """The engine's name in ``runtime.engine``."""
    worker: str
    """Dotted path of its worker, ``package.module:Class``; written into the lock."""
    hyperparameters: Mapping[Task, type[BaseModel]]
    """The typed hyperparameters of each task it can do; the first task is its default."""
    settings: type[BaseModel]
    """Its typed flags."""
    requirements: tuple[str, ...]
    """The Python packages that its worker imports, whatever its task."""
    excludes: tuple[str, ...]
    """Dependencies of those that the worker never imports, left out of the image."""
    environment: Mapping[str, str]
    """Environment variables of its worker: telemetry off, among others."""
    formats: frozenset[str]
    """The weight formats that it reads."""
    memory_factor: float
    """Memory that the weights take once loaded, as a multiple of their bytes."""
    memory_bytes: int
    """Memory that the engine itself takes, measured."""
    features: Callable[[Task, Values, Values], frozenset[Feature]] = no_features
    """What it can do for a task with these hyperparameters and settings."""
    task_requirements: Mapping[Task, tuple[str, ...]] = field(default_factory=dict)
    """The packages that it imports for one task beside those."""
    demand: Callable[[Use], Demand | None] = no_demand
    """What decides about its memory, by its flags."""
    computes_in: Dtype | None = None
    """The type that it computes in unless a flag says another; None: that of the weights."""
    traits: EngineTraits = field(default_factory=EngineTraits)
    """What others ask of it, in the image too."""
    is_usual_for: Callable[[str, bool], bool] = never
    """Whether it usually serves models whose weights have a format, and that generate text or not:
    it is then chosen where nothing names an engine."""
    published_models: PublishedModels | None = None
    """How a kit is written for a model that others published; None: it is not."""
    needs_weights: bool = True
    """Whether a kit without any file of weights is refused."""
    check: Callable[[LoadedKit, Values], list[Problem]] = no_problems
    """What it refuses of a kit whose parts are valid one by one, given its settings in full."""

    @property
    def new_kit(self) -> Traversable:
        """The templates of the kit that ``mealkit new`` writes: the folder ``new`` of its package.

        There need not be one.
        """
        package = self.worker.partition(":")[0].rpartition(".")[0]
        return files(package).joinpath("new")

    @property
    def default_task(self) -> Task:
        """The task of a kit that names none."""
        return next(iter(self.hyperparameters))

    def requirements_for(self, task: Task) -> tuple[str, ...]:
        """Return the Python packages that its worker imports for a task."""
        return (*self.requirements, *self.task_requirements.get(task, ()))

    def estimated_memory_bytes(self, weights_bytes: int) -> int:
        """Estimate the memory of the whole container: gateway, engine and weights."""
        return int(weights_bytes * self.memory_factor) + self.memory_bytes
