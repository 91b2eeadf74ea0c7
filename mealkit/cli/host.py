"""mealkit host: describe this machine: processor, memory, disks, container clients, GPUs."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, table

if TYPE_CHECKING:
    from mealkit.preflight.fact import Fact
    from mealkit.preflight.facts import Facts
    from mealkit.preflight.nvidia import Memory, Nvidia, NvidiaGpu

EXAMPLES = ("mealkit host", "mealkit host --json > server-7.json")

# The start of NVML's reason for a fact that the part does not have, which is not an error.
_LACKS = "Not Supported"
_FEW = 4


def host(context: typer.Context, *, as_json: Json = False) -> None:
    """Show this machine: processor, memory, disks, GPUs, containers.

    The facts that --json prints are input for mealkit preflight --host, also on another machine.
    """
    from mealkit.pipeline.machine.machine_facts import host_facts

    facts = host_facts(session_of(context).home)
    if as_json:
        print_json(facts.model_dump(mode="json"))
        return
    for line in describe(facts):
        print_line(line)


def describe(facts: "Facts") -> Iterator[str]:
    """Yield the lines of the description."""
    yield from _machine(facts)
    yield ""
    disks = [
        (str(disk.path), _size(disk.free_bytes), _size(disk.total_bytes)) for disk in facts.disks
    ]
    yield from table(("path", "free", "total"), disks, frozenset({1, 2}))
    if facts.clients:
        yield ""
        rows = [
            (item.name, item.version or "-", item.problem or ", ".join(item.runtimes) or "works")
            for item in facts.clients
        ]
        yield from table(("client", "version", "runtimes"), rows, frozenset())
    yield ""
    yield from _nvidia(facts)
    yield from _amd(facts)
    yield from _gaps(facts)


def _machine(facts: "Facts") -> Iterator[str]:
    cpu, limits = facts.cpu, facts.ulimits
    yield f"host      {facts.host}, Linux {facts.kernel}, {facts.architecture}"
    allowed = "" if cpu.limit is None else f", {cpu.limit:g} allowed by the cgroup"
    yield f"cpu       {cpu.model or 'unknown'}: {cpu.count or 'unknown'} processors{allowed}"
    yield f"          {' '.join(cpu.features) or 'no features known'}"
    total, free = _size(facts.memory_total_bytes), _size(facts.memory_available_bytes)
    limit = facts.memory_limit_bytes
    allowed = "" if limit is None else f", {_size(limit)} allowed by the cgroup"
    yield f"memory    {free} available of {total}{allowed}"
    yield f"shm       {_size(facts.shm.free_bytes)} free of {_size(facts.shm.total_bytes)}"
    files = "unlimited" if limits.open_files is None else limits.open_files
    memlock, stack = _limit(limits.memlock_bytes), _limit(limits.stack_bytes)
    yield f"ulimits   memlock {memlock}, stack {stack}, open files {files}"


def _nvidia(facts: "Facts") -> Iterator[str]:
    nvidia = facts.nvidia
    yield f"nvidia    {_driver(nvidia)}"
    yield from (f"toolkit   {name}: {path}" for name, path in facts.toolkit.programs.items())
    yield from (f"cdi       {spec.kind or 'unknown'}: {spec.path}" for spec in facts.toolkit.cdi)
    if not nvidia.gpus:
        return
    yield ""
    heads = ("gpu", "name", "capability", "free", "total", "notes")
    rows: list[tuple[str, ...]] = []
    for gpu in nvidia.gpus:
        capability = ".".join(str(number) for number in gpu.compute_capability or ("unknown",))
        rows.append(
            (str(gpu.index), gpu.name or "unknown", capability, *_room(gpu), ", ".join(_notes(gpu)))
        )
        rows += [
            (f"{gpu.index}.{part.index}", part.name or "unknown", "", *_room(part), part.uuid or "")
            for part in gpu.slices
        ]
    yield from table(heads, rows, frozenset({3, 4}))
    held = [
        (str(gpu.index), str(item.pid), item.name or "not visible", _size(item.memory_bytes))
        for gpu in nvidia.gpus
        for item in gpu.processes
    ]
    if held:
        yield ""
        yield from table(("gpu", "process", "program", "uses"), held, frozenset({3}))


def _driver(nvidia: "Nvidia") -> str:
    words = []
    if nvidia.driver:
        words.append(f"driver {nvidia.driver}")
    if nvidia.cuda:
        words.append(f"CUDA {nvidia.cuda[0]}.{nvidia.cuda[1]}")
    if nvidia.library:
        words.append(f"NVML {nvidia.library}")
    if nvidia.libcuda is False:
        words.append("libcuda is missing")
    if nvidia.reason:
        words.append(f"{nvidia.access.value} ({nvidia.reason})")
    return ", ".join(words)


def _notes(gpu: "NvidiaGpu") -> Iterator[str]:
    notes: Sequence[tuple[str, object]] = (
        ("fell off the bus", gpu.lost),
        ("uses the machine's memory", gpu.unified_memory),
        ("MIG", gpu.mig_enabled),
        (f"{gpu.ecc_uncorrected} uncorrectable memory errors", gpu.ecc_uncorrected),
        (
            "bad memory is replaced at the next reset",
            gpu.remap_pending or gpu.retired_pages_pending,
        ),
        ("bad memory cannot be replaced", gpu.remap_failed),
        (f"slowed by {', '.join(gpu.slowed_by or ())}", gpu.slowed_by),
    )
    yield from (text for text, applies in notes if applies)


def _amd(facts: "Facts") -> Iterator[str]:
    if not facts.amd.gpus:
        return
    rows = [
        (
            str(gpu.node),
            gpu.target or "unknown",
            _size(gpu.memory_used_bytes),
            _size(gpu.memory_total_bytes),
        )
        for gpu in facts.amd.gpus
    ]
    device = "" if facts.amd.kfd else " (no /dev/kfd: programs here cannot use them)"
    yield from ("", f"amd       {len(rows)} GPUs{device}", "")
    yield from table(("node", "target", "used", "total"), rows, frozenset({2, 3}))


def _gaps(facts: "Facts") -> Iterator[str]:
    """Name the facts that could not be read, except those that a part does not have."""
    parts: list[tuple[str, Fact]] = [
        ("", facts),
        ("cpu ", facts.cpu),
        ("shm ", facts.shm),
        ("nvidia ", facts.nvidia),
        ("amd ", facts.amd),
        ("toolkit ", facts.toolkit),
    ]
    parts += [(f"{disk.path} ", disk) for disk in facts.disks]
    parts += [(f"gpu {gpu.index} ", gpu) for gpu in facts.nvidia.gpus]
    parts += [(f"amd {gpu.node} ", gpu) for gpu in facts.amd.gpus]
    rows = []
    for name, part in parts:
        reasons: dict[str, list[str]] = {}
        for field, reason in part.unknown.items():
            if not reason.startswith(_LACKS):
                reasons.setdefault(reason, []).append(field)
        for reason, fields in reasons.items():
            what = ", ".join(fields) if len(fields) <= _FEW else f"({len(fields)} facts)"
            rows.append((f"{name}{what}", reason))
    if rows:
        yield ""
        yield from table(("unknown", "why"), rows, frozenset())


def _room(memory: "Memory") -> tuple[str, str]:
    return _size(memory.memory_free_bytes), _size(memory.memory_total_bytes)


def _limit(size_bytes: int | None) -> str:
    return "unlimited" if size_bytes is None else _size(size_bytes)


def _size(size_bytes: int | None) -> str:
    from mealkit.units import show_size

    return "unknown" if size_bytes is None else show_size(size_bytes)
