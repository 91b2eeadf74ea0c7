"""Finds the CUDA version and the supported GPUs of locked wheels, by their names and versions.

A release that is not in the tables here is unknown; nothing is guessed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Cuda = tuple[int, int]

# PyTorch's nvidia-cuda-runtime-cu12 12.8.90, and since CUDA 13 nvidia-cuda-runtime 13.0.48.
_RUNTIME = re.compile(r"nvidia-cuda-runtime(-cu\d+)?")
# A local version, PEP 440: torch 2.7.0+cu128, vllm 0.9.2+cu126.
_LOCAL_CUDA = re.compile(r"\+(?:.*\.)?cu(\d{2})(\d)(?!\d)")

_BEFORE_BLACKWELL = ("5.0", "6.0", "7.0", "7.5", "8.0", "8.6", "9.0")
_FROM_VOLTA = ("7.0", "7.5", "8.0", "8.6", "9.0", "10.0", "12.0")
_FROM_TURING = ("7.5", "8.0", "8.6", "9.0", "10.0", "12.0")
_WITH_PTX = ("7.5", "8.0", "8.6", "9.0", "10.0", "12.0+PTX")
_ARM = ("8.0", "9.0")
_ARM_BLACKWELL = ("8.0", "9.0", "10.0", "11.0", "12.0+PTX")


@dataclass(frozen=True, slots=True)
class Builds:
    """Releases of a package that were built for the same GPUs."""

    package: str
    first: tuple[int, int]
    last: tuple[int, int]
    cuda: Cuda | None
    """The CUDA version that they were built with; None: any."""
    architecture: str
    capabilities: Sequence[str]


# PyTorch: RELEASE.md ("PyTorch CUDA Support Matrix") of each release, and what
# torch.cuda.get_arch_list() prints for those before it had one: 2.0 to 2.8. 2.8 got Volta back
# (pytorch/pytorch#157968), 2.11 dropped it again from CUDA 12.8.
# vLLM: docker/Dockerfile, torch_cuda_arch_list, from which its wheels are built.
BUILDS: Sequence[Builds] = (
    Builds("torch", (2, 0), (2, 0), (11, 7), "amd64", ("3.7", *_BEFORE_BLACKWELL[:-1])),
    Builds("torch", (2, 1), (2, 5), (12, 1), "amd64", _BEFORE_BLACKWELL),
    Builds("torch", (2, 4), (2, 6), (12, 4), "amd64", _BEFORE_BLACKWELL),
    Builds("torch", (2, 6), (2, 14), (12, 6), "amd64", _BEFORE_BLACKWELL),
    Builds("torch", (2, 7), (2, 7), (12, 8), "amd64", _WITH_PTX),
    Builds("torch", (2, 8), (2, 10), (12, 8), "amd64", _FROM_VOLTA),
    Builds("torch", (2, 11), (2, 11), (12, 8), "amd64", _FROM_TURING),
    Builds("torch", (2, 9), (2, 14), (13, 0), "amd64", _WITH_PTX),
    Builds("torch", (2, 12), (2, 14), (13, 2), "amd64", _WITH_PTX),
    Builds("torch", (2, 9), (2, 14), (12, 6), "arm64", _ARM),
    Builds("torch", (2, 11), (2, 11), (12, 8), "arm64", (*_ARM, "10.0", "12.0")),
    Builds("torch", (2, 11), (2, 14), (13, 0), "arm64", _ARM_BLACKWELL),
    Builds("torch", (2, 12), (2, 14), (13, 2), "arm64", _ARM_BLACKWELL),
    Builds("vllm", (0, 5), (0, 8), None, "amd64", ("7.0", "7.5", "8.0", "8.6", "8.9", "9.0+PTX")),
    Builds(
        "vllm", (0, 10), (0, 20), None, "amd64", ("7.0", "7.5", "8.0", "8.9", "9.0", "10.0", "12.0")
    ),
)

# Packages whose wheels contain code for GPUs, whether or not the table has their releases.
_GPU_PACKAGES = frozenset(
    {
        "auto-gptq",
        "autoawq-kernels",
        "bitsandbytes",
        "ctranslate2",
        "flash-attn",
        "onnxruntime-gpu",
        "sgl-kernel",
        "torch",
        "vllm",
        "xformers",
    }
)


def cuda_of(packages: Iterable[tuple[str, str]]) -> Cuda | None:
    """Return the newest CUDA version of packages (normalised name, version); None if unknown."""
    found: list[Cuda] = []
    for name, version in packages:
        local = _LOCAL_CUDA.search(version)
        if local:
            found.append((int(local[1]), int(local[2])))
        elif _RUNTIME.fullmatch(name) and (numbers := release_of(version)):
            found.append(numbers)
    return max(found, default=None)


def built_for(
    packages: Sequence[tuple[str, str]], architecture: str
) -> Mapping[str, tuple[str, ...] | None]:
    """Return for each package with GPU code the compute capabilities that it was built for.

    ``9.0`` means machine code for 9.0, which also runs on later GPUs of the same major number;
    ``+PTX`` means code that the driver compiles for any later GPU. None: not in the table.
    """
    cuda = cuda_of(packages)
    return {
        f"{name} {version}": _capabilities(name, version, cuda, architecture)
        for name, version in sorted(packages)
        if name in _GPU_PACKAGES and "+cpu" not in version
    }


def release_of(version: str) -> tuple[int, int] | None:
    """Return the first two numbers of a version."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def runs_on(capability: tuple[int, int], built: Iterable[str]) -> bool:
    """Return whether a package contains machine code for a GPU.

    Source: CUDA C++ programming guide, "Binary compatibility": code for X.y runs on X.z, z >= y;
    an ``a`` restricts it to its own GPU, an ``f`` to its family.
    """
    major, minor = capability
    for item in built:
        numbers, _, _ = item.partition("+")
        own = numbers.rstrip("af")
        of_major, of_minor = (int(part) for part in own.split("."))
        exact = numbers.endswith("a")
        if of_major == major and (of_minor == minor if exact else of_minor <= minor):
            return True
    return False


def compiles_on(capability: tuple[int, int], built: Iterable[str]) -> bool:
    """Return whether the driver can compile a package's PTX for a GPU ("PTX compatibility")."""
    return any(
        tuple(int(part) for part in item.removesuffix("+PTX").split(".")) <= capability
        for item in built
        if item.endswith("+PTX") and not item.removesuffix("+PTX").endswith(("a", "f"))
    )


def _capabilities(
    name: str, version: str, cuda: Cuda | None, architecture: str
) -> tuple[str, ...] | None:
    release = release_of(version)
    for known in BUILDS:
        same = (known.package, known.architecture) == (name, architecture)
        if same and release and known.first <= release <= known.last and known.cuda in {None, cuda}:
            return tuple(known.capabilities)
    return None
