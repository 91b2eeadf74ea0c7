"""Runs a kit with changed locks, and leaves no name, image, root or container behind."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from mealkit.assembly.lean import lean_image
from mealkit.errors import MealkitError
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_changed
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.machine.clients import ContainerClient, clients, stop_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import RunReport, run_built
from mealkit.progress import SILENT
from mealkit.recipe.lock import Lock
from mealkit.stores.local import LocalStore

_STOP_SECONDS = 10
_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class ChangedKits:
    """Builds and starts one kit with one lock after the other."""

    opened: OpenedKit
    request: RunRequest
    """How it is started; the name and the port are chosen here."""
    client: ContainerClient
    home: Home
    images: list[Image]
    """The images that the client has got."""

    @contextmanager
    def running(self, lock: Lock) -> Iterator[RunReport]:
        """Build and start the kit with another plain lock; stop and remove it at the end.

        The lock's name and version must not be those of an image that is used.

        Raises:
            MealkitError: it cannot be built, or does not start.
        """
        image = build_changed(self.opened, lock, self.home, SILENT)
        self.images.append(image)
        name = f"{lock.about.name[:_NAME_CHARACTERS]}-{uuid.uuid4().hex[:8]}"
        request = replace(self.request, client=self.client.name, name=name, port=0)
        try:
            yield run_built(request, image, self.home, SILENT)
        finally:
            # A kit that did not become ready in time still runs.
            with suppress(MealkitError):
                stop_kit(name, timeout_seconds=_STOP_SECONDS, home=self.home)
            self._forget(image)

    def _forget(self, image: Image) -> None:
        """Remove an image's root, and the image. A few kilobytes of blobs stay until ``prune``."""
        with suppress(MealkitError):
            LocalStore(self.home.store).remove(str(image.digest))
        for digest in (image.digest, lean_image(image).digest):
            shutil.rmtree(self.home.roots / digest.hex, ignore_errors=True)


@contextmanager
def changed_kits(opened: OpenedKit, request: RunRequest, home: Home) -> Iterator[ChangedKits]:
    """Return what starts the kit; at the end, remove its images from the container engine.

    Not earlier: the engine would also delete the layers that all of them share.
    """
    from mealkit.containers.docker import DockerClient
    from mealkit.containers.select import choose

    client = choose(clients(home), request.client)
    kits = ChangedKits(opened, request, client, home, [])
    try:
        yield kits
    finally:
        if isinstance(client, DockerClient) and kits.images:
            from mealkit.stores.docker_load import remove

            with suppress(MealkitError), client.connected("remove the changed kits") as sdk:
                for image in (*kits.images, *map(lean_image, kits.images)):
                    remove(image, sdk)
