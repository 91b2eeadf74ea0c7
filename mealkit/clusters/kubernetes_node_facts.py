"""Turns a node of a cluster into facts about a machine, from its status and its labels.

GPUs are described by the labels of NVIDIA's gpu-feature-discovery, processors by those of Node
Feature Discovery. What no label says stays unknown. No I/O.

https://github.com/NVIDIA/k8s-device-plugin/blob/main/docs/gpu-feature-discovery/README.md
https://kubernetes-sigs.github.io/node-feature-discovery/stable/usage/features.html
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from mealkit.clusters.kubernetes_quantity import quantity_of
from mealkit.clusters.kubernetes_views import Node, Pod
from mealkit.names import one_line
from mealkit.preflight.amd import Amd, AmdGpu
from mealkit.preflight.cpu import Cpu
from mealkit.preflight.disk import Disk, SharedMemory
from mealkit.preflight.facts import Facts
from mealkit.preflight.nvidia import Access, Nvidia, NvidiaGpu, Slice
from mealkit.preflight.toolkit import Toolkit
from mealkit.preflight.ulimits import Ulimits

GPU = "nvidia.com/gpu"
_AMD_GPU = "amd.com/gpu"
_CPUID = "feature.node.kubernetes.io/cpu-cpuid."
_MOST_GPUS = 64
_NOT_SAID = "no label of the node says it"

# Names of Node Feature Discovery, with Linux's. It leaves out those that every processor with AVX2
# has, so that AVX2 stands for them too.
_FEATURES: Mapping[str, tuple[str, ...]] = {
    "AVX": ("avx", "sse4_2"),
    "AVX2": ("avx2", "avx", "sse4_2", "f16c"),
    "FMA3": ("fma",),
    "AVXVNNI": ("avx_vnni",),
    "AVX512F": ("avx512f",),
    "AVX512BW": ("avx512bw",),
    "AVX512DQ": ("avx512dq",),
    "AVX512VL": ("avx512vl",),
    "AVX512VNNI": ("avx512_vnni",),
    "AVX512BF16": ("avx512_bf16",),
    "AVX512FP16": ("avx512_fp16",),
    "AMXTILE": ("amx_tile",),
    "AMXINT8": ("amx_int8",),
    "AMXBF16": ("amx_bf16",),
    "ASIMD": ("asimd",),
    "ASIMDHP": ("asimdhp",),
    "ASIMDDP": ("asimddp",),
    "SVE": ("sve",),
}


@dataclass(frozen=True, slots=True)
class Free:
    """How much of a node's resource there is, and how much no pod has requested."""

    total: Decimal
    free: Decimal


def free_of(node: Node, pods: Iterable[Pod]) -> dict[str, Free]:
    """Return the resources of a node by name: cpu, memory, ephemeral-storage, nvidia.com/gpu."""
    used: dict[str, Decimal] = {}
    for pod in pods:
        for name, amount in requests_of(pod).items():
            used[name] = used.get(name, Decimal(0)) + amount
    totals = {name: quantity_of(value) for name, value in node.status.allocatable.items()}
    return {
        name: Free(total, max(Decimal(0), total - used.get(name, Decimal(0))))
        for name, total in totals.items()
        if total is not None
    }


