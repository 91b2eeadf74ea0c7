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
        throughput([fail, lambda _texts: None], 1, 10)


def test_every_thread_gets_its_share_of_the_texts():
    """One batch to begin with, then the same number of batches for each."""
    seen = [[], []]
    assert throughput([seen[0].append, seen[1].append], 2, 12) > 0
    assert [[len(batch) for batch in batches] for batches in seen] == [[2] * 4] * 2
