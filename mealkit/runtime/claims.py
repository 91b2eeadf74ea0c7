"""Whose a failure is, where only the kit itself tells of it.

What a kit's process prints, states or answers is the kit's word. By its word alone a kit can take a
failure upon itself, and not hand it to the platform, the hardware or anybody else. That takes facts
of the machine (what the kernel counted, what the preflight measured), or an engine that runs no
code of the kit's and needs what it complains about. Refuses nothing: a word that is not enough is
told as what it is, beside the hint that would help if it were true.
"""

from dataclasses import dataclass

from mealkit.errors import CATALOGUE, Owner, Problem, problem
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import Lock
from mealkit.runtime.engine_traits import traits_of

# What an engine may know, if it runs nothing that a kit brings, of the world outside of it.
_KNOWN = frozenset({Owner.KIT_AUTHOR, Owner.PLATFORM, Owner.HARDWARE})
# Who refuses an input may blame it.
_REFUSALS = frozenset(
    {"REQUEST_INVALID", "REQUEST_UNSUPPORTED", "REQUEST_TOO_LONG", "REQUEST_TOO_LARGE"}
)
_GPU_CODES = ("HW_", "FIT_")
_MORE_GPU_CODES = frozenset(
    {
        *("HOST_DRIVER_OLD", "HOST_DRIVER_MISSING", "HOST_NVML_MISMATCH"),
        *("HOST_TOOLKIT_MISSING", "HOST_CDI_MISSING", "HOST_PERMISSIONS"),
    }
)


@dataclass(frozen=True, slots=True)
class Claims:
    """How far a kit's word goes."""

    runs_own_code: bool
    """Whether its process runs code that the kit brings."""
    uses_gpu: bool

    @classmethod
    def of(cls, lock: Lock) -> "Claims":
        """Tell it from a lock: a kit's code is what its engine runs, or a wheel in its folder."""
        brings_wheels = any(wheel.local for wheel in lock.engine.packages)
        return cls(
            brings_wheels or traits_of(lock.engine.name).runs_kit_code,
            lock.requirements.gpu is not Gpu.NONE,
        )

    def of_end(self, claim: Problem, code: str, what: str) -> Problem:
        """Return the problem of a process that ended, whose last words are like ``claim``.

        ``what`` is how it ended, and ``code`` what that is if the claim is not enough.
        """
        if claim.owner is Owner.KIT_AUTHOR:
            return claim
        is_believed = not self.runs_own_code and claim.owner in _KNOWN
        if is_believed and (self.uses_gpu or not _is_about_gpus(claim.code)):
            return claim
        return suspected(claim, code, what)

    def of_answer(self, claim: Problem) -> Problem:
        """Return the problem of a request that was answered with ``claim``."""
        if not self.runs_own_code or claim.owner is Owner.KIT_AUTHOR or claim.code in _REFUSALS:
            return claim
        return suspected(claim, "ENGINE_ANSWER", "the engine failed on the request")


def suspected(claim: Problem, code: str, what: str) -> Problem:
    """Return a problem of ``code`` that tells a claim, and that it is one."""
    first, *rest = claim.sentence.split("\n")
    message = f"{what}; what it says is like {claim.code} ({claim.owner}), and only it says so"
    return problem(
        code,
        "\n".join([f"{message}: {first}", *rest]),
        hint=f"{CATALOGUE[code].fix}; if it is {claim.code}: {claim.hint}",
    )


def _is_about_gpus(code: str) -> bool:
    return code.startswith(_GPU_CODES) or code in _MORE_GPU_CODES
