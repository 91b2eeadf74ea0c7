"""Reads the processor: its model, its number, and the instruction sets that engines use."""

import os
import platform
import re

from mealkit.preflight.cgroup import cpu_limit
from mealkit.preflight.fact import Fact
from mealkit.preflight.roots import Roots, read_text, why_unreadable

# Python's names for processor architectures, with Go's (and so OCI's) names.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# An entry of binfmt_misc for programs of another architecture: the magic is a 64-bit ELF header up
# to e_machine, in hexadecimal. With the flag F the kernel keeps the emulator open, so it also runs
# programs in containers, which do not contain it (admin-guide/binfmt-misc.rst).
_EMULATOR = re.compile(
    r"enabled\n.*\nflags: \w*F.*\nmagic 7f454c4602[0-9a-f]{26}([0-9a-f]{4})\n", re.DOTALL
)
_ELF_MACHINES = {"3e00": "amd64", "b700": "arm64"}

# Linux's names (arch/x86/include/asm/cpufeatures.h, arch/arm64/include/uapi/asm/hwcap.h) for the
# features that llama.cpp, onnxruntime and oneDNN check.
_FEATURES = re.compile(
    r"sse4_2|f16c|fma|avx|avx2|avx_vnni|avx512(f|bw|dq|vl|_vnni|_bf16|_fp16)"
    r"|amx_(tile|int8|bf16|fp16)|asimd(hp|dp)?|i8mm|bf16|sve|sve2|sme"
)


class Cpu(Fact):
    """The processors that this process can use."""

    model: str | None
    """The processor's own name."""
    features: tuple[str, ...]
    """The instruction sets that inference engines check, by Linux's names."""
    count: int | None
    """The number of logical processors that this process may run on."""
    limit: float | None
    """The cgroup's CPU limit, in number of processors; None: no limit found."""


def architecture(machine: str | None = None) -> str:
    """Return Go's name for a processor architecture, from Python's name or for this machine."""
    machine = machine or platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def read_emulated(roots: Roots) -> tuple[str, ...]:
    """Return the other architectures whose programs the kernel starts with an emulator."""
    folder = roots.proc / "sys/fs/binfmt_misc"
    try:
        entries = [read_text(path) for path in folder.iterdir()]
    except OSError:
        return ()
    found = {match[1] for entry in entries if (match := _EMULATOR.match(entry))}
    return tuple(sorted(_ELF_MACHINES[machine] for machine in found & _ELF_MACHINES.keys()))


def read_cpu(roots: Roots) -> Cpu:
    """Read the processors."""
    path = roots.proc / "cpuinfo"
    text = read_text(path)
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    unknown = {}
    if not model:
        unknown["model"] = why_unreadable(path)
    if not flags:
        unknown["features"] = why_unreadable(path)
    return Cpu(
        model=model[1].strip() if model else None,
        features=tuple(
            sorted(flag for flag in flags[1].split() if _FEATURES.fullmatch(flag)) if flags else ()
        ),
        count=len(os.sched_getaffinity(0)),
        limit=cpu_limit(roots),
        unknown=unknown,
    )
