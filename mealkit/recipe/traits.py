"""The traits of an engine that the rest of mealkit needs, as a value; each engine states its own.

Ships in the image: the gateway and the preflight use traits and never an engine's name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mealkit.errors import Problem
from mealkit.memory.setting import EngineMemory
from mealkit.recipe.requirements import Dtype

Capability = tuple[int, int]


def no_meaning(_message: str, _status: int) -> Problem | None:
    """Return None: the default for engines without a server of their own."""
    return None


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """The traits of an engine; the defaults are those of an unknown engine."""

    memory: EngineMemory | None = None
    """The engine's use of memory; None: it cannot be estimated."""
    runs_kit_code: bool = True
    """Whether its process runs code from the kit: its errors then blame only the kit."""

    instruction_sets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What its build for processors needs of them, by Go's name of the architecture, in Linux's
    names: ``{"amd64": {"avx2"}}``."""
    least_capability: Capability | None = None
    """The minimum compute capability of NVIDIA GPUs; None: any."""
    quantisation_capabilities: Mapping[str, Capability] = field(default_factory=dict)
    """The minimum compute capability for quantised weights, by the method's name in config.json."""
    refused_dtypes: frozenset[Dtype] = frozenset()
    """Types that it rejects on GPUs without hardware for them; it computes others more slowly."""
    hardware_source: str = ""
    """Where these limits are documented."""

    renders_chats: bool = False
    """Whether a server of its own renders the chat template, so that the gateway must see to it
    that no message gets lost."""
    requires_room: bool = False
    """Whether it may refuse a ``max_tokens`` that does not fit: the gateway then lowers it."""
    binds_only_strict: bool = False
    """Whether a call that a request requires may have any arguments unless its function is strict:
    the gateway then asks for strict ones."""
    checks_tokens: bool = True
    """Whether it checks that tokens sent as a text's are its own tokenizer's."""
    metrics_prefix: str | None = None
    """The prefix of its own metrics; None: it has no metrics."""
    error_meaning: Callable[[str, int], Problem | None] = no_meaning
    """Returns the meaning of a server's error message and status, if the status is not enough."""


def engine_package(name: str) -> str:
    """Return the package of an engine that comes with mealkit: ``llama_cpp`` for llama-cpp."""
    return f"mealkit.engines.{name.replace('-', '_')}"
