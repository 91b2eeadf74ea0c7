"""Checks the GPUs' memory for hardware errors."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.preflight.nvidia import NvidiaGpu
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, _requirements: Requirements, _context: Context) -> Finding | None:
    """Block if bad memory could not be replaced; warn for errors, and for a pending reset.

    Such errors cause out-of-memory errors or a dead engine later, on a GPU that other tools report
    as healthy.
    """
    gpus = [gpu for gpu in facts.nvidia.gpus if not gpu.lost]
    if not gpus:
        return None
    faults = {gpu.index: _faults(gpu) for gpu in gpus}
    bad = "; ".join(f"GPU {index}: {', '.join(words)}" for index, words in faults.items() if words)
    severity = Severity.WARNS if bad else Severity.PASSES
    if any(gpu.remap_failed for gpu in gpus):
        severity = Severity.BLOCKS
    unread = [gpu for gpu in gpus if gpu.ecc_enabled and gpu.ecc_uncorrected is None]
    if unread and not bad:
        severity, bad = Severity.WARNS, f"unknown for GPU {unread[0].index}"
        reason = unread[0].unknown.get("ecc_uncorrected")
        bad += f" ({reason})" if reason else ""
    return Finding(
        code="HW_ECC",
        severity=severity,
        measured=bad or "no error",
        required="no uncorrectable error, no reset pending",
        message="memory of the GPUs",
    )


def _faults(gpu: NvidiaGpu) -> list[str]:
    words = []
    if gpu.ecc_uncorrected:
        words.append(f"{gpu.ecc_uncorrected} uncorrectable errors")
    if gpu.remap_failed:
        words.append("bad memory that cannot be replaced")
    if gpu.remap_pending or gpu.retired_pages_pending:
        words.append("bad memory that needs a reset")
    return words


CHECK = Check(
    code="HW_ECC",
    rule="no GPU has uncorrectable memory errors, or bad memory that has yet to be replaced",
    source="https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/",
    look=look,
)
