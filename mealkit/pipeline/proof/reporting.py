"""Writes the result of a test to the files that the user names, each in its format."""

from dataclasses import dataclass
from pathlib import Path

from mealkit.acceptance.report import MAX_REPORT_BYTES, Report
from mealkit.assembly.templates import template_root
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.untrusted import UntrustedError, read_file


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where the forms of a result go; None: that form is not written."""

    page: Path | None = None
    """The result as a page with plots."""
    data: Path | None = None
    """The result as JSON."""
    junit: Path | None = None
    ctrf: Path | None = None
    reproduction: Path | None = None
    """The comparison with the paper: a page if the name ends in .html, else JSON."""
    earlier: Path | None = None
    """An earlier result, as JSON, to compare with in the reproduction."""


def is_page(path: Path) -> bool:
    """Return whether the name of a file asks for a page, and not for JSON."""
    return path.suffix.lower() in {".html", ".htm"}


def check_paths(paths: ReportPaths) -> None:
    """Check what can be known before a test, which may take long.

    Raises:
        MealkitError: ``USAGE``, an earlier result is named and no reproduction.
        AcceptanceError: ``TEST_REPORT_INVALID`` for the earlier result.
    """
    if paths.earlier is None:
        return
    if paths.reproduction is None:
        message = "an earlier result is compared only in a reproduction report"
        raise failure("USAGE", message, hint="add --reproduction FILE")
    read_report(paths.earlier)


def write_reports(report: Report, paths: ReportPaths) -> tuple[Path, ...]:
    """Write a result in each form that has a path, and return the paths.

    Raises:
        MealkitError: as `check_paths`.
        AcceptanceError: ``TEST_PACKAGE_MISSING``, a page needs matplotlib for its plots.
        StoreError: a file cannot be written.
    """
    from mealkit.reports.ctrf import ctrf_of
    from mealkit.reports.junit import junit_of
    from mealkit.reports.result_page import result_page

    check_paths(paths)
    made: dict[Path, bytes] = {}
    if paths.page is not None:
        made[paths.page] = result_page(report, template_root() / "report")
    if paths.data is not None:
        made[paths.data] = report.as_json()
    if paths.junit is not None:
        made[paths.junit] = junit_of(report)
    if paths.ctrf is not None:
        made[paths.ctrf] = ctrf_of(report)
    if paths.reproduction is not None:
        earlier = None if paths.earlier is None else read_report(paths.earlier)
        made[paths.reproduction] = _reproduction(report, paths.reproduction, earlier)
    for path, data in made.items():
        write_whole(path, data, durable=False)
    return tuple(made)


def read_report(path: Path) -> Report:
    """Read a result that ``mealkit test --json`` has written.

    Raises:
        AcceptanceError: ``TEST_REPORT_INVALID``.
    """
    try:
        return Report.read(read_file(path, MAX_REPORT_BYTES), str(path))
    except (OSError, UntrustedError) as error:
        message = f"the file cannot be read: {error}"
        raise failure("TEST_REPORT_INVALID", message, where=str(path)) from error


def _reproduction(report: Report, path: Path, earlier: Report | None) -> bytes:
    from mealkit.reports.reproduction import reproduction_of
    from mealkit.reports.reproduction_page import reproduction_page

    found = reproduction_of(report, earlier)
    if is_page(path):
        return reproduction_page(found, report, template_root() / "report")
    return found.as_json()
