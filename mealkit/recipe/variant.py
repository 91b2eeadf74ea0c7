"""Splits a lock for several architectures into one plain lock for each, and joins them again.

Code that works on one image gets a plain lock: one without variants, like the lock of a kit for
that architecture only.
"""

from collections.abc import Sequence

from mealkit.errors import failure
from mealkit.recipe.lock import Lock, Variant


def architectures_of(lock: Lock) -> tuple[str, ...]:
    """Return the architectures that a lock is for, in its order."""
    return (lock.runtime.architecture, *lock.variants)


def plain_locks(lock: Lock) -> tuple[Lock, ...]:
    """Return the plain lock of each architecture."""
    return tuple(plain_lock(lock, name) for name in architectures_of(lock))


def plain_lock(lock: Lock, architecture: str) -> Lock:
    """Return the plain lock of an architecture; of the first one if the lock does not have it."""
    own = lock.variants.get(architecture)
    if own is None:
        return lock.model_copy(update={"variants": {}})
    runtime = {"base": own.base, "architecture": architecture}
    return lock.model_copy(
        update={
            "variants": {},
            "engine": lock.engine.model_copy(update={"packages": own.engine_packages}),
            "gateway": lock.gateway.model_copy(update={"packages": own.gateway_packages}),
            "runtime": lock.runtime.model_copy(update=runtime),
            "requirements": own.requirements,
            "requests": own.requests,
            "test_packages": own.test_packages,
        }
    )


def joined(locks: Sequence[Lock]) -> Lock:
    """Return the lock of several architectures, from the plain lock of each.

    Raises:
        LockError: ``LOCK_INVALID``: they differ in a field that variants share, such as the model.
    """
    first, *others = locks
    lock = first.model_copy(
        update={"variants": {item.runtime.architecture: _variant(item) for item in others}}
    )
    for item in others:
        architecture = item.runtime.architecture
        if architecture == first.runtime.architecture or plain_lock(lock, architecture) != item:
            message = f"the locks for {first.runtime.architecture} and {architecture} do not belong"
            raise failure("LOCK_INVALID", f"{message} to one kit")
    return lock


def _variant(lock: Lock) -> Variant:
    return Variant(
        base=lock.runtime.base,
        engine_packages=lock.engine.packages,
        gateway_packages=lock.gateway.packages,
        requirements=lock.requirements,
        requests=lock.requests,
        test_packages=lock.test_packages,
    )
