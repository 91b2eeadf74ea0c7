"""Watches a revision after the traffic moved to it, and compares it with the one before."""

import time
from dataclasses import dataclass

from mealkit.containers.container import Container
from mealkit.deploy.deployment import Gate, GateResult
from mealkit.deploy.watch import Counts, WatchLimits, breach_of, passed
from mealkit.errors import Owner
from mealkit.pipeline.operate.revision_containers import Ground, target_of
from mealkit.pipeline.operate.traffic_front import counts_of

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the revision before answered until the traffic moved, and the new one until then."""

    before: Counts
    new: Counts


def baseline_of(old: Container, new: Container, ground: Ground) -> Baseline:
    """Read the counts at the moment at which the traffic moves."""
    front = ground.front
    before, now = front.totals(target_of(old)), front.totals(target_of(new))
    return Baseline(counts_of(before), counts_of(now))


def watch(new: Container, baseline: Baseline, limits: WatchLimits, ground: Ground) -> GateResult:
    """Watch for the whole period, or until the new revision is worse than allowed."""
    ground.progress.phase(f"watching {new.name} for {limits.seconds:g} s")
    deadline = time.monotonic() + limits.seconds
    while True:
        is_last = time.monotonic() >= deadline
        now = counts_of(ground.front.totals(target_of(new))).since(baseline.new)
        ended = _end_of(ground.client.state(new.name))
        if ended is not None:
            return ended
        breach = breach_of(baseline.before, now, limits)
        if breach is not None:
            return breach
        if is_last:
            return passed(baseline.before, now, limits)
        time.sleep(_POLL_SECONDS)


def _end_of(container: Container) -> GateResult | None:
    """Return the failed gate if a revision ended, also if the client started it again."""
    restarts = container.restarts or 0
    if container.exit is None and not restarts:
        return None
    how = f"ended, and was started again {restarts} times" if restarts else str(container.exit)
    return GateResult(
        gate=Gate.WATCH,
        passed=False,
        reason=f"{container.name} {how}",
        code="CONTAINER_FAILED",
        measured="it ended",
        required="it runs",
        owner=Owner.KIT_AUTHOR,
    )
