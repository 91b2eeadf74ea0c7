"""The engine in a loop, with nothing around it: called with WORKER CONFIG BATCH THREADS TEXTS.

Each thread hands its worker a batch of texts, again and again; prints texts a second as JSON. It
runs in the kit's own image, so it imports mealkit's engine side and the standard library only.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_WORDS = "the model reads a short text and gives back numbers that tell how near two of them are"
_SHORTEST, _LONGEST = 5, 40


def batches(size: int, seed: int) -> Iterator[list[str]]:
    """Make texts of 5 to 40 words, the same ones for each seed, without end."""
    draw, words = random.Random(seed), _WORDS.split()
    while True:
        yield [
            " ".join(draw.choices(words, k=draw.randint(_SHORTEST, _LONGEST))) for _ in range(size)
        ]


def throughput(askers: list[Callable[[list[str]], None]], size: int, texts: int) -> float:
    """Hand as many texts to each callable, in a thread of its own; return texts a second.

    All begin together once each has been handed one batch, and the time ends with the last of them.
    An error of one thread is raised here.
    """
    errors: list[Exception] = []
    times: list[float] = []
    # Both moments are taken when the last thread has come, before any goes on.
    meeting = threading.Barrier(len(askers), action=lambda: times.append(time.perf_counter()))
    rounds = max(1, texts // (size * len(askers)))

    def work(number: int) -> None:
        given = batches(size, number)
        try:
            askers[number](next(given))
            meeting.wait()
            for _ in range(rounds):
                askers[number](next(given))
            meeting.wait()
        except threading.BrokenBarrierError:
            return
        except Exception as error:  # noqa: BLE001  it is raised below
            errors.append(error)
            meeting.abort()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(askers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    began, ended = times
    return rounds * size * len(askers) / (ended - began)


def main(worker_path: str, config: str, size: str, threads: str, texts: str) -> None:
    """Load the worker, run it, print what came of it."""
    # Importable only where the engine's packages are.
    from mealkit.worker.host import import_worker  # noqa: PLC0415
    from mealkit.worker.interface import EmbeddingWorker, WorkerConfig  # noqa: PLC0415

    worker = import_worker(worker_path)
    assert isinstance(worker, EmbeddingWorker)  # noqa: S101
    worker.load(WorkerConfig.from_json(Path(config).read_bytes()))
    embed = worker.embed

    def ask(texts: list[str]) -> None:
        embed(texts, lambda: False)

    before = time.process_time()
    found = throughput([ask] * int(threads), int(size), int(texts))
    figures = {"texts_per_second": found, "cpu_seconds": time.process_time() - before}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
