"""The engine in a loop, with nothing around it: called with WORKER CONFIG BATCH THREADS SECONDS.

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

_WARM_SECONDS = 1.0
_WORDS = "the model reads a short text and gives back numbers that tell how near two of them are"
_FEWEST = 3
_SHORTEST, _LONGEST = 5, 40


def batches(size: int, seed: int) -> Iterator[list[str]]:
    """Make texts of 5 to 40 words, the same ones for each seed, without end."""
    draw, words = random.Random(seed), _WORDS.split()
    while True:
        yield [
            " ".join(draw.choices(words, k=draw.randint(_SHORTEST, _LONGEST))) for _ in range(size)
        ]


def throughput(makers: list[Callable[[list[str]], None]], size: int, seconds: float) -> float:
    """Hand batches to each callable in a thread of its own; return texts a second.

    Counted is what ends from one second after the start on, between the first such end and the
    last one in time: a batch that is cut by either would count for all or nothing. An error of one
    thread is raised here.
    """
    ends: list[float] = []
    errors: list[Exception] = []
    began = time.perf_counter() + _WARM_SECONDS

    def work(number: int) -> None:
        texts = batches(size, number)
        try:
            while not errors and time.perf_counter() < began + seconds:
                makers[number](next(texts))
                ends.append(time.perf_counter())
        except Exception as error:  # noqa: BLE001  it is raised below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(makers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    counted = sorted(end for end in ends if began <= end <= began + seconds)
    if len(counted) < _FEWEST:
        raise RuntimeError(f"{len(counted)} batches of {size} in {seconds} s are too few")
    return (len(counted) - 1) * size / (counted[-1] - counted[0])


def main(worker_path: str, config: str, size: str, threads: str, seconds: str) -> None:
    """Load the worker, run it, print what came of it."""
    # Importable only where the engine's packages are.
    from mealkit.engines.host import import_worker  # noqa: PLC0415
    from mealkit.engines.worker import EmbeddingWorker, WorkerConfig  # noqa: PLC0415

    worker = import_worker(worker_path)
    assert isinstance(worker, EmbeddingWorker)  # noqa: S101
    worker.load(WorkerConfig.from_json(Path(config).read_bytes()))
    embed = worker.embed

    def ask(texts: list[str]) -> None:
        embed(texts)

    found = throughput([ask] * int(threads), int(size), float(seconds))
    sys.stdout.write(json.dumps({"texts_per_second": found}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
