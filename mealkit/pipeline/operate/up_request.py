"""The options of ``mealkit up``; those that the command does not state come from the deployment."""

import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mealkit.addresses import LOOPBACK
from mealkit.deploy.deployment import Deployment, Revision, Settings
from mealkit.deploy.watch import WatchLimits
from mealkit.errors import failure
from mealkit.pipeline.deployment_files import user_name
from mealkit.pipeline.operate.boot_units import require_restart
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.testing_revisions import Chosen
from mealkit.pipeline.run.caller_access import access_of
from mealkit.pipeline.run.container_spec import Runnable
from mealkit.pipeline.run.run_request import RunRequest

RestartPolicy = Literal["no", "on-failure", "unless-stopped", "always"]


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


def settled(request: UpRequest, known: Deployment | None) -> RunRequest:
    """Return the options of the container; those that belong to a deployment come from it.

    Raises:
        DeploymentError: ``DEPLOYMENT_CLIENT``.
        ContainerError: ``KEYS_MISSING``.
    """
    address = request.address or (known.address if known else LOOPBACK)
    run = replace(request.run, name=None, address=address)
    if known is not None:
        is_down = known.serving is None and known.change is None
        if run.client not in {None, known.client} and not is_down:
            raise failure("DEPLOYMENT_CLIENT", f"{known.name} runs in {known.client}")
        run = replace(run, client=run.client or known.client, port=run.port or known.port)
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


def deployment_for(
    request: UpRequest, run: RunRequest, known: Deployment | None, shown: Runnable, site: Site
) -> Deployment:
    """Return the deployment with the address, port, client and restart policy asked for."""
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
    stated = {"address": run.address, "port": port, "restart": restart, "client": client}
    return known.model_copy(update=stated)


def settings_of(run: RunRequest) -> Settings:
    """Return the options that a revision is started with again."""
    return Settings(
        embedded=run.embedded,
        architecture=run.architecture,
        origins=run.origins,
        overrides=dict(run.overrides),
        keys=str(run.keys.resolve()) if run.keys else None,
        ops=run.ops,
    )


def new_revision(
    deployment: Deployment, request: UpRequest, shown: Runnable, settings: Settings
) -> Revision:
    """Return the next revision of a deployment."""
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
