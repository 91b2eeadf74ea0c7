"""Writes a test's report to the files that the user names, each in its format."""

from dataclasses import dataclass
from pathlib import Path

from mealkit.acceptance.report import MAX_REPORT_BYTES, Report
from mealkit.assembly.templates import template_root
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.untrusted import UntrustedError, read_file

_PAGES = frozenset({".html", ".htm"})


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where the forms of a report go; None: that form is not written."""

    html: Path | None = None
    """A page for people."""
    junit: Path | None = None
    ctrf: Path | None = None
    reproduction: Path | None = None
    """The comparison with the paper: a page if the name ends in .html, else JSON."""
    earlier: Path | None = None
    """An earlier report, as JSON, to compare with in the reproduction."""


def write_reports(report: Report, paths: ReportPaths) -> tuple[Path, ...]:
    """Write a report in each form that has a path, and return the paths.

    Raises:
        AcceptanceError: ``TEST_REPORT_INVALID`` for the earlier report, ``TEST_PACKAGE_MISSING``
            if a page needs plots and matplotlib is not installed.
        MealkitError: ``USAGE``, the paths contradict each other.
        StoreError: a file cannot be written.
    """
    from mealkit.reports.ctrf import ctrf_of
    from mealkit.reports.junit import junit_of
    from mealkit.reports.result_page import result_page

    if paths.earlier is not None and paths.reproduction is None:
        raise failure(
            "USAGE",
            "an earlier result is only compared in a reproduction report",
            hint="add --reproduction FILE",
        )
    made: dict[Path, bytes] = {}
    if paths.html is not None:
        made[paths.html] = result_page(report, template_root() / "report")
    if paths.junit is not None:
        made[paths.junit] = junit_of(report)
    if paths.ctrf is not None:
        made[paths.ctrf] = ctrf_of(report)
    if paths.reproduction is not None:
        earlier = None if paths.earlier is None else read_report(paths.earlier)
        made[paths.reproduction] = _reproduction(report, paths.reproduction, earlier)
    if not made:
        raise failure(
            "USAGE",
            "no file to write is named",
            hint="add --html FILE, --junit FILE, --ctrf FILE or --reproduction FILE",
        )
    for path, data in made.items():
        write_whole(path, data, durable=False)
    return tuple(made)


def read_report(path: Path) -> Report:
    """Read a report that ``mealkit test --json`` has written.

    Raises:
        AcceptanceError: ``TEST_REPORT_INVALID``.
    """
    try:
        return Report.read(read_file(path, MAX_REPORT_BYTES), str(path))
    except (OSError, UntrustedError) as error:
        message = f"the report cannot be read: {error}"
        raise failure("TEST_REPORT_INVALID", message, where=str(path)) from error


def _reproduction(report: Report, path: Path, earlier: Report | None) -> bytes:
    from mealkit.reports.reproduction import reproduction_of
    from mealkit.reports.reproduction_page import reproduction_page

    found = reproduction_of(report, earlier)
    if path.suffix.lower() in _PAGES:
        return reproduction_page(found, report, template_root() / "report")
    return found.as_json()
