"""What the rest of mealkit asks of an engine, as a value: each engine's folder states its own.

Ships in the image: the gateway and the preflight ask by trait, and know no engine by its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mealkit.errors import Problem
from mealkit.memory.setting import EngineMemory
from mealkit.recipe.requirements import Dtype

Capability = tuple[int, int]


def no_meaning(_message: str, _status: int) -> Problem | None:
    """Return None: the meaning of an error in an engine that has no server of its own."""
    return None


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """What an engine is like; without arguments, one of which nothing is known."""

    memory: EngineMemory | None = None
    """How it takes memory; None: nothing can be estimated."""
    runs_kit_code: bool = True
    """Whether its process runs code that the kit brings: its word then blames only the kit."""

    least_capability: Capability | None = None
    """The oldest NVIDIA GPU that it computes on; None: any."""
    quantisation_capabilities: Mapping[str, Capability] = field(default_factory=dict)
    """The oldest GPU for weights that are quantised in a way, by its name in config.json."""
    refused_dtypes: frozenset[Dtype] = frozenset()
    """Types that it refuses on GPUs without hardware for them; others it computes more slowly."""
    hardware_source: str = ""
    """Where these limits are written down."""

    shortens_answers: bool = False
    """Whether it shortens an answer that does not fit the context, and says nothing."""
    metrics_prefix: str | None = None
    """How its own metrics begin; None: it has none."""
    error_meaning: Callable[[str, int], Problem | None] = no_meaning
    """What a message of its server and the status mean, where the status alone does not say."""


def engine_package(name: str) -> str:
    """Return the package of an engine that comes with mealkit: llama-cpp is in ``llama_cpp``."""
    return f"mealkit.engines.{name.replace('-', '_')}"
