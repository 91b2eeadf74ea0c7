"""Reads the state of deployments: which revision has the traffic, its health, its restarts."""

from dataclasses import dataclass
from typing import Any

from mealkit.deploy.deployment import Deployment, Revision
from mealkit.errors import MealkitError
from mealkit.pipeline.deployment_files import DeploymentFiles, deployment_names
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.revision_containers import Ground, containers_of
from mealkit.pipeline.operate.upgrading import repaired

_HEALTH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """One deployment now."""

    deployment: Deployment
    health: str
    """ready, or in a few words why not."""
    restarts: int | None
    """How often the container client started the container again; None: it does not say."""

    @property
    def serving(self) -> Revision | None:
        """The revision that has the traffic."""
        number = self.deployment.serving
        return None if number is None else self.deployment.revision(number)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        form: dict[str, Any] = self.deployment.model_dump(mode="json")
        return {
            **form,
            "url": self.deployment.url,
            "health": self.health,
            "restarts": self.restarts,
        }


def statuses(name: str | None, site: Site) -> list[DeploymentStatus]:
    """Return the state of one deployment, or of all, after repairing what was interrupted.

    A problem of one deployment is a notice, and its health says so; the others are shown. Without
    a name, one whose file cannot be read is left out.

    Raises:
        DeploymentError: ``DEPLOYMENT_NOT_FOUND``, there is no deployment of the name;
            ``DEPLOYMENT_INVALID``, its file cannot be read.
    """
    if name is not None:
        return [_status(name, site)]
    found = []
    for item in deployment_names(site.home):
        try:
            found.append(_status(item, site))
        except MealkitError as error:  # its file cannot be read
            for one in error.problems:
                site.progress.notice(one)
    return found


def _status(name: str, site: Site) -> DeploymentStatus:
    try:
        deployment = repaired(name, site)
    except MealkitError as error:
        found = DeploymentFiles(site.home, name).required()
        code = error.problems[0].code
        if code == "DEPLOYMENT_BUSY":
            return DeploymentStatus(found, f"changing: {error.problems[0].message}", None)
        for item in error.problems:
            site.progress.notice(item)
        return DeploymentStatus(found, f"down: {code}", None)
    if deployment.serving is None:
        return DeploymentStatus(deployment, "down", None)
    ground = site.ground(deployment)
    return DeploymentStatus(deployment, _health(deployment), _restarts(deployment, ground))


def _health(deployment: Deployment) -> str:
    """Ask readiness at the address that callers use."""
    import httpx2

    url = f"{deployment.url}/v1/health/ready"
    try:
        with httpx2.stream("GET", url, timeout=_HEALTH_SECONDS, trust_env=False) as answer:
            status = answer.status_code
    except httpx2.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    return "ready" if status == 200 else f"not ready ({status})"


def _restarts(deployment: Deployment, ground: Ground) -> int | None:
    container = containers_of(deployment.name, ground).get(deployment.serving or 0)
    return container.restarts if container else None
