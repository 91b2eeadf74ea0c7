"""Runs a kit whose lock was changed, and leaves no name, image, root or container behind."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from mealkit.assembly.lean import lean_image
from mealkit.errors import MealkitError
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_changed, image_name
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.machine.clients import clients, stop_kit
from mealkit.pipeline.run.running import RunReport, RunRequest, engine_name, run_built
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.stores.local import LocalStore

_STOP_SECONDS = 10
_NAME_CHARACTERS = 80


@contextmanager
def running_changed(
    kit: OpenedKit, lock: Lock, request: RunRequest, home: Home, progress: Progress
) -> Iterator[RunReport]:
    """Build and start a kit with another plain lock; stop and remove it at the end.

    The lock's name and version must not be those of a kit that somebody may use.

    Raises:
        MealkitError: it cannot be built, or does not start.
    """
    image = build_changed(kit, lock, home, progress)
    name = f"{lock.about.name[:_NAME_CHARACTERS]}-{uuid.uuid4().hex[:8]}"
    try:
        yield run_built(replace(request, name=name, port=0), image, home, progress)
    finally:
        # It does not run if it has not started, but it may if it was not ready in time.
        with suppress(MealkitError):
            stop_kit(name, timeout_seconds=_STOP_SECONDS, home=home)
        _forget(image, lock, request.client, home)


def _forget(image: Image, lock: Lock, client: str | None, home: Home) -> None:
    """Remove what was written for an image. Its few kilobytes of blobs stay until ``prune``."""
    from mealkit.containers.docker import DockerClient
    from mealkit.containers.select import choose

    with suppress(MealkitError):
        LocalStore(home.store).remove(str(image.digest))
    for digest in (image.digest, lean_image(image).digest):
        shutil.rmtree(home.roots / digest.hex, ignore_errors=True)
    with suppress(MealkitError):
        used = choose(clients(home), client)
        if isinstance(used, DockerClient):
            with used.connected("remove the image of a changed kit") as sdk:
                sdk.images.remove(engine_name(image_name(lock)))
