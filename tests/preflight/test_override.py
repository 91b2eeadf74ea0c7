"""An override lifts what blocks, with a reason that stays with the container."""

import pytest
from fakes.engines import report_of
from fakes.machines import made_facts
from fakes.needs import GIB, cpu_needs

from mealkit.errors import ContainerError, KitError
from mealkit.preflight.finding import Severity, Verdict
from mealkit.preflight.override import (
    apply,
    labels,
    overrides_of,
    read_overrides,
    variables,
)

ARM = made_facts(architecture="arm64", memory_total_bytes=7 * GIB)


def test_lifts_what_blocks_and_nothing_else():
    """The verdict becomes uncertain; warnings stay warnings."""
    overrides = {"HOST_ARCHITECTURE": "runs in an emulator", "HOST_MEMORY": "it is enough"}
    report = apply(report_of(ARM, cpu_needs()), overrides)
    assert report.verdict is Verdict.UNCERTAIN
    assert report.blockers == []
    (lifted,) = report.overridden
    assert (lifted.code, lifted.reason) == ("HOST_ARCHITECTURE", "runs in an emulator")
    assert lifted.as_json()["reason"] == "runs in an emulator"
    memory = next(item for item in report.findings if item.code == "HOST_MEMORY")
    assert (memory.severity, memory.reason) == (Severity.WARNS, None)
    assert report.deciding is lifted


def test_of_the_command_line():
    """One reason for each, or one for all; white space does not count."""
    assert overrides_of([], []) == {}
    assert overrides_of(["HW_ECC"], ["  tested\n twice "]) == {"HW_ECC": "tested twice"}
    both = overrides_of(["HW_ECC", "HOST_SHM"], ["tested"])
    assert both == {"HW_ECC": "tested", "HOST_SHM": "tested"}


@pytest.mark.parametrize(
    ("codes", "reasons"),
    [
        (["HW_ECC"], []),
        ([], ["why not"]),
        (["HW_ECC"], ["one", "two"]),
        (["HW_ECC"], ["  "]),
        (["HW_ECC"], ["x" * 501]),
        (["SOURCE_DIGEST"], ["trust me"]),
        (["EVERYTHING"], ["trust me"]),
    ],
)
def test_wrong_use(codes, reasons):
    """A code without a reason, a reason without a code, and codes that no check has."""
    with pytest.raises(KitError) as caught:
        overrides_of(codes, reasons)
    assert caught.value.problems[0].code == "USAGE"


def test_handed_on_to_the_container():
    """By its environment, and recorded in its labels."""
    overrides = {"HW_ECC": 'it says "fine"', "HOST_SHM": "small model"}
    assert read_overrides(variables(overrides)) == overrides
    assert read_overrides({}) == {}
    assert variables({}) == {}
    assert labels(overrides) == {
        "dev.mealkit.override.HW_ECC": 'it says "fine"',
        "dev.mealkit.override.HOST_SHM": "small model",
    }


@pytest.mark.parametrize("text", ["HW_ECC", "[]", '{"HW_ECC": 1}', '{"HW_ECC": ""}', '{"NO": "x"}'])
def test_environment_that_cannot_be_read(text):
    """The container does not start with half of what was meant."""
    with pytest.raises(ContainerError) as caught:
        read_overrides({"MEALKIT_OVERRIDES": text})
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("CONFIG_INVALID", "MEALKIT_OVERRIDES")
