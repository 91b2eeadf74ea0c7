"""The preflight: compares facts about a machine with a kit's requirements. No I/O."""

from collections.abc import Sequence
from dataclasses import replace

from mealkit.preflight.checks import (
    architecture,
    cdi,
    clock,
    container_toolkit,
    context,
    driver,
    driver_library,
    dtype,
    ecc,
    free_disk,
    gpu,
    gpu_builds,
    gpu_count,
    gpu_lost,
    heads,
    host_memory,
    instruction_sets,
    mig,
    mismatch,
    open_files,
    permissions,
    port,
    quantisation,
    shared_memory,
    vram,
    writable_folders,
)
from mealkit.preflight.devices import devices_of
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Report, Severity
from mealkit.recipe.kit import Gpu
from mealkit.recipe.requirements import Requirements

CHECKS: Sequence[Check] = (
    architecture.CHECK,
    instruction_sets.CHECK,
    host_memory.CHECK,
    free_disk.CHECK,
    writable_folders.CHECK,
    mismatch.CHECK,
    driver_library.CHECK,
    gpu.CHECK,
    gpu_lost.CHECK,
    gpu_count.CHECK,
    driver.CHECK,
    quantisation.CHECK,
    gpu_builds.CHECK,
    dtype.CHECK,
    heads.CHECK,
    mig.CHECK,
    vram.CHECK,
    context.CHECK,
    ecc.CHECK,
    container_toolkit.CHECK,
    cdi.CHECK,
    permissions.CHECK,
    shared_memory.CHECK,
    open_files.CHECK,
    clock.CHECK,
    port.CHECK,
)
"""Every check, in the order of the report: findings that explain others come first."""


def preflight(facts: Facts, requirements: Requirements, context: Context) -> Report:
    """Run every check that applies; the host and the container use the same code.

    A kit that does not need a GPU is not blocked by an unsuitable one.
    """
    applying = [check for check in CHECKS if _applies(check, facts, requirements)]
    found = [_look(check, facts, requirements, context) for check in applying]
    return Report(tuple(finding for finding in found if finding is not None))


def _applies(check: Check, facts: Facts, requirements: Requirements) -> bool:
    if not check.of_gpus or (check.of_caches and requirements.reserves_cache):
        return True
    if requirements.gpu is Gpu.OPTIONAL:
        return bool(devices_of(facts))
    return requirements.gpu is Gpu.REQUIRED


def _look(check: Check, facts: Facts, requirements: Requirements, where: Context) -> Finding | None:
    finding = check.look(facts, requirements, where)
    if finding is None:
        return None
    severity = finding.severity
    if check.of_gpus and requirements.gpu is Gpu.OPTIONAL and severity is Severity.BLOCKS:
        severity = Severity.WARNS
    source = finding.source or check.source
    return replace(finding, severity=severity, rule=check.rule, source=source)
