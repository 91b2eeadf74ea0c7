"""Starts, upgrades, rolls back and takes down a deployment on this machine."""

import time
from dataclasses import dataclass, replace

from mealkit.acceptance.target import TestListener
from mealkit.containers.container import Restart
from mealkit.deploy.deployment import (
    Deployment,
    Gate,
    GateResult,
    Revision,
    Settings,
    State,
    Verb,
    container_name,
)
from mealkit.deploy.deployment_history import Event, EventKind
from mealkit.deploy.upgrade import begun, taken_down, way_back
from mealkit.errors import MealkitError, failure
from mealkit.names import one_line
from mealkit.pipeline.deployment_files import DeploymentFiles, require_line, user_name
from mealkit.pipeline.operate.boot_units import remove_unit, set_unit
from mealkit.pipeline.operate.changing import Changing, Options
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.preparing import Prepared, prepare, stop_reason
from mealkit.pipeline.operate.recovering import whole, whole_or_abandoned
from mealkit.pipeline.operate.revision_containers import Ground, require_own_name, runnable_of
from mealkit.pipeline.operate.testing_revisions import judge_revision
from mealkit.pipeline.operate.up_request import (
    UpRequest,
    deployment_for,
    new_revision,
    settings_of,
    settled,
)
from mealkit.pipeline.run.container_spec import Runnable
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.runtime.gateway.keys import KeyHash, new_key

_TEST_KEY = "mealkit-up"


@dataclass(frozen=True, slots=True)
class Changed:
    """A deployment after a command."""

    deployment: Deployment
    revision: Revision | None
    """The revision that has the traffic."""
    did: bool = True
    """Whether anything had to be done."""


def up(request: UpRequest, site: Site, listener: TestListener) -> Changed:
    """Start a deployment, or upgrade it: the traffic moves when the new revision has proved good.

    Raises:
        DeploymentError: a gate stopped it (``DEPLOYMENT_GATE``), and the traffic is where it was;
            ``DEPLOYMENT_BUSY``; ``DEPLOYMENT_DOWN``.
        PreflightError: this machine does not fit; nothing was started.
    """
    files = DeploymentFiles(site.home, request.name)
    require_line("--why", request.reason)
    require_line("the target", request.run.target)
    doing = f"mealkit up {request.name}"
    with files.changing(doing, wait=request.wait, progress=site.progress):
        known = files.read()
        run = settled(request, known)
        if known is not None:
            known = whole_or_abandoned(known, site.ground(known), files)
        try:
            prepared = prepare(run, known, site)
        except MealkitError as error:
            if known is not None:
                _note_unfit(error, request, files)
            raise
        shown = prepared.shown
        deployment = deployment_for(request, run, known, shown, site)
        ground = site.ground(deployment)
        require_own_name(deployment.name, ground)
        if known is not None and _is_there(known, shown, settings_of(run)):
            if deployment == known:
                return _come_up(deployment, ground, did=False)
            return _come_up(_moved(known, deployment, site, files), ground)
        # An upgrade that goes back changes no address either.
        is_upgrade = known is not None and known.serving is not None
        begins = known if known is not None and is_upgrade else deployment
        after = _upgraded(begins, request, run, prepared, site, listener)
        return _come_up(_moved(after, deployment, site, files) if is_upgrade else after, ground)


def _upgraded(
    deployment: Deployment,
    request: UpRequest,
    run: RunRequest,
    prepared: Prepared,
    site: Site,
    listener: TestListener,
) -> Deployment:
    """Start a new revision, and move the traffic to it."""
    files = DeploymentFiles(site.home, deployment.name)
    ground = site.ground(deployment)
    revision = new_revision(deployment, request, prepared.shown, settings_of(run))
    deployment = deployment.with_revision(revision)
    _note_asked(deployment, revision, files)
    options = _options(request, run, ground, listener)
    why = prepared.stop_reason or ("it was asked for" if request.stops_first else None)
    changing = Changing(ground, files, replace(options, stop_reason=why))
    after = changing.run(begun(deployment, Verb.UP, revision.number, stops_first=why is not None))
    changing.note(EventKind.SERVES, after, after.serving)
    return after


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """The options of ``mealkit rollback``."""

    name: str
    number: int | None = None
    """The revision to go back to; None: the one that had the traffic before."""
    reason: str = ""
    timeout_seconds: float = 600.0
    wait: bool = False


def rollback(request: RollbackRequest, site: Site) -> Changed:
    """Start a kept revision again, and move the traffic to it.

    Raises:
        DeploymentError: ``DEPLOYMENT_REVISION``, it is not kept; a gate stopped it.
    """
    files = DeploymentFiles(site.home, request.name)
    require_line("--why", request.reason)
    doing = f"mealkit rollback {request.name}"
    files.required()
    with files.changing(doing, wait=request.wait, progress=site.progress):
        deployment = files.required()
        ground = site.ground(deployment)
        deployment = whole_or_abandoned(deployment, ground, files)
        number = way_back(deployment) if request.number is None else request.number
        if number is None:
            raise failure(
                "DEPLOYMENT_REVISION", f"{request.name} has kept no revision to go back to"
            )
        if number == deployment.serving:
            return _changed(deployment, did=False)
        found = deployment.revision(number)
        if found.state is not State.KEPT:
            kept = ", ".join(str(item.number) for item in deployment.in_state(State.KEPT))
            raise failure(
                "DEPLOYMENT_REVISION",
                f"revision {number} of {request.name} is {found.state}",
                hint=f"kept revisions: {kept or 'none'}",
            )
        found = found.model_copy(update={"gates": ()})
        deployment = deployment.with_revision(found)
        _note(files, EventKind.ASKED, found, request.reason)
        why = stop_reason(runnable_of(found, ground).stated, deployment, ground)
        options = Options(request.timeout_seconds, reason=request.reason, stop_reason=why)
        changing = Changing(ground, files, options)
        stops_first = why is not None
        after = changing.run(begun(deployment, Verb.ROLLBACK, number, stops_first=stops_first))
        changing.note(EventKind.SERVES, after, after.serving)
        return _changed(after)


