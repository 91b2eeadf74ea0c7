"""Facts against requirements: only what is certain blocks, and numbers stand side by side."""

from pathlib import Path

import pytest
from fakes.engines import report_of
from fakes.gpu_servers import (
    WARNS,
    gpu,
    look,
    server,
)
from fakes.machines import made_facts
from fakes.machines import made_facts as facts
from fakes.needs import GIB, cpu_needs, gpu_needs

from mealkit.errors import CATALOGUE
from mealkit.preflight.disk import Disk
from mealkit.preflight.finding import Severity, Verdict
from mealkit.preflight.nvidia import Access, Nvidia
from mealkit.preflight.run import CHECKS
from mealkit.recipe.kit import Architecture, Gpu
from mealkit.recipe.requirements import Requirements


def requirements(**changes):
    values = {
        "architectures": (Architecture.AMD64,),
        "gpu": Gpu.NONE,
        "memory_bytes": 8 * GIB,
        "disk_bytes": 10 * GIB,
        "weights_bytes": 4 * GIB,
    }
    return Requirements(**(values | changes))


def test_fits():
    """A machine with all that is needed fits; what does not apply is not reported."""
    report = report_of(facts(), requirements())
    assert report.verdict is Verdict.FITS
    assert [item.code for item in report.findings] == ["HOST_ARCHITECTURE", "HOST_MEMORY"]
    assert (report.blockers, report.warnings) == ([], [])


def test_other_architecture_blocks():
    """Another architecture cannot run the image."""
    report = report_of(facts(architecture="arm64"), requirements())
    assert report.verdict is Verdict.DOES_NOT_FIT
    (problem,) = report.blockers
    assert problem.sentence == "processor architecture: measured arm64, required amd64"


@pytest.mark.parametrize(
    ("changes", "severity", "measured"),
    [
        # The estimate does not hold: uncertain.
        ({"memory_total_bytes": 7 * GIB}, Severity.WARNS, "7.0 GiB"),
        ({"memory_limit_bytes": 7 * GIB}, Severity.WARNS, "7.0 GiB"),
        # The weights alone do not fit: certain.
        ({"memory_total_bytes": 3 * GIB}, Severity.BLOCKS, "3.0 GiB"),
        ({"memory_limit_bytes": 3 * GIB}, Severity.BLOCKS, "3.0 GiB"),
        # Others use it now, and may stop.
        ({"memory_available_bytes": 2 * GIB}, Severity.WARNS, "2.0 GiB"),
        ({"memory_total_bytes": None, "memory_available_bytes": None}, Severity.WARNS, "unknown"),
        ({"memory_available_bytes": None}, Severity.PASSES, "16.0 GiB"),
    ],
)
def test_memory(changes, severity, measured):
    """Memory blocks only when the weights alone are more than there can ever be."""
    (finding,) = [
        item
        for item in report_of(facts(**changes), requirements()).findings
        if item.code == "HOST_MEMORY"
    ]
    assert (finding.severity, finding.measured) == (severity, measured)
    assert finding.required == "8.0 GiB (4.0 GiB of weights)"
    assert ("cgroup" in finding.message) == ("memory_limit_bytes" in changes)


def test_memory_of_a_kit_for_the_gpu():
    """With a GPU the weights need not stay in memory, so nothing is certain."""
    needs = requirements(gpu=Gpu.REQUIRED)
    machine = facts(memory_total_bytes=3 * GIB, gpu_devices=("nvidia0",))
    assert report_of(machine, needs).verdict is Verdict.UNCERTAIN


def test_disk():
    """Disk is held against what will be written, if anything will."""
    path = Path("/store")
    machine = facts(disks=(Disk(path=path, free_bytes=9 * GIB, total_bytes=10 * GIB),))
    report = report_of(machine, requirements(), disk_path=path)
    (problem,) = report.blockers
    assert (problem.code, problem.owner) == ("HOST_DISK", "platform")
    assert problem.sentence == "free space at /store: measured 9.0 GiB, required 10.0 GiB"
    less = report_of(machine, requirements(), disk_path=path, disk_bytes=GIB)
    assert less.verdict is Verdict.FITS
    unknown = report_of(facts(), requirements(), disk_path=path)
    assert unknown.verdict is Verdict.UNCERTAIN
    nothing_left_to_write = report_of(machine, requirements(), disk_path=path, disk_bytes=0)
    assert nothing_left_to_write.verdict is Verdict.FITS


def test_gpu():
    """A GPU that is required must be seen; a driver without a device has its own fix."""
    needs = requirements(gpu=Gpu.REQUIRED)
    loaded = Nvidia(access=Access.NO_LIBRARY, reason="no such file", driver="550.54.15")
    (problem,) = report_of(facts(), needs).blockers
    assert (problem.code, problem.owner) == ("HW_NO_GPU", "hardware")
    (problem,) = report_of(facts(nvidia=loaded), needs).blockers
    assert "550.54.15 is loaded" in (problem.measured or "")
    assert "--gpus all" in problem.hint
    (passed,) = [
        item
        for item in report_of(facts(gpu_devices=("nvidia0",)), needs).findings
        if item.code == "HW_NO_GPU"
    ]
    assert passed.severity is Severity.PASSES
    assert report_of(facts(), requirements(gpu=Gpu.OPTIONAL)).verdict is Verdict.FITS


def test_report_as_json():
    """The JSON form has verdict, owner, measured, required and fix for each check."""
    form = report_of(facts(architecture="arm64"), requirements()).as_json()
    assert form["verdict"] == "does-not-fit"
    first = form["findings"][0]
    assert first["owner"] == "platform"
    assert first["fix"]
    told = {"code", "owner", "severity", "measured", "required", "message", "fix"}
    assert set(first) == told | {"rule", "source"}


def test_every_check_is_in_the_catalogue():
    """Each has a code of its own, with an owner and a fix there, a rule and a source here."""
    assert len({check.code for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert CATALOGUE[check.code].fix
        assert check.rule
        assert check.source


def test_optional_gpu_stops_nothing():
    """A kit that can do without a GPU is only warned of one that is too small."""
    needs = gpu_needs(gpu=Gpu.OPTIONAL)
    report = report_of(server(gpu(memory_total_bytes=12 * GIB)), needs)
    assert report.verdict.value == "uncertain"
    assert look("FIT_VRAM", server(gpu(memory_total_bytes=12 * GIB)), needs).severity is WARNS
    assert report_of(made_facts(memory_available_bytes=16 * GIB), needs).verdict.value == "fits"


def test_needs_of_an_older_kit_leave_doubts():
    """A kit that states only what kits first stated is not passed in silence on a GPU."""
    needs = cpu_needs(gpu=Gpu.REQUIRED, architectures=(Architecture.AMD64,))
    report = report_of(server(), needs)
    assert report.verdict.value == "uncertain"
    doubts = {item.code for item in report.findings if item.severity is WARNS}
    assert doubts == {"HOST_DRIVER_OLD", "HW_ARCHLIST", "FIT_VRAM"}
