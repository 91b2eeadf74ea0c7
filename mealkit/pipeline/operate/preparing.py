"""Gets a new revision's image on a machine that fits, and decides if the old one stops first."""

from dataclasses import dataclass, replace

from mealkit.deploy.deployment import Deployment
from mealkit.pipeline.machine.machine_facts import host_facts
from mealkit.pipeline.machine.stated_needs import Stated
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.placing import Placement, Use, place, use_of
from mealkit.pipeline.operate.revision_containers import Ground, containers_of
from mealkit.pipeline.run.container_spec import Runnable
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import check_machine, open_to_run, runnable, stated_needs
from mealkit.preflight.facts import Facts


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image in the local store that may run on this machine."""

    shown: Runnable
    stop_reason: str | None
    """Why the old revision has to stop before it starts, with the numbers; None: both fit."""


def prepare(run: RunRequest, known: Deployment | None, site: Site) -> Prepared:
    """Check the machine, and build or pull the image.

    Raises:
        PreflightError: this machine does not fit.
        TrustError: a policy of this machine refuses the image.
    """
    home, progress = site.home, site.progress
    facts = host_facts(home)
    use = None if known is None else _use(known, facts, site.ground(known))
    # The port is the front's, which has it already, unless another one is asked for.
    has_port = known is not None and use is not None and run.port == known.port
    inner = replace(run, port=0) if has_port else run

    def checked(stated: Stated) -> str | None:
        placement = Placement(facts, None) if use is None else place(stated, facts, use)
        check_machine(stated, inner, placement.facts, home, progress)
        return placement.reason

    opened = open_to_run(run, home, progress)
    stated = stated_needs(opened, run, home, progress)
    reason = checked(stated) if stated is not None else None
    shown = runnable(opened, run, home, progress)
    if stated is None or shown.lock.requirements != stated.requirements:
        reason = checked(shown.stated)
    return Prepared(shown, reason)


def stop_reason(stated: Stated, deployment: Deployment, ground: Ground) -> str | None:
    """Return why the revision that has the traffic has to stop before another starts."""
    facts = host_facts(ground.home)
    use = _use(deployment, facts, ground)
    return None if use is None else place(stated, facts, use).reason


def _use(deployment: Deployment, facts: Facts, ground: Ground) -> Use | None:
    """Return what the revision that has the traffic uses; None: there is none."""
    if deployment.serving is None:
        return None
    container = containers_of(deployment.name, ground).get(deployment.serving)
    return Use() if container is None else use_of(container, ground.client, facts)
