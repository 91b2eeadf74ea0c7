"""The processor: its architecture, model and instruction sets."""

import os

import pytest


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_architecture_in_gos_names(tree, machine, name):
    """Architectures have the names that images use."""
    assert tree({}, machine=machine).architecture == name


def test_processors(tree):
    """The model and the instructions that engines look for are told, on Intel's and on Arm's."""
    flags = "fpu sse4_2 avx avx2 fma avx512f avx512_vnni amx_tile amx_int8 md_clear avx512_other"
    text = f"processor\t: 0\nmodel name\t: Intel(R) Xeon(R) 8481C\nflags\t\t: {flags}\n"
    cpu = tree({"proc/cpuinfo": text}).cpu
    assert cpu.model == "Intel(R) Xeon(R) 8481C"
    found = ("amx_int8", "amx_tile", "avx", "avx2", "avx512_vnni", "avx512f", "fma", "sse4_2")
    assert (cpu.features, cpu.unknown) == (found, {})
    assert cpu.count == len(os.sched_getaffinity(0))
    arm = tree({"proc/cpuinfo": "processor : 0\nFeatures : fp asimd sve i8mm\nCPU part : 0xd85\n"})
    assert arm.cpu.features == ("asimd", "i8mm", "sve")
    assert list(arm.cpu.unknown) == ["model"]


# Entries of binfmt_misc, as the kernel shows those that Debian's qemu-user-static registers.
ENTRY = "{state}\ninterpreter /usr/libexec/qemu\nflags: {flags}\noffset 0\nmagic {magic}\nmask ff\n"
MAGIC = "7f454c460201010000000000000000000200"


@pytest.mark.parametrize(
    ("state", "flags", "magic", "expected"),
    [
        ("enabled", "POF", f"{MAGIC}b700", ("arm64",)),
        ("enabled", "F", f"{MAGIC}3e00", ("amd64",)),
        ("disabled", "POF", f"{MAGIC}b700", ()),
        # Without F, the emulator would have to be in the container.
        ("enabled", "PO", f"{MAGIC}b700", ()),
        ("enabled", "POF", f"{MAGIC}f300", ()),
        ("enabled", "POF", "7f454c460102010000000000000000000002002b", ()),
    ],
)
def test_emulated_architectures(tree, state, flags, magic, expected):
    """Those with an emulator that is enabled and also runs programs in containers."""
    entry = ENTRY.format(state=state, flags=flags, magic=magic)
    folder = "proc/sys/fs/binfmt_misc"
    found = tree({f"{folder}/status": "enabled\n", f"{folder}/qemu": entry})
    assert found.emulated == expected
