"""Pulls an image into a home: ``python -m benchmarks.pulling REFERENCE HOME``.

What ``mealkit run REFERENCE`` does before it starts anything, as a process to be measured.
"""

import sys
from pathlib import Path

from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.pulling import pull
from mealkit.pipeline.policy.admitting import acceptance
from mealkit.preflight.facts import read_facts
from mealkit.progress import Silent


def main(reference: str, home: str) -> None:
    """Pull one image."""
    named, progress = Reference.parse(reference), Silent()
    accept = acceptance(named, progress)
    pull(named, read_facts().architecture, Home(Path(home)), progress, accept=accept)


if __name__ == "__main__":
    main(*sys.argv[1:])
