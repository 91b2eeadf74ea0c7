"""mealkit version: print the versions for a bug report."""

import platform

from mealkit import __version__
from mealkit.cli.options import Json
from mealkit.cli.output import print_json, print_line

EXAMPLES = ("mealkit version", "mealkit version --json")


def version(*, as_json: Json = False) -> None:
    """Print the versions of mealkit, Python and the machine."""
    if as_json:
        facts = {"python": platform.python_version(), "platform": platform.platform()}
        print_json({"mealkit": __version__, **facts})
    else:
        print_version()


def print_version() -> None:
    """Print the versions in one line."""
    print_line(f"mealkit {__version__} (Python {platform.python_version()}, {platform.machine()})")
