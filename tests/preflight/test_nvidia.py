"""A driver that hangs or crashes takes down the process that asks it, not the one that reads."""

import signal

from mealkit.preflight.nvidia import Access

MIB = 1024**2


def test_driver_that_hangs(recording):
    """A driver that stops answering is left; what it said before counts."""
    facts = recording("a100x2", {"gpu.1.ecc": "hang"}, patience_seconds=1.0)
    nvidia = facts.nvidia
    assert nvidia.access is Access.TIMED_OUT
    assert nvidia.reason == "the driver did not answer within 1 seconds"
    assert (nvidia.driver, nvidia.count) == ("535.129.03", 2)
    assert [gpu.memory_free_bytes for gpu in nvidia.gpus] == [40334 * MIB]
    assert nvidia.unknown["gpus"].startswith("only 1 of 2 answered")


def test_driver_that_hangs_at_once(recording):
    """A driver that never answers costs its facts and the patience, nothing else."""
    nvidia = recording("l4", {"init": "hang"}, patience_seconds=0.5).nvidia
    assert (nvidia.access, nvidia.driver, nvidia.gpus) == (Access.TIMED_OUT, "550.90.07", ())


def test_driver_that_crashes(recording):
    """A library that crashes takes no process of ours along."""
    nvidia = recording("a100x2", {"gpu.1.name": "crash"}).nvidia
    assert nvidia.access is Access.CRASHED
    assert f"ended with {-signal.SIGSEGV}" in nvidia.reason
    assert len(nvidia.gpus) == 1
    assert nvidia.unknown["gpus"].startswith("only 1 of 2 answered")
