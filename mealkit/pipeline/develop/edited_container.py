"""The container of a kit that is edited: started once, and again only for what an image has."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from mealkit.addresses import LOOPBACK
from mealkit.containers.container import Container, Mount, RunSpec
from mealkit.containers.select import choose
from mealkit.errors import MealkitError
from mealkit.pipeline.develop.live_folder import LiveFolder
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_for_editing
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.machine.clients import ContainerClient, clients
from mealkit.pipeline.machine.machine_facts import host_facts
from mealkit.pipeline.policy.admitting import accepted
from mealkit.pipeline.policy.candidates import built_candidate
from mealkit.pipeline.run.container_spec import Runnable, spec_of
from mealkit.pipeline.run.readiness import explained
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import check_machine
from mealkit.plan.layers import Plan
from mealkit.plan.planning import plan_image, without_kit
from mealkit.preflight.here import port_is_free
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Operations
from mealkit.recipe.requirements import Requirements

LABEL_EDITED = "dev.mealkit.edited"
"""Set on the container of a kit that is edited."""


@dataclass(frozen=True, slots=True)
class DevRequest:
    """The options."""

    target: str
    client: str | None = None
    port: int | None = None
    """None: the kit's if it is free, else any free one."""
    allowed: tuple[Path, ...] = ()
    """Folders that may contain the kit's files, besides its own folder."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """The reasons for overriding blocking findings of the preflight, by code."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What of a lock is in the image and the options of a container; the rest is mounted."""

    plan: Plan
    requirements: Requirements
    port: int
    stop_seconds: int
    operations: Operations | None
    fetches: bool

    @classmethod
    def of(cls, lock: Lock) -> "Frame":
        """Read it from a plain lock."""
        return cls(
            without_kit(plan_image(lock, {})),
            lock.requirements,
            lock.serving.port,
            lock.serving.stop_seconds,
            lock.ops,
            bool(lock.engine.settings.get("fetch_from")),
        )


class EditedContainer:
    """Starts and removes the container of a kit that is edited; it keeps its port."""

    def __init__(
        self,
        request: DevRequest,
        live: LiveFolder,
        home: Home,
        progress: Progress,
    ) -> None:
        self._request = request
        self._live = live
        self._home = home
        self._progress = progress
        self._port = request.port
        self._frame: Frame | None = None
        self.running: Container | None = None

    @cached_property
    def client(self) -> ContainerClient:
        """The container client."""
        client: ContainerClient = choose(clients(self._home), self._request.client)
        return client

    def fits(self, lock: Lock) -> bool:
        """Return whether the running container only needs other files for this lock."""
        return self.running is not None and Frame.of(lock) == self._frame

    def start(self, kit: OpenedKit, lock: Lock) -> Container:
        """Start a container for a plain lock, in the place of the one before.

        Raises:
            MealkitError: the machine does not fit, or the image cannot be built; the one before
                still runs. Or the new one does not start; then none runs.
        """
        image = build_for_editing(kit, lock, self._home, self._progress)
        accepted(built_candidate(self._request.target, image), self._progress)
        name = lock.about.name
        shown = Runnable(image, lock, built_here=True, stored_as=f"{name}:edited")
        wanted = self._wanted(lock)
        # The container before still has the port, while the next one is prepared.
        asked = replace(wanted, port=0) if self.running else wanted
        check_machine(shown.stated, asked, host_facts(self._home), self._home, self._progress)
        spec = spec_of(wanted, shown, self.client, self._home, self._progress)
        self.remove()
        self._live.put(lock)
        try:
            self.running = self.client.start(_edited(spec, self._live.mount))
        except MealkitError as error:
            raise explained(error) from error
        self._frame, self._port = Frame.of(lock), self.running.port
        return self.running

    def remove(self) -> None:
        """Remove the container, if there is one, also one that a killed process has left."""
        for item in self.client.list():
            if item.name == self._live.name and LABEL_EDITED in item.labels:
                self.client.remove(item.name)
        self.running = None

    def _wanted(self, lock: Lock) -> RunRequest:
        port = self._port
        if port is None:
            kits = lock.serving.port
            port = kits if port_is_free(LOOPBACK, kits) else 0
        return RunRequest(
            self._request.target,
            client=self.client.name,
            name=self._live.name,
            port=port,
            overrides=self._request.overrides,
        )


def _edited(spec: RunSpec, mount: Mount) -> RunSpec:
    environment = {
        **spec.environment,
        "MEALKIT_DEV": "on",
        "MEALKIT_LOG_LEVEL": "debug",  # also the requests that read
    }
    # It has none: its files change.
    environment.pop("MEALKIT_IMAGE_DIGEST", None)
    return replace(
        spec,
        environment=environment,
        mounts=(*spec.mounts, mount),
        labels={**spec.labels, LABEL_EDITED: "on"},
    )
