"""Compares the errors and the latency of a new revision with those of the one before. No I/O."""

from dataclasses import dataclass

from mealkit.deploy.deployment import Gate, GateResult
from mealkit.errors import Owner

_FEWEST_ERRORS = 3
"""One error may have any cause; as many in a row as a caller retries do not."""


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """How long a new revision is watched, and what it may do worse than the one before."""

    seconds: float = 60.0
    error_points: float = 1.0
    """By how many percentage points the share of errors may be higher."""
    slowdown: float = 2.0
    """How many times as long the mean answer may take."""
    fewest_answers: int = 20
    """Latency is compared only after as many answers of both revisions."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was answered in a time."""

    answers: int
    errors: int
    """Answers with 5xx, and requests without an answer."""
    refused: int
    """Answers with 4xx."""
    mean_seconds: float | None

    @property
    def error_share(self) -> float:
        """The share of errors, from 0 to 1."""
        return self.errors / self.answers if self.answers else 0.0

    @property
    def refused_share(self) -> float:
        """The share of refused requests, from 0 to 1."""
        return self.refused / self.answers if self.answers else 0.0

    def since(self, earlier: "Counts") -> "Counts":
        """Return what was answered since an earlier reading of the same counts."""
        if self.answers < earlier.answers:  # the front began to count again
            return self
        return Counts(
            self.answers - earlier.answers,
            max(0, self.errors - earlier.errors),
            max(0, self.refused - earlier.refused),
            self.mean_seconds,
        )


def breach_of(before: Counts, now: Counts, limits: WatchLimits) -> GateResult | None:
    """Return the failed gate if the new revision is worse than allowed; None while it is not."""
    shares = (
        ("errors", now.errors, now.error_share, before.error_share),
        ("refused requests (4xx)", now.refused, now.refused_share, before.refused_share),
    )
    for what, count, share, share_before in shares:
        allowed = share_before + limits.error_points / 100
        # The share of few answers says little, so that few faults are none.
        if count >= _FEWEST_ERRORS and share > allowed:
            return _failed(
                f"too many {what}",
                f"{share:.1%} ({count} of {now.answers})",
                f"at most {allowed:.1%} ({share_before:.1%} before)",
            )
    return _slow(before, now, limits)


def passed(before: Counts, now: Counts, limits: WatchLimits) -> GateResult:
    """Return the gate after the watch period ended without a breach."""
    compared = f"{now.answers} answers, {now.errors} errors"
    if now.mean_seconds is not None:
        compared += f", {_shown(now.mean_seconds)} on average"
    allowed = before.error_share + limits.error_points / 100
    required = f"at most {allowed:.1%} errors"
    if before.mean_seconds is not None:
        required += f", {_shown(before.mean_seconds * limits.slowdown)} on average"
    reason = f"watched for {limits.seconds:g} s"
    return GateResult(
        gate=Gate.WATCH, passed=True, reason=reason, measured=compared, required=required
    )


def _slow(before: Counts, now: Counts, limits: WatchLimits) -> GateResult | None:
    old, new = before.mean_seconds, now.mean_seconds
    if old is None or new is None or min(before.answers, now.answers) < limits.fewest_answers:
        return None
    if new <= old * limits.slowdown:
        return None
    return _failed(
        "answers take too long",
        f"{_shown(new)} on average ({now.answers} answers)",
        f"at most {_shown(old * limits.slowdown)} ({_shown(old)} before)",
    )


def _failed(reason: str, measured: str, required: str) -> GateResult:
    return GateResult(
        gate=Gate.WATCH,
        passed=False,
        reason=reason,
        code="DEPLOYMENT_GATE",
        measured=measured,
        required=required,
        owner=Owner.KIT_AUTHOR,
    )


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
