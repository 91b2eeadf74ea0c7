"""Decides who owns a failure that only the kit itself reports.

Whatever a kit's process prints or answers is a claim of the kit. By a claim alone, a kit can make
its author the owner of a failure, but not the platform, the hardware or others. Another owner needs
facts about the machine (the kernel's counts, the preflight's measurements), or an engine that runs
none of the kit's code and depends on the thing it reports. Example: paper's code that prints an
out-of-memory error of the GPU cannot blame the hardware. The problem then reports the claim as a
claim, together with the hint that helps if the claim is true.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.errors import CATALOGUE, MealkitError, Owner, Problem, failures, problem
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import Lock
from mealkit.runtime.engine_traits import traits_of

# The owners that an engine may name if it runs none of the kit's code.
_KNOWN = frozenset({Owner.KIT_AUTHOR, Owner.PLATFORM, Owner.HARDWARE})
# The codes by which an engine may blame the caller's input.
_REFUSALS = frozenset(
    {
        *("REQUEST_INVALID", "REQUEST_UNSUPPORTED", "REQUEST_TOO_LONG", "REQUEST_TOO_LARGE"),
        *("REQUEST_MEDIA_TYPE", "INPUT_REFUSED"),
    }
)
_GPU_CODES = ("HW_", "FIT_")
_MORE_GPU_CODES = frozenset(
    {
        *("HOST_DRIVER_OLD", "HOST_DRIVER_MISSING", "HOST_NVML_MISMATCH"),
        *("HOST_TOOLKIT_MISSING", "HOST_CDI_MISSING", "HOST_PERMISSIONS"),
    }
)


@dataclass(frozen=True, slots=True)
class Attribution:
    """Which owners a kit may name for its failures."""

    runs_own_code: bool
    """Whether the kit's process runs the kit's own code."""
    uses_gpu: bool

    @classmethod
    def of(cls, lock: Lock) -> "Attribution":
        """Read it from a lock: a kit's code is the paper's code, or a wheel in the kit's folder."""
        brings_wheels = any(wheel.local for wheel in lock.engine.packages)
        return cls(
            brings_wheels or traits_of(lock.engine.name).runs_kit_code,
            lock.requirements.gpu is not Gpu.NONE,
        )

    def of_end(self, claim: Problem, code: str, what: str) -> Problem:
        """Return the problem of a process that ended, whose log resembles ``claim``.

        ``what`` says how it ended; ``code`` is the problem's code if the claim does not count.
        """
        if claim.owner is Owner.KIT_AUTHOR:
            return claim
        is_believed = not self.runs_own_code and claim.owner in _KNOWN
        if is_believed and (self.uses_gpu or not _is_about_gpus(claim.code)):
            return claim
        return suspected(claim, code, what)

    def of_answer(self, claims: Sequence[Problem]) -> MealkitError:
        """Return the error of a request that the engine answered with ``claims``."""
        return failures([self._of_claim(claim) for claim in claims])

    def _of_claim(self, claim: Problem) -> Problem:
        if not self.runs_own_code or claim.owner is Owner.KIT_AUTHOR or claim.code in _REFUSALS:
            return claim
        return suspected(claim, "ENGINE_ANSWER", "the engine failed on the request")


def suspected(claim: Problem, code: str, what: str) -> Problem:
    """Return a problem of ``code`` that reports the claim as a claim."""
    first, *rest = claim.sentence.split("\n")
    claimed = f"the output resembles {claim.code} ({claim.owner})"
    message = f"{what}; {claimed}, but only the kit's own output says so"
    return problem(
        code,
        "\n".join([f"{message}: {first}", *rest]),
        hint=f"{CATALOGUE[code].fix}; if it is {claim.code}: {claim.hint}",
    )


def _is_about_gpus(code: str) -> bool:
    return code.startswith(_GPU_CODES) or code in _MORE_GPU_CODES
