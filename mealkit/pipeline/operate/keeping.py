"""Stays with a deployment, and starts what has ended again: for machines without an engine."""

from collections.abc import Callable

from mealkit.errors import MealkitError
from mealkit.pipeline.deployment_files import DeploymentFiles
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.recovering import is_whole
from mealkit.pipeline.operate.upgrading import repaired

_LOOK_SECONDS = 5.0
_LONGEST_SECONDS = 300.0


def keep(name: str, site: Site, wait: Callable[[float], bool]) -> None:
    """Make a deployment whole whenever it is not, until it is down or ``wait`` returns true.

    After a failure the next try is later.
    """
    files, pause = DeploymentFiles(site.home, name), _LOOK_SECONDS
    while True:
        try:
            deployment = files.read()
            if deployment is None or (deployment.serving is None and deployment.change is None):
                return
            # Without the lock, which a command of the user may want just now.
            if not is_whole(deployment, site.ground(deployment)):
                repaired(name, site)
            pause = _LOOK_SECONDS
        except MealkitError as error:
            if error.problems[0].code != "DEPLOYMENT_BUSY":
                site.progress.notice(error.problems[0])
                pause = min(2 * pause, _LONGEST_SECONDS)
        if wait(pause):
            return
