"""Checks whether a kit states less memory or disk space than it certainly needs. No I/O.

Only what is certain is a problem: what an engine needs beyond that, its own estimate says.
"""

from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.kit.document import Path
from mealkit.lock.claim_check import Where
from mealkit.recipe.kit import Kit
from mealkit.recipe.requirements import Requirements
from mealkit.units import parse_size, show_size

# A gateway with nothing to do has 42 MiB of its own on Python 3.13, without the pages of files, and
# the worker's Python needs more than the rest: with 48 MiB, a kit of numpy alone does not start.
LEAST_MEMORY_BYTES = 48 * 1024 * 1024

_MEMORY: Path = ("hardware", "memory")


def hardware_problems(kit: Kit, where: Where) -> list[Problem]:
    """Return the problem of a kit's memory; ``where`` returns the line of a field."""
    stated = kit.hardware.memory
    if stated == "auto" or parse_size(stated) >= LEAST_MEMORY_BYTES:
        return []
    return [
        problem(
            "KIT_HARDWARE",
            "hardware.memory is below what Python needs for the gateway alone, without the engine",
            where=where(_MEMORY),
            measured=f"{show_size(parse_size(stated))} stated",
            required=f"at least {show_size(LEAST_MEMORY_BYTES)}, and what the engine needs",
            hint="delete the line: mealkit lock then estimates the memory from the engine and the"
            " weights",
        )
    ]


def require_disk(kit: Kit, needs: Requirements, packed_bytes: int) -> None:
    """Compare the disk space that a kit states with the bytes that its image has at least.

    ``packed_bytes`` is the size of the image's packages before they are unpacked.

    Raises:
        KitError: ``KIT_HARDWARE``: the image cannot be that small.
    """
    least_bytes = needs.weights_bytes + packed_bytes
    if kit.hardware.disk != "auto" and needs.disk_bytes < least_bytes:
        raise _disk(needs.disk_bytes, least_bytes)


def _disk(stated_bytes: int, least_bytes: int) -> MealkitError:
    return failure(
        "KIT_HARDWARE",
        "hardware.disk is below the size of the kit's weights and packages",
        where="hardware.disk",
        measured=f"{show_size(stated_bytes)} stated",
        required=f"at least {show_size(least_bytes)}",
        hint="delete the line: mealkit lock then adds it up",
    )
