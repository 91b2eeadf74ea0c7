"""Runs that are shared: who runs with whom, in which order, and whose failure it is."""

import threading
import time
from queue import SimpleQueue

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mealkit.engines.onnx.together import RUN_TOKENS, Together
from mealkit.errors import MealkitError, failure
from mealkit.worker.interface import Cancelled, never
from mealkit.worker.tokenizer.encode import Tokens


def tokens(number, length):
    return Tokens([number] * length, [1] * length)


def numbers(ids, _type_ids):
    """Answer with the first id of each input."""
    return ids[:, :1].astype(np.float32)


class Gate:
    """A run that says what it was given, and waits until it is let through."""

    def __init__(self):
        self.given: SimpleQueue[list[list[int]]] = SimpleQueue()
        self.through = threading.Semaphore(0)

    def __call__(self, ids, type_ids):
        self.given.put(ids.tolist())
        assert self.through.acquire(timeout=60)
        return numbers(ids, type_ids)


class Requests:
    """Requests in threads of their own, each waiting before the next is sent."""

    def __init__(self, together):
        self.together, self.threads, self.found = together, [], {}

    def send(self, name, found, is_cancelled=never):
        def ask():
            try:
                rows = self.together.rows(found, is_cancelled)
                self.found[name] = [int(row[0]) for row in rows]
            except Cancelled:
                self.found[name] = "nobody waits"
            except MealkitError as error:
                self.found[name] = error.problems[0].message

        is_running, waiting = self.together._is_running, len(self.together._waiting)
        self.threads.append(threading.Thread(target=ask, daemon=True))
        self.threads[-1].start()
        deadline = time.monotonic() + 60
        while is_running and len(self.together._waiting) == waiting:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def answers(self):
        for thread in self.threads:
            thread.join(timeout=60)
        return self.found


@given(some.lists(some.integers(1, RUN_TOKENS + 100), min_size=1, max_size=60))
def test_every_input_runs_once_with_its_likes(lengths):
    """Answers keep the order of the inputs; a run has one length and is bounded."""
    shapes = []

    def run(ids, type_ids):
        shapes.append(ids.shape)
        assert type_ids.shape == ids.shape
        assert type_ids.all()
        return numbers(ids, type_ids)

    found = Together(run).rows([tokens(index, count) for index, count in enumerate(lengths)])
    assert [int(row[0]) for row in found] == list(range(len(lengths)))
    assert sorted(shape[1] for shape in shapes for _ in range(shape[0])) == sorted(lengths)
    assert all(rows * length <= RUN_TOKENS or rows == 1 for rows, length in shapes)


def test_what_waits_and_has_one_length_runs_together():
    """Requests of one length share the next run; another length waits for its own turn."""
    gate = Gate()
    requests = Requests(Together(gate))
    requests.send("first", [tokens(1, 2)])
    assert gate.given.get(timeout=60) == [[1, 1]]
    for name, length in ((2, 3), (3, 4), (4, 3), (5, 4)):
        requests.send(name, [tokens(name, length)])
    gate.through.release(3)
    assert gate.given.get(timeout=60) == [[2] * 3, [4] * 3]
    assert gate.given.get(timeout=60) == [[3] * 4, [5] * 4]
    assert requests.answers() == {"first": [1], 2: [2], 3: [3], 4: [4], 5: [5]}


def test_a_shared_run_is_bounded():
    """Of what waits, only so much is taken along as one run may hold."""
    gate, half = Gate(), RUN_TOKENS // 2
    requests = Requests(Together(gate))
    requests.send(0, [tokens(0, 1)])
    gate.given.get(timeout=60)
    for name in (1, 2, 3):
        requests.send(name, [tokens(name, half)])
    gate.through.release(3)
    assert [ids[0] for ids in gate.given.get(timeout=60)] == [1, 2]
    assert [ids[0] for ids in gate.given.get(timeout=60)] == [3]
    assert requests.answers() == {0: [0], 1: [1], 2: [2], 3: [3]}


def test_small_requests_pass_between_the_runs_of_a_large_one():
    """A request of several lengths queues again for each of them."""
    gate = Gate()
    requests = Requests(Together(gate))
    requests.send("large", [tokens(1, 9), tokens(2, 8), tokens(3, 7)])
    gate.given.get(timeout=60)
    requests.send("small", [tokens(4, 5)])
    gate.through.release()
    assert gate.given.get(timeout=60) == [[4] * 5]
    gate.through.release(3)
    assert requests.answers() == {"large": [1, 2, 3], "small": [4]}


def test_ones_failure_is_not_anothers():
    """When a shared run fails, each request is run alone, and only the one at fault fails."""
    gate = Gate()

    def run(ids, type_ids):
        rows = gate(ids, type_ids)
        if 13 in ids:
            raise failure("ENGINE_ANSWER", "13 is not in the vocabulary")
        return rows

    requests = Requests(Together(run))
    requests.send("first", [tokens(0, 1)])
    gate.given.get(timeout=60)
    for name in (12, 13, 14):
        requests.send(name, [tokens(name, 2)])
    gate.through.release(5)
    message = "13 is not in the vocabulary"
    assert requests.answers() == {"first": [0], 12: [12], 13: message, 14: [14]}


def test_after_a_failure_the_next_is_answered():
    """A run that fails leaves nothing behind."""

    def run(ids, type_ids):
        if ids[0, 0] == 13:
            raise failure("ENGINE_ANSWER", "no")
        return numbers(ids, type_ids)

    together = Together(run)
    for _ in range(2):
        with pytest.raises(MealkitError):
            together.rows([tokens(13, 2)])
        assert [int(row[0]) for row in together.rows([tokens(1, 2)])] == [1]


def test_who_has_gone_is_not_run_for():
    """Between two runs, never within one: what waits behind has its turn at once."""
    runs = []

    def run(ids, type_ids):
        runs.append(ids.shape)
        return numbers(ids, type_ids)

    together = Together(run)
    found = [tokens(number, number + 1) for number in range(5)]
    with pytest.raises(Cancelled):
        together.rows(found, lambda: len(runs) == 2)
    assert runs == [(1, 5), (1, 4)]
    assert len(together.rows(found)) == 5


@pytest.mark.parametrize("gone", ["front", "behind", "both"])
def test_who_goes_while_waiting_is_not_run_for(gone):
    """Whether it would have led the run or been taken along; those beside it are answered."""
    gate, left = Gate(), threading.Event()
    requests = Requests(Together(gate))
    requests.send("first", [tokens(1, 2)])
    gate.given.get(timeout=60)
    front = left.is_set if gone in ("front", "both") else never
    behind = left.is_set if gone in ("behind", "both") else never
    requests.send("front", [tokens(2, 3)], front)
    requests.send("behind", [tokens(3, 3)], behind)
    requests.send("last", [tokens(4, 4)])
    left.set()
    gate.through.release(3)
    expected = {"first": [1], "front": [2], "behind": [3], "last": [4]}
    names = ("front", "behind") if gone == "both" else (gone,)
    assert requests.answers() == {**expected, **dict.fromkeys(names, "nobody waits")}
    assert gate.given.qsize() == (1 if gone == "both" else 2)
