"""Decides whether a new revision fits beside the one that has the traffic, or that one stops first.

The preflight compares the kit with what the machine has free now, while the old revision runs, and
with what it would have free without it. Only if the old one makes the difference, it stops first.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mealkit.containers.container import Container
from mealkit.pipeline.machine.clients import ContainerClient
from mealkit.pipeline.machine.stated_needs import Stated
from mealkit.preflight.checks import host_memory, vram
from mealkit.preflight.devices import devices_of, first
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.preflight.fitting import fitting_of
from mealkit.preflight.nvidia import NvidiaGpu
from mealkit.recipe.kit import Gpu

_PROC = Path("/proc")
_CHECKS = (host_memory.CHECK, vram.CHECK)


@dataclass(frozen=True, slots=True)
class Use:
    """What a running revision uses."""

    host_bytes: int = 0
    gpu_bytes: Mapping[int, int] | None = None
    """The memory of GPUs, by the numbers of its processes."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a new revision starts."""

    facts: Facts
    """What the machine will have free when it starts."""
    reason: str | None
    """Why the old revision has to stop first, with the numbers; None: both fit."""

    @property
    def stops_first(self) -> bool:
        """Whether the old revision stops before the new one starts."""
        return self.reason is not None


def place(stated: Stated, facts: Facts, use: Use) -> Placement:
    """Return where a revision starts while another one has the traffic."""
    without = facts_without(facts, use)
    for check in _CHECKS:
        if check.of_gpus and stated.requirements.gpu is Gpu.NONE:
            continue
        now, then = (_finding(check, stated, found) for found in (facts, without))
        if now is None or then is None or now.severity is Severity.PASSES:
            continue
        is_short = check.of_gpus and _is_short(stated, facts, use)
        if then.severity is Severity.PASSES or (is_short and not _is_short(stated, without, use)):
            reason = (
                f"{now.message}: {now.measured}, required {now.required};"
                f" {then.measured} without the revision that runs"
            )
            return Placement(without, reason)
    return Placement(facts, None)


def facts_without(facts: Facts, use: Use) -> Facts:
    """Return the facts about the machine after a revision has ended."""
    available = facts.memory_available_bytes
    used = use.gpu_bytes or {}
    gpus = tuple(_gpu_without(gpu, used) for gpu in facts.nvidia.gpus)
    return facts.model_copy(
        update={
            "memory_available_bytes": None if available is None else available + use.host_bytes,
            "nvidia": facts.nvidia.model_copy(update={"gpus": gpus}),
        }
    )


def use_of(container: Container, client: ContainerClient, facts: Facts) -> Use:
    """Read what a container uses now; nothing, if its processes are not on this machine."""
    pids = _processes_of(container) if client.process(container.name) is not None else set()
    gpu_bytes = {
        item.pid: item.memory_bytes or 0
        for gpu in facts.nvidia.gpus
        for item in gpu.processes
        if item.pid in pids
    }
    return Use(sum(map(_own_bytes, pids)), gpu_bytes)


def _finding(check: Check, stated: Stated, facts: Facts) -> Finding | None:
    return check.look(facts, stated.requirements, Context(stated.engine))


def _is_short(stated: Stated, facts: Facts, use: Use) -> bool:
    """Return whether a GPU has less free than the engine takes at least.

    An engine whose memory cannot be estimated is taken to need as much as the one that runs.
    """
    requirements, devices = stated.requirements, devices_of(facts)
    fitting = fitting_of(requirements, stated.engine.memory, devices)
    for device in first(devices, requirements.gpus):
        free, total = device.free_bytes, device.total_bytes
        if free is None or total is None:
            continue
        if fitting is None:
            needed = sum((use.gpu_bytes or {}).values()) // max(1, requirements.gpus)
        else:
            needed = fitting.taken_bytes(total) if fitting.share else fitting.bare.low_bytes
        if free < needed:
            return True
    return False


def _gpu_without(gpu: NvidiaGpu, used: Mapping[int, int]) -> NvidiaGpu:
    freed = sum(item.memory_bytes or 0 for item in gpu.processes if item.pid in used)
    free = gpu.memory_free_bytes
    return gpu.model_copy(
        update={
            "memory_free_bytes": None if free is None else free + freed,
            "processes": tuple(item for item in gpu.processes if item.pid not in used),
        }
    )


def _processes_of(container: Container) -> Collection[int]:
    """Return the processes in a container's control group."""
    found = set()
    for folder in _PROC.iterdir():
        if folder.name.isdecimal() and _is_in(folder, container):
            found.add(int(folder.name))
    return found


def _is_in(folder: Path, container: Container) -> bool:
    try:
        groups = (folder / "cgroup").read_text()
    except OSError:
        return False
    return container.id in groups or container.name in groups


def _own_bytes(pid: int) -> int:
    """Return the memory that ends with a process; pages of files stay available."""
    try:
        text = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    found = re.search(r"^RssAnon:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
