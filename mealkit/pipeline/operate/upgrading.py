"""Starts, upgrades, rolls back and takes down a deployment on this machine."""

import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mealkit.acceptance.target import TestListener
from mealkit.addresses import LOOPBACK
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
from mealkit.deploy.watch import WatchLimits
from mealkit.errors import MealkitError, failure
from mealkit.names import one_line
from mealkit.pipeline.deployment_files import DeploymentFiles, user_name
from mealkit.pipeline.operate.boot_units import remove_unit, require_restart, set_unit
from mealkit.pipeline.operate.changing import Changing, Options
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.preparing import Prepared, prepare, stop_reason
from mealkit.pipeline.operate.recovering import whole, whole_or_abandoned
from mealkit.pipeline.operate.revision_containers import Ground, require_own_name, runnable_of
from mealkit.pipeline.operate.testing_revisions import Chosen, judge_revision
from mealkit.pipeline.run.caller_access import access_of
from mealkit.pipeline.run.container_spec import Runnable
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.runtime.gateway.keys import KeyHash, new_key

RestartPolicy = Literal["no", "on-failure", "unless-stopped", "always"]
_TEST_KEY = "mealkit-up"


@dataclass(frozen=True, slots=True)
class UpRequest:
    """The options of ``mealkit up``."""

    name: str
    run: RunRequest
    reason: str = ""
    address: str | None = None
    """None: that of the deployment, or 127.0.0.1."""
    restart: RestartPolicy | None = None
    """None: that of the deployment, or unless-stopped."""
    tests: Chosen | None = field(default_factory=Chosen)
    """Which claims are tested before the traffic moves; None: none."""
    watch: WatchLimits = field(default_factory=WatchLimits)
    wait: bool = False
    """Whether to wait while another command changes the deployment."""
    stops_first: bool = False
    """Whether the old revision stops before the new one starts, even if both fit."""
    inherits: bool = True
    """Whether keys, origins and ops that are not stated are those of the revision before."""


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
    doing = f"mealkit up {request.name}"
    with files.changing(doing, wait=request.wait, progress=site.progress):
        known = files.read()
        run = _settled(request, known)
        if known is not None:
            known = whole_or_abandoned(known, site.ground(known), files)
        try:
            prepared = prepare(run, known, site)
        except MealkitError as error:
            if known is not None:
                _note_unfit(error, request, files)
            raise
        shown = prepared.shown
        deployment = _deployment_for(request, run, known, shown, site)
        ground = site.ground(deployment)
        require_own_name(deployment.name, ground)
        if known is not None and _is_there(known, shown, _settings(run)):
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
    revision = _new_revision(deployment, request, prepared.shown, _settings(run))
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


def _settled(request: UpRequest, known: Deployment | None) -> RunRequest:
    """Return the options of the container; those that belong to a deployment come from it.

    Raises:
        DeploymentError: ``DEPLOYMENT_CLIENT``.
        ContainerError: ``KEYS_MISSING``.
    """
    address = request.address or (known.address if known else LOOPBACK)
    run = replace(request.run, name=None, address=address)
    if known is not None:
        if run.client not in {None, known.client}:
            raise failure("DEPLOYMENT_CLIENT", f"{known.name} runs in {known.client}")
        run = replace(run, client=known.client, port=run.port or known.port)
        if request.inherits and known.served:
            run = _inherited(run, known.revision(known.served[-1]).settings)
    access_of(run.address, run.keys, run.origins)
    return run


def _inherited(run: RunRequest, before: Settings) -> RunRequest:
    """Return the options with what protects the revision before: keys, origins, ops.

    An upgrade that names only the new image must not open the address to callers without a key, or
    end the budgets and the audit log.
    """
    keys = Path(before.keys) if before.keys else None
    return replace(
        run,
        keys=run.keys or keys,
        origins=run.origins or before.origins,
        ops=before.ops if run.ops is None else run.ops,
    )


def _deployment_for(
    request: UpRequest, run: RunRequest, known: Deployment | None, shown: Runnable, site: Site
) -> Deployment:
    from mealkit.containers.select import choose

    port = run.port if run.port is not None else known.port if known else shown.lock.serving.port
    restart = request.restart or (known.restart if known else "unless-stopped")
    client = choose(site.clients, run.client).name
    require_restart(client, restart)
    if known is None:
        return Deployment(
            name=request.name,
            id=secrets.token_hex(8),
            address=run.address,
            port=port,
            client=client,
            restart=restart,
        )
    return known.model_copy(update={"address": run.address, "port": port, "restart": restart})


def _settings(run: RunRequest) -> Settings:
    return Settings(
        embedded=run.embedded,
        architecture=run.architecture,
        origins=run.origins,
        overrides=dict(run.overrides),
        keys=str(run.keys.resolve()) if run.keys else None,
        ops=run.ops,
    )


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
    stated = {"address": wanted.address, "port": wanted.port, "restart": wanted.restart}
    moved = deployment.model_copy(update=stated)
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


def _new_revision(
    deployment: Deployment, request: UpRequest, shown: Runnable, settings: Settings
) -> Revision:
    return Revision(
        number=deployment.next_number,
        reference=request.run.target,
        settings=settings,
        user=user_name(),
        created_seconds=time.time(),
        reason=request.reason,
        kit=shown.kit,
        image=str(shown.image.digest),
        recipe=str(shown.lock.recipe),
        built_here=shown.built_here,
    )


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
