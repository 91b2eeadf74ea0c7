"""Push, pull and copy as pieces of work that ``fakes.kills`` runs in processes of their own."""

from collections.abc import Callable
from pathlib import Path

from fakes.little import Heard, accept_every
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.outputs import Outputs, deliver
from mealkit.pipeline.image.pulling import pull
from mealkit.pipeline.publish.copying import copy
from mealkit.progress import SilentTask, Task
from mealkit.stores.local import LocalStore
from mealkit.stores.registry import push as _imported  # once, not in each process

Tick = Callable[[int], int]

del _imported


class Ticking(Heard):
    """A progress each of whose reports is a moment to die at."""

    def __init__(self, tick: Tick) -> None:
        super().__init__()
        self._tick = tick

    def task(self, title: str, total_bytes: int | None) -> Task:
        del title, total_bytes
        return _TickingTask(self._tick)


class _TickingTask(SilentTask):
    def __init__(self, tick: Tick) -> None:
        self._tick = tick

    def advance(self, done_bytes: int) -> None:
        del done_bytes
        self._tick(1)


def pull_kit(tick: Tick, reference: str, home: str) -> None:
    """Pull an image into a home."""
    pull(
        Reference.parse(reference), "amd64", home_at(Path(home)), Ticking(tick), accept=accept_every
    )


def push_kit(tick: Tick, name: str, home: str, reference: str) -> None:
    """Push an image of a home's store."""
    here = home_at(Path(home))
    places = Outputs(push=[reference]).places()
    image = LocalStore(here.store).image(name)
    deliver(image, name, places, (), Ticking(tick), uploads=here.uploads)


def copy_kit(tick: Tick, source: str, target: str, home: str) -> None:
    """Copy an image from one registry to another."""
    copy(source, target, Ticking(tick), uploads=home_at(Path(home)).uploads)
