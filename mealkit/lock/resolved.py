"""The inputs of a lock for one architecture, and what a machine must have to run them. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from mealkit.engines.demand import Use, dtypes_of, shared_memory_bytes
from mealkit.engines.engine import Recipe
from mealkit.lock.hardware_check import require_disk
from mealkit.lock.resolved_weights import Weights
from mealkit.memory.setting import Compared
from mealkit.recipe.claims import LockedDataset, travelling
from mealkit.recipe.cuda_builds import built_for, cuda_of
from mealkit.recipe.kit import Gpu, Kit
from mealkit.recipe.lock import LockedWheel
from mealkit.recipe.locked_base import LockedBase, LockedDebianBase
from mealkit.recipe.requirements import Demand, Requirements
from mealkit.units import parse_size


@dataclass(frozen=True, slots=True)
class Resolved:
    """Every input that was resolved."""

    base: LockedBase
    engine_packages: tuple[LockedWheel, ...]
    gateway_packages: tuple[LockedWheel, ...]
    weights: Weights
    datasets: Mapping[str, LockedDataset] = field(default_factory=dict)
    test_packages: tuple[LockedWheel, ...] = ()


def is_compiled(kit: Kit) -> bool:
    """Return whether the image contains bytecode."""
    if kit.runtime.bytecode is not None:
        return kit.runtime.bytecode
    base = kit.runtime.base
    # The build runs the Python in it, so its packages must be signed.
    return base.source == "debian" and not base.allow_unsigned


def stated_requirements(
    kit: Kit, recipe: Recipe, flags: Mapping[str, JsonValue], resolved: Resolved
) -> Requirements:
    """Return what a machine must have for a kit with these inputs; ``flags`` are the engine's.

    Raises:
        KitError: ``KIT_HARDWARE``: the kit states less disk space than its files have.
    """
    hardware = kit.hardware
    weights_bytes = sum(file.size_bytes for file in resolved.weights.files)
    wheels = (*resolved.engine_packages, *resolved.gateway_packages, *resolved.test_packages)
    packed = sum(wheel.size_bytes for wheel in wheels)
    data = travelling(resolved.datasets, tests_in_image=kit.tests_in_image)
    data_bytes = sum(file.size_bytes for item in data.values() for file in item.files)
    base = resolved.base
    packed += (
        sum(deb.size_bytes for deb in base.packages)
        if isinstance(base, LockedDebianBase)
        else base.size_bytes
    )
    # Wheels and Debian packages unpack to about three and a half times their size; with bytecode to
    # 3.6 to 4.6 times (measured on the example kits).
    unpacked = packed * 14 // 3 if is_compiled(kit) else packed * 7 // 2
    disk_bytes = weights_bytes + data_bytes + unpacked
    model = resolved.weights.shape.described
    packages = [(wheel.name, wheel.version) for wheel in resolved.engine_packages]
    use = Use(
        flags=flags,
        concurrency=kit.serving.max_concurrency,
        model=model,
        packages=dict(packages),
    )
    demand = recipe.demand(use)
    cuda = cuda_of(packages)
    needs = Requirements(
        architectures=hardware.architectures,
        gpu=hardware.gpu,
        memory_bytes=_memory_bytes(recipe, weights_bytes, hardware.gpu, use, demand)
        if hardware.memory == "auto"
        else parse_size(hardware.memory),
        disk_bytes=disk_bytes if hardware.disk == "auto" else parse_size(hardware.disk),
        weights_bytes=weights_bytes,
        port=kit.serving.port,
        model=model,
        demand=demand,
        dtypes=dtypes_of(use, recipe.computes_in),
        cuda=f"{cuda[0]}.{cuda[1]}" if cuda else None,
        built_for=built_for(packages, hardware.architectures[0].value),
        shm_bytes=shared_memory_bytes(demand),
    )
    require_disk(kit, needs, packed)
    return needs


def _memory_bytes(
    recipe: Recipe, weights_bytes: int, gpu: Gpu, use: Use, demand: Demand | None
) -> int:
    """Estimate the container's memory: by the engine's measured factor, or the model's own terms.

    The terms are for text on a CPU: the cache of a long context does not grow with the weights.
    """
    memory, model = recipe.traits.memory, use.model
    cache_bytes = demand.cache_space_bytes or 0 if demand else 0
    measured = recipe.estimated_memory_bytes(weights_bytes, use.flags) + cache_bytes
    if model and demand and memory and demand.cache_space_bytes is not None:
        # What was read of the weights' files counts as used when the cache is reserved.
        whole = memory.estimate(model, demand.setting(memory)).high_bytes
        return max(measured, weights_bytes + whole)
    if gpu is not Gpu.NONE or not model or not demand or not model.generates or not memory:
        return measured
    setting = replace(demand.setting(memory), compared=Compared.ALLOCATED)
    _, own_bytes = recipe.own_memory(use.flags)
    return max(measured, own_bytes + memory.estimate(model, setting).high_bytes)
