"""Completes names in the shell: kits that run here, images, deployments, folders of kits, codes.

Every function returns what begins with the typed text, and nothing if a source fails: a shell shows
no problems. None asks a registry, and none waits for a container client that does not answer.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mealkit.errors import CATALOGUE

if TYPE_CHECKING:
    from mealkit.pipeline.home import Home

_KIT_FILE = "kit.yaml"
_MOST_ENTRIES = 2000

Source = Callable[["Home"], Iterable[str]]


def _completed(context: typer.Context, incomplete: str, *sources: Source) -> list[str]:
    from mealkit.pipeline.home import home_at

    try:
        home = home_at(context.find_root().params.get("home"))
    except Exception:  # noqa: BLE001  the shell would print it into the command line
        return []
    found: set[str] = set()
    for source in sources:
        try:
            found.update(source(home))
        except Exception:  # noqa: BLE001, S112  as above
            continue
    return sorted(name for name in found if name.startswith(incomplete))


def _stored(home: "Home") -> Iterable[str]:
    from mealkit.stores.local import LocalStore

    return LocalStore(home.store).index().names()


def _deployed(home: "Home") -> Iterable[str]:
    from mealkit.pipeline.deployment_files import deployment_names

    return deployment_names(home)


def _running(home: "Home") -> Iterable[str]:
    from mealkit.containers.running_names import running_names

    return running_names(home.runs, home.id)


def _folders(incomplete: str) -> Source:
    """Return the folders of kits below what was typed, as the shell would write them."""

    def below(_: "Home") -> Iterator[str]:
        start, slash, _begun = incomplete.rpartition("/")
        folder = Path(start or slash or ".").expanduser()
        prefix = f"{start}/" if slash else ""
        for count, path in enumerate(folder.iterdir()):
            if count >= _MOST_ENTRIES:
                return
            if (path / _KIT_FILE).is_file():
                yield f"{prefix}{path.name}"

    return below


def stored_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names in the local store; the shell completes files if there are none."""
    return _completed(context, incomplete, _stored)


def kit_folders(context: typer.Context, incomplete: str) -> list[str]:
    """Return the folders of kits; the shell completes files if there are none."""
    return _completed(context, incomplete, _folders(incomplete))


def kits_and_images(context: typer.Context, incomplete: str) -> list[str]:
    """Return the folders of kits, and the names in the local store."""
    return _completed(context, incomplete, _folders(incomplete), _stored)


def kits_to_ask(context: typer.Context, incomplete: str) -> list[str]:
    """Return what can be asked: running kits, deployments, folders of kits, images."""
    sources = (_running, _deployed, _folders(incomplete), _stored)
    return _completed(context, incomplete, *sources)


def running_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the kits and deployments of this machine."""
    return _completed(context, incomplete, _running, _deployed)


def deployed_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of this machine's deployments."""
    return _completed(context, incomplete, _deployed)


def problem_codes(incomplete: str) -> list[str]:
    """Return the codes of problems, in whatever case they are typed."""
    return [code for code in CATALOGUE if code.startswith(incomplete.upper())]


def engine_names(incomplete: str) -> list[str]:
    """Return the names of the engines."""
    try:
        from mealkit.engines.registry import engine_names as known

        return [name for name in known() if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001  the shell would print it into the command line
        return []
