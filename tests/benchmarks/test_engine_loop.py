"""The loop and its peer get the same texts, and only what ends in time is counted."""

from itertools import islice

import pytest

from benchmarks.engine_loop import batches, throughput


def test_the_same_seed_gives_the_same_texts():
    """Batches have the size asked for; another thread gets others."""
    first, again, other = (list(islice(batches(3, seed), 4)) for seed in (1, 1, 2))
    assert first == again != other
    assert {len(batch) for batch in first} == {3}


def test_an_error_in_one_thread_ends_all_and_is_raised():
    """A failed request is not a slow one."""

    def fail(_texts):
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        throughput([fail, lambda _texts: None], 1, 60)


def test_too_few_batches_are_no_throughput():
    """A rate of one batch would be noise."""
    with pytest.raises(RuntimeError, match="too few"):
        throughput([lambda _texts: None], 1, -0.5)