def down(name: str, site: Site, *, purge: bool, wait: bool) -> Deployment:
    """Take a deployment down: its requests end, its containers and its address are removed.

    The history stays, unless ``purge``.

    Raises:
        DeploymentError: ``DEPLOYMENT_NOT_FOUND``, ``DEPLOYMENT_BUSY``.
    """
    files = DeploymentFiles(site.home, name)
    files.required()
    with files.changing(f"mealkit down {name}", wait=wait, progress=site.progress):
        deployment = files.required()
        changing = Changing(site.ground(deployment), files, Options())
        after = changing.run(taken_down(deployment))
        changing.note(EventKind.DOWN, after, None)
        remove_unit(after)
        if purge:
            files.remove()
        return after


def repaired(name: str, site: Site) -> Deployment:
    """Return a deployment, after what an interrupted command left was finished or undone.

    Raises:
        DeploymentError: ``DEPLOYMENT_BUSY``, another command changes it; ``DEPLOYMENT_DOWN``.
    """
    files = DeploymentFiles(site.home, name)
    files.required()
    with files.changing(f"mealkit status {name}", wait=False, progress=site.progress):
        deployment = files.required()
        return whole(deployment, site.ground(deployment), files)


def _is_there(deployment: Deployment, shown: Runnable, settings: Settings) -> bool:
    """Return whether the revision that has the traffic is the one that was asked for."""
    if deployment.serving is None:
        return False
    serving = deployment.revision(deployment.serving)
    return serving.image == str(shown.image.digest) and serving.settings == settings


def _moved(
    deployment: Deployment, wanted: Deployment, site: Site, files: DeploymentFiles
) -> Deployment:
    """Change the address, the port and the restart policy to the wanted ones, and nothing else.

    Raises:
        MealkitError: the front cannot use the address; it has the one before.
    """
    fields = ("address", "port", "restart")
    moved = deployment.model_copy(update={item: getattr(wanted, item) for item in fields})
    if moved == deployment or moved.serving is None:
        return moved
    files.write(moved)
    ground = site.ground(moved)
    name = container_name(moved.name, moved.serving)
    ground.client.set_restart(name, Restart(moved.restart))
    try:
        return whole(moved, ground, files)
    except (MealkitError, KeyboardInterrupt):
        files.write(deployment)
        whole(deployment, site.ground(deployment), files)
        raise


def _options(
    request: UpRequest, run: RunRequest, ground: Ground, listener: TestListener
) -> Options:
    key, kept = _test_key(run)
    options = Options(run.timeout_seconds, request.watch, test_key=kept, reason=request.reason)
    chosen = request.tests
    if chosen is None:
        return options
    return replace(
        options,
        tester=lambda started: judge_revision(started, chosen, run, key, ground, listener),
    )


def _test_key(run: RunRequest) -> tuple[str | None, KeyHash | None]:
    """Return a key for the tests of one revision, if its callers need one; it is never written."""
    return new_key(_TEST_KEY) if run.keys is not None else (None, None)


def _note_unfit(error: MealkitError, request: UpRequest, files: DeploymentFiles) -> None:
    """Write to the history why nothing was started."""
    first = error.problems[0]
    result = GateResult(
        gate=Gate.PREFLIGHT,
        passed=False,
        reason=one_line(first.message)[:1000],
        code=first.code,
        measured=first.measured and one_line(first.measured)[:1000],
        required=first.required and one_line(first.required)[:1000],
        owner=first.owner,
    )
    event = Event(
        seconds=time.time(),
        user=user_name(),
        kind=EventKind.UNFIT,
        reason=request.reason,
        gate=result,
    )
    files.append(event)


def _note_asked(deployment: Deployment, revision: Revision, files: DeploymentFiles) -> None:
    files.write(deployment)
    _note(files, EventKind.ASKED, revision, revision.reason)


def _note(files: DeploymentFiles, kind: EventKind, revision: Revision, reason: str) -> None:
    files.append(
        Event(
            seconds=time.time(),
            user=user_name(),
            kind=kind,
            revision=revision.number,
            kit=revision.kit,
            image=revision.image,
            recipe=revision.recipe,
            reason=reason,
        )
    )


def _come_up(deployment: Deployment, ground: Ground, *, did: bool = True) -> Changed:
    set_unit(deployment, ground.home, ground.progress)
    return _changed(deployment, did=did)


def _changed(deployment: Deployment, *, did: bool = True) -> Changed:
    serving = deployment.serving
    return Changed(deployment, None if serving is None else deployment.revision(serving), did)
