"""Embeddings a second through the whole container, against its engine in a loop in the same image.

Both get the same texts in the same batches, from as many threads; both run the same files with the
same settings. What is left is everything between a caller and the engine.
"""

import base64
import http.client
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare import loop_in_docker
from benchmarks.engine_loop import throughput
from benchmarks.figures import Row, Table, against
from benchmarks.lab import Lab
from benchmarks.served import cpu_seconds, family
from benchmarks.topics.starts import example, first_process, remove_image, started

_SHAPES = ((1, 1), (1, 8), (8, 4), (32, 1), (32, 4))
"""Texts in a request, and how many requests there are at once."""
_TEXTS = 256
_LEAST = 0.9
_VECTOR_BYTES = 384 * 4
_VECTOR_CHARS = len(base64.b64encode(bytes(_VECTOR_BYTES)))

Found = dict[tuple[int, int], list["_Pair"]]


@dataclass(frozen=True, slots=True)
class _Done:
    """What one contender did with its texts."""

    texts_per_second: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """What container and loop did with the same texts, one right after the other."""

    container: _Done
    loop: _Done


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
                        lab.tell(f"{shape}: {pair.container}, {pair.loop}")
        finally:
            remove_image(lab)
    yield _table(found)


def _pair(
    lab: Lab, name: str, kit: Path, port: int, shape: tuple[int, int], *, loop_first: bool
) -> _Pair:
    size, threads = shape

    def loop() -> _Done:
        arguments = (str(size), str(threads), str(_TEXTS))
        return _Done(**json.loads(loop_in_docker(name, kit, lab.scratch / "loop", *arguments)))

    def container() -> _Done:
        processes = family(first_process(name))
        before = sum(map(cpu_seconds, processes))
        found = throughput([_asker(port) for _ in range(threads)], size, _TEXTS)
        return _Done(found, sum(map(cpu_seconds, processes)) - before)

    if loop_first:
        bare = loop()
        return _Pair(container(), bare)
    return _Pair(container(), loop())


def _asker(port: int) -> Callable[[list[str]], None]:
    """Return what asks for embeddings on a connection of its own, as OpenAI's client words it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(texts: list[str]) -> None:
        form = {"model": "all-MiniLM-L6-v2", "input": texts, "encoding_format": "base64"}
        body, headers = json.dumps(form).encode(), {"Content-Type": "application/json"}
        connection.request("POST", "/v1/embeddings", body, headers)
        answer = connection.getresponse()
        received = len(answer.read())
        if answer.status != http.HTTPStatus.OK or received < len(texts) * _VECTOR_CHARS:
            raise RuntimeError(f"{answer.status} with {received} bytes for {len(texts)} texts")

    return ask


def _table(found: Found) -> Table:
    rows = []
    for (size, threads), pairs in found.items():
        through = [pair.container.texts_per_second for pair in pairs]
        bare = [pair.loop.texts_per_second for pair in pairs]
        ratio = statistics.median(one / other for one, other in zip(through, bare, strict=True))
        asked = f"{size} texts in a request, {threads} at once"
        rows.append(
            Row(
                asked,
                f"{statistics.median(through):.0f} texts/s",
                f"engine's loop: {statistics.median(bare):.0f} texts/s",
                ratio,
                f"ratio ≥ {_LEAST:g}",
                ratio >= _LEAST,
                {"container": through, "loop": bare},
            )
        )
        ours = [pair.container.cpu_seconds for pair in pairs]
        theirs = [pair.loop.cpu_seconds for pair in pairs]
        rows += against(f"{asked}: CPU time", ours, ("engine's loop", theirs))
    note = (
        f"{_TEXTS} texts of 5 to 40 words each, after one request that is not counted; base64. The "
        "loop has as many threads as there are requests at once, in a container of the same image. "
        "CPU time is that of gateway and worker together, which is what a busy machine disturbs "
        "least."
    )
    return Table("Embeddings through the container", rows, [note])