def requests_of(pod: Pod) -> dict[str, Decimal]:
    """Return what a pod requests, as the scheduler counts: its start may need more than its work.

    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    work: dict[str, Decimal] = {}
    start: dict[str, Decimal] = {}
    for container in pod.spec.containers:
        _add(work, container.resources.requests)
    for container in pod.spec.init_containers:
        if container.restart == "Always":  # it runs beside the others
            _add(work, container.resources.requests)
            continue
        for name, value in container.resources.requests.items():
            start[name] = max(start.get(name, Decimal(0)), quantity_of(value) or Decimal(0))
    found = {
        name: max(work.get(name, Decimal(0)), start.get(name, Decimal(0)))
        for name in {*work, *start}
    }
    _add(found, pod.spec.overhead)
    return found


def _add(sums: dict[str, Decimal], stated: Mapping[str, str | float]) -> None:
    for name, value in stated.items():
        sums[name] = sums.get(name, Decimal(0)) + (quantity_of(value) or Decimal(0))


def node_facts(node: Node, free: Mapping[str, Free]) -> Facts:
    """Return the facts that a node's status and labels state, with every GPU of it.

    Memory and disk are what the node has for pods; what other pods have requested is not available.
    """
    info, labels = node.status.info, node.metadata.labels
    memory, disk = free.get("memory"), free.get("ephemeral-storage")
    unread = "a node does not report it"
    path = Path("/var/lib/kubelet")
    return Facts(
        host=one_line(node.metadata.name),
        architecture=one_line(info.architecture),
        kernel=one_line(info.kernel),
        cpu=_cpu(labels, free.get("cpu")),
        memory_total_bytes=int(memory.total) if memory else None,
        memory_available_bytes=int(memory.free) if memory else None,
        memory_limit_bytes=None,
        shm=SharedMemory(total_bytes=None, free_bytes=None, unknown={"total_bytes": unread}),
        disks=(Disk(path=path, free_bytes=int(disk.free), total_bytes=int(disk.total)),)
        if disk
        else (),
        ulimits=Ulimits(memlock_bytes=None, open_files=None, stack_bytes=None),
        gpu_devices=(),
        nvidia=_nvidia(labels, free),
        amd=_amd(free),
        toolkit=Toolkit(programs={}, cdi=()),
        clients=(),
    )


def _cpu(labels: Mapping[str, str], cpus: Free | None) -> Cpu:
    named = [key.removeprefix(_CPUID) for key in labels if key.startswith(_CPUID)]
    found = {feature for name in named for feature in _FEATURES.get(name, ())}
    unknown = {} if named else {"features": _NOT_SAID}
    return Cpu(
        model=None,
        features=tuple(sorted(found)),
        count=int(cpus.total) if cpus else None,
        limit=None,
        unknown={**unknown, "model": _NOT_SAID},
    )


def _nvidia(labels: Mapping[str, str], free: Mapping[str, Free]) -> Nvidia:
    driver = _driver(labels)
    parts = _mig_parts(free)
    whole = free.get(GPU)
    count = min(int(whole.total), _MOST_GPUS) if whole else 0
    if not count and not parts:
        return Nvidia(access=Access.NO_LIBRARY, reason=None, driver=driver, count=0)
    is_named = f"{GPU}.product" in labels or f"{GPU}.memory" in labels
    gpus = [_gpu(index, labels) for index in range(count)] if is_named else []
    if parts:
        gpus.append(_divided(len(gpus), labels, parts))
    return Nvidia(
        access=Access.OK,
        reason=None,
        driver=driver,
        cuda=_pair(labels, "nvidia.com/cuda.runtime"),
        libcuda=True if driver else None,
        count=count + bool(parts),
        gpus=tuple(gpus),
        unknown={} if is_named or not count else {"gpus": _NOT_SAID},
    )


def _gpu(index: int, labels: Mapping[str, str]) -> NvidiaGpu:
    mebibytes = _number(labels.get(f"{GPU}.memory"))
    size = mebibytes * 2**20 if mebibytes is not None else None
    product = one_line(labels.get(f"{GPU}.product", "")) or None
    capability = _pair(labels, f"{GPU}.compute")
    gpu = NvidiaGpu(index=index, lost=False, name=product, compute_capability=capability)
    if product and "-MIG-" in product:  # the strategy `single`: every slice counts as a GPU
        parts = (_slice(0, product, size),)
        return gpu.model_copy(update={"mig_enabled": True, "slices": parts})
    unknown = {} if size is not None else {"memory_total_bytes": _NOT_SAID}
    # The scheduler gives a whole GPU to one pod, unless its operator lets pods share it.
    replicas = _number(labels.get(f"{GPU}.replicas")) or 1
    shared = size is not None and replicas > 1
    if shared:
        unknown = {"memory_free_bytes": f"{replicas} pods share the GPU"}
    return gpu.model_copy(
        update={
            "mig_enabled": False,
            "memory_total_bytes": size,
            "memory_free_bytes": None if shared else size,
            "unknown": unknown,
        }
    )


def _divided(index: int, labels: Mapping[str, str], parts: Mapping[str, int]) -> NvidiaGpu:
    """Return one GPU that stands for all MIG slices of a node (the strategy `mixed`)."""
    slices: list[Slice] = []
    for name, count in parts.items():
        mebibytes = _number(labels.get(f"nvidia.com/{name}.memory"))
        size = mebibytes * 2**20 if mebibytes is not None else _stated_size(name)
        slices += [_slice(number, f"nvidia.com/{name}", size) for number in range(count)]
    return NvidiaGpu(
        index=index,
        lost=False,
        name=one_line(labels.get(f"{GPU}.product", "")) or None,
        compute_capability=_pair(labels, f"{GPU}.compute"),
        mig_enabled=True,
        slices=tuple(slices[:_MOST_GPUS]),
    )


def _slice(index: int, name: str, size_bytes: int | None) -> Slice:
    return Slice(
        index=index,
        name=name,
        uuid=None,
        compute_slices=None,
        gpu_slices=None,
        multiprocessors=None,
        memory_total_bytes=size_bytes,
        memory_free_bytes=size_bytes,
    )


def _mig_parts(free: Mapping[str, Free]) -> dict[str, int]:
    prefix = "nvidia.com/"
    return {
        name.removeprefix(prefix): min(int(amount.total), _MOST_GPUS)
        for name, amount in sorted(free.items())
        if name.startswith(f"{prefix}mig-") and amount.total
    }


def _stated_size(name: str) -> int | None:
    found = re.fullmatch(r"mig-\d+g\.(\d{1,4})gb.*", name)
    return int(found[1]) * 2**30 if found else None


def _amd(free: Mapping[str, Free]) -> Amd:
    gpus = free.get(_AMD_GPU)
    count = min(int(gpus.total), _MOST_GPUS) if gpus else 0
    unknown = {"memory_total_bytes": _NOT_SAID, "target": _NOT_SAID}
    found = (
        AmdGpu(
            node=index,
            target=None,
            memory_total_bytes=None,
            memory_used_bytes=None,
            unknown=unknown,
        )
        for index in range(count)
    )
    return Amd(kfd=count > 0, gpus=tuple(found))


def _driver(labels: Mapping[str, str]) -> str | None:
    full = labels.get("nvidia.com/cuda.driver-version.full")
    parts = [labels.get(f"nvidia.com/cuda.driver.{part}", "") for part in ("major", "minor", "rev")]
    text = full or ".".join(part for part in parts if part)
    return text if re.fullmatch(r"\d{3,4}(\.\d{1,4}){0,3}", text) else None


def _pair(labels: Mapping[str, str], prefix: str) -> tuple[int, int] | None:
    full = labels.get(f"{prefix}-version.full", "")
    found = re.match(r"(\d{1,3})\.(\d{1,3})", full)
    if found:
        return int(found[1]), int(found[2])
    major, minor = _number(labels.get(f"{prefix}.major")), _number(labels.get(f"{prefix}.minor"))
    return (major, minor) if major is not None and minor is not None else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
