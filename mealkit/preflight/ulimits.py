"""Reads the limits of this process. A container has its own, not its host's."""

import resource

from mealkit.preflight.fact import Fact


class Ulimits(Fact):
    """The soft limits, which apply now; None: no limit."""

    memlock_bytes: int | None
    """Memory that may be locked, as transfers to GPUs and over networks need."""
    open_files: int | None
    stack_bytes: int | None


def read_ulimits() -> Ulimits:
    """Read this process's limits."""
    return Ulimits(
        memlock_bytes=_soft(resource.RLIMIT_MEMLOCK),
        open_files=_soft(resource.RLIMIT_NOFILE),
        stack_bytes=_soft(resource.RLIMIT_STACK),
    )


def _soft(kind: int) -> int | None:
    limit = resource.getrlimit(kind)[0]
    return None if limit == resource.RLIM_INFINITY else limit
