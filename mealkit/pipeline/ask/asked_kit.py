"""Finds the kit that a command asks: one that runs here, one at an address, or one that it starts.

A kit that is started for a question gets no port of this machine: mealkit reaches it by a socket of
the sandbox, or by a relay in the container. It is stopped when the question is answered.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.acceptance.target import Target
from mealkit.containers.container import Container
from mealkit.errors import MealkitError
from mealkit.pipeline.ask.kit_answers import AskedKit
from mealkit.pipeline.ask.verbs_of_tasks import require_task
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.machine.clients import (
    ContainerClient,
    client_of,
    container_meant_by,
    running_kits,
)
from mealkit.pipeline.proof.kit_testing import (
    api_key_in,
    checked_address,
    is_address,
    stop_quietly,
    terminable,
)
from mealkit.pipeline.run.names_of_own import name_of_own, remove_left
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import open_to_run, run_opened
from mealkit.pipeline.targets import Here, look
from mealkit.progress import Progress
from mealkit.recipe.kit import Task

# A caller interrupts what takes too long; this only ends what will never answer.
_ANSWER_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class AskRequest:
    """What is asked, and how it is started if it does not run."""

    run: RunRequest
    key_file: Path | None = None
    """The file with the API key for a kit that runs already."""
    task: Task | None = None
    """The task that the command is for; None: it asks kits of every task."""


@contextmanager
def asked_kit(request: AskRequest, home: Home, progress: Progress) -> Iterator[AskedKit]:
    """Yield a kit that answers; one that was started for it is stopped at the end.

    The target is an address, the name of a kit or a deployment that runs here, or whatever
    `run_kit` starts. A kit's folder is not started if the same recipe runs here under its name.

    Raises:
        MealkitError: it does not start, or does not answer as a kit does.
    """
    target = _running(request, home)
    if target is not None:
        with AskedKit(target, _ANSWER_SECONDS) as kit:
            require_task(kit.task, request.task, request.run.target)
            yield kit
        return
    remove_left(home)
    with name_of_own("ask", home) as name, _started(name, request, home, progress) as kit:
        yield kit


@contextmanager
def _started(name: str, request: AskRequest, home: Home, progress: Progress) -> Iterator[AskedKit]:
    """Start a kit for the question, under this name, unless its twin runs here; stop it after."""
    run = replace(request.run, name=name, port=0, keys=None, is_published=False)
    opened = open_to_run(run, home, progress)
    twin = None
    if isinstance(opened.content, OpenedKit):
        require_task(opened.content.parts.task, request.task, run.target)
        twin = _twin(opened.content, home)
    if twin is not None:
        progress.phase(f"asking {twin.name}, which runs here with the same recipe")
        with AskedKit(
            _target_of(twin, client_of(twin.name, home), request), _ANSWER_SECONDS
        ) as kit:
            yield kit
        return
    try:
        with terminable():
            report = run_opened(run, opened, home, progress)
            client = client_of(name, home)
            target = Target(
                "http://localhost", connect=lambda seconds: client.connection(name, seconds)
            )
            with AskedKit(target, _ANSWER_SECONDS, report.owner) as kit:
                require_task(kit.task, request.task, run.target)
                yield kit
    finally:
        # Also one that did not become ready in time, and after Ctrl-C.
        stop_quietly(name, home)


def _running(request: AskRequest, home: Home) -> Target | None:
    """Return the running kit that a target names; None: it is to be started."""
    text = request.run.target
    if is_address(text):
        return _at_address(text.rstrip("/"), request)
    if look(Path(text)) is not Here.NOTHING:
        return None
    name = container_meant_by(text, home)
    found = [item for item in running_kits(home) if item.name == name and item.exit is None]
    return _target_of(found[0], client_of(name, home), request) if found else None


def _at_address(address: str, request: AskRequest) -> Target:
    from mealkit.web.trust import tls_context

    is_tls = checked_address(address).scheme == "https"
    return Target(address, api_key_in(request.key_file), tls_context() if is_tls else None)


def _target_of(container: Container, client: ContainerClient, request: AskRequest) -> Target:
    key = api_key_in(request.key_file)
    if container.port:
        return Target(container.url, key)
    name = container.name
    return Target("http://localhost", key, connect=lambda seconds: client.connection(name, seconds))


def _twin(kit: OpenedKit, home: Home) -> Container | None:
    """Return the kit that runs here under a kit's name with its recipe, without keys."""
    try:
        recipe = str(kit.lock_as_written().recipe)
    except MealkitError:
        return None
    for item in running_kits(home):
        is_same = (item.name, item.recipe) == (kit.parts.kit.name, recipe)
        if is_same and item.exit is None and not item.needs_key:
            return item
    return None
