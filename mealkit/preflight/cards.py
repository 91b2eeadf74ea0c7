"""Known GPUs: the memory that a program can use on each, and their compute capability.

Usable memory is the total of nvidia-smi, if known, minus 1 % that CUDA reserves (vLLM logs 79.22 of
79.65 GiB on an H100); otherwise 97 % of the size in the data sheet.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.errors import failure

MIB = 2**20
_REPORTED, _DATA_SHEET = 0.99, 0.97
_GB = 2**30


@dataclass(frozen=True, slots=True)
class Card:
    """A model of GPU."""

    name: str
    memory_bytes: int
    """The memory that programs can use on an idle card."""
    compute_capability: tuple[int, int]
    source: str


def _reported(name: str, mebibytes: int, capability: tuple[int, int]) -> Card:
    size = int(mebibytes * MIB * _REPORTED)
    return Card(name, size, capability, f"99 % of {mebibytes} MiB, memory.total of nvidia-smi")


def _stated(name: str, gigabytes: int, capability: tuple[int, int]) -> Card:
    size = int(gigabytes * _GB * _DATA_SHEET)
    return Card(name, size, capability, f"97 % of {gigabytes} GB, NVIDIA's data sheet")


# Compute capabilities: https://developer.nvidia.com/cuda-gpus
CARDS: Sequence[Card] = (
    _reported("P100 16GB", 16280, (6, 0)),
    _reported("V100 16GB", 16160, (7, 0)),
    _reported("V100 32GB", 32510, (7, 0)),
    _reported("T4", 15360, (7, 5)),
    _reported("RTX 2080 Ti", 11264, (7, 5)),
    _reported("RTX 3060", 12288, (8, 6)),
    _reported("RTX 3080", 10240, (8, 6)),
    _reported("RTX 3090", 24576, (8, 6)),
    _reported("A10", 23028, (8, 6)),
    _reported("A10G", 23028, (8, 6)),
    _stated("A30", 24, (8, 0)),
    _reported("A40", 46068, (8, 6)),
    _reported("A100 40GB", 40960, (8, 0)),
    _reported("A100 80GB", 81920, (8, 0)),
    _reported("RTX A4000", 16376, (8, 6)),
    _reported("RTX A6000", 49140, (8, 6)),
    _reported("RTX 4060 Ti 16GB", 16380, (8, 9)),
    _reported("RTX 4070 Ti", 12282, (8, 9)),
    _reported("RTX 4080", 16376, (8, 9)),
    _reported("RTX 4090", 24564, (8, 9)),
    _reported("RTX 6000 Ada", 49140, (8, 9)),
    _reported("L4", 23034, (8, 9)),
    _reported("L40S", 46068, (8, 9)),
    _reported("H100 80GB", 81559, (9, 0)),
    _reported("H100 NVL", 95830, (9, 0)),
    _reported("H20", 97871, (9, 0)),
    _reported("H200", 143771, (9, 0)),
    _stated("B200", 180, (10, 0)),
    _reported("RTX 5080", 16303, (12, 0)),
    _reported("RTX 5090", 32607, (12, 0)),
    _stated("RTX PRO 6000 Blackwell", 96, (12, 0)),
)


def card_of(name: str) -> Card:
    """Return the card with this name; ignores spaces, hyphens, case and the maker's name.

    Raises:
        PreflightError: no card matches, or several do (``ESTIMATE_UNKNOWN``).
    """
    wanted = _plain(name)
    exact = [card for card in CARDS if _plain(card.name) == wanted]
    close = exact or [card for card in CARDS if wanted and wanted in _plain(card.name)]
    if len(close) == 1:
        return close[0]
    names = ", ".join(card.name for card in (close or CARDS))
    raise failure(
        "ESTIMATE_UNKNOWN",
        f"{'several GPUs match' if close else 'no known GPU matches'} the name {name!r}",
        hint=f"use --memory, or one of {names}",
    )


def _plain(name: str) -> str:
    return re.sub(r"nvidia|geforce|tesla|[^a-z0-9]", "", name.lower())
