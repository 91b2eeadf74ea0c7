"""Embeddings a second through the whole container, against its engine in a loop in the same image.

Both get the same texts in the same batches, from as many threads; both run the same files with the
same settings. What is left is everything between a caller and the engine.
"""

import base64
import http.client
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.bare import loop_in_docker
from benchmarks.engine_loop import throughput
from benchmarks.figures import Row, Table
from benchmarks.lab import Lab
from benchmarks.topics.starts import example, remove_image, started

_SHAPES = ((1, 1), (1, 8), (8, 4), (32, 1), (32, 4))
"""Texts in a request, and how many requests there are at once."""
_TEXTS = 512
_LEAST = 0.9
_VECTOR_BYTES = 384 * 4
_ENVELOPE_BYTES = len(base64.b64encode(bytes(_VECTOR_BYTES)))

Found = dict[tuple[int, int], list[tuple[float, float]]]


def throughputs(lab: Lab) -> Iterator[Table]:
    """Measure each shape in turn, container and loop alternately first."""
    found: Found = {shape: [] for shape in _SHAPES}
    with lab.warm_home("home") as home, example(lab) as kit:
        lab.mealkit(home, "build", kit)
        try:
            with started(lab, home, kit, "docker") as (name, start):
                for number in range(lab.runs):
                    for shape in _SHAPES:
                        pair = _pair(lab, name, kit, start.port, shape, loop_first=bool(number % 2))
                        found[shape].append(pair)
                        through, bare = pair
                        lab.tell(f"{shape}: {through:.0f} texts/s, engine's loop {bare:.0f}")
        finally:
            remove_image(lab)
    yield _table(found)


def _pair(
    lab: Lab, name: str, kit: Path, port: int, shape: tuple[int, int], *, loop_first: bool
) -> tuple[float, float]:
    """Return texts a second through the container, and those of the loop."""
    size, threads = shape

    def loop() -> float:
        arguments = (str(size), str(threads), str(_TEXTS))
        said = loop_in_docker(name, kit, lab.scratch / "loop", *arguments)
        return float(json.loads(said)["texts_per_second"])

    def container() -> float:
        return throughput([_asker(port) for _ in range(threads)], size, _TEXTS)

    if loop_first:
        bare = loop()
        return container(), bare
    return container(), loop()


def _asker(port: int) -> Callable[[list[str]], None]:
    """Return what asks for embeddings on a connection of its own, as OpenAI's client words it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(texts: list[str]) -> None:
        form = {"model": "all-MiniLM-L6-v2", "input": texts, "encoding_format": "base64"}
        body, headers = json.dumps(form).encode(), {"Content-Type": "application/json"}
        connection.request("POST", "/v1/embeddings", body, headers)
        answer = connection.getresponse()
        received = len(answer.read())
        if answer.status != http.HTTPStatus.OK or received < len(texts) * _ENVELOPE_BYTES:
            raise RuntimeError(f"{answer.status} with {received} bytes for {len(texts)} texts")

    return ask


def _table(found: Found) -> Table:
    rows = []
    for (size, threads), pairs in found.items():
        through, bare = ([pair[index] for pair in pairs] for index in (0, 1))
        ratio = statistics.median(one / other for one, other in pairs)
        rows.append(
            Row(
                f"{size} texts in a request, {threads} at once",
                f"{statistics.median(through):.0f} texts/s",
                f"engine's loop: {statistics.median(bare):.0f} texts/s",
                ratio,
                f"ratio ≥ {_LEAST:g}",
                ratio >= _LEAST,
                {"container": through, "loop": bare},
            )
        )
    note = (
        f"{_TEXTS} texts of 5 to 40 words each, after one request that is not counted; base64. The "
        "loop has as many threads as there are requests at once, in a container of the same image."
    )
    return Table("Embeddings through the container", rows, [note])
