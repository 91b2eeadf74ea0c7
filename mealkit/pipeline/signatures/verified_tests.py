"""Compares the test results that trusted signers signed with the image that they are about."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mealkit.digest import Digest
from mealkit.errors import LockError, StoreError
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.kit_image import open_kit_image
from mealkit.recipe.lock import Lock
from mealkit.trust.signer_rules import signed_day
from mealkit.trust.test_result import Tested, read_result, stale_reasons
from mealkit.trust.verified import TEST_RESULT, Signer, Verified


@dataclass(frozen=True, slots=True)
class VerifiedTest:
    """A signed test result of an image."""

    signer: Signer
    tested: Tested
    day: dt.date | None
    """When the test began, but not after its result was signed."""
    stale: tuple[str, ...]
    """Why it is not a test of what the image has; empty if it is."""

    def age_days(self, today: dt.date) -> int | None:
        """Return how old the result is."""
        return None if self.day is None else (today - self.day).days


def verified_tests(
    target: str, subject: Digest, verified: Sequence[Verified], home: Home
) -> tuple[VerifiedTest, ...]:
    """Return the test results among what was signed about an image, newest first.

    The image's lock is read only if there are results of ``mealkit test``.

    Raises:
        RegistryError: the image cannot be read.
    """
    found = [(item, read_result(item.predicate)) for item in _results(verified)]
    lock: Lock | str = ""
    if any(tested.is_of_claims for _, tested in found):
        lock = _lock_of(target, subject, home)
    tests = [
        VerifiedTest(item.signer, tested, _day(item, tested), tuple(_stale(tested, lock)))
        for item, tested in found
    ]
    return tuple(sorted(tests, key=lambda item: item.day or dt.date.min, reverse=True))


def _results(verified: Sequence[Verified]) -> Iterator[Verified]:
    return (item for item in verified if item.predicate_type == TEST_RESULT)


def _day(item: Verified, tested: Tested) -> dt.date | None:
    days = (tested.started.date() if tested.started else None, signed_day(item))
    return min((day for day in days if day is not None), default=None)


def _lock_of(target: str, subject: Digest, home: Home) -> Lock | str:
    """Return the lock inside an image, or why it is not known."""
    try:
        with open_kit_image(target, home) as kit:
            if kit.subject.digest != subject:
                return f"{target} names another image by now"
            return kit.lock
    except (LockError, StoreError) as error:
        return error.problems[0].message


def _stale(tested: Tested, lock: Lock | str) -> Iterator[str]:
    if isinstance(lock, Lock):
        yield from stale_reasons(tested, lock)
    elif tested.is_of_claims:
        yield f"the image's lock cannot be read: {lock}"
