"""Writes the result of a test to the files that the user names, each in its format."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mealkit.acceptance.report import MAX_REPORT_BYTES, Report
from mealkit.acceptance.salt_report import SaltReport
from mealkit.assembly.templates import template_root
from mealkit.contract.fit_report import FitReport
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.untrusted import UntrustedError, read_file

# The first member of the result of changed values, which tells it from a test's.
_SALT = b'"mealkit.salt/v1"'
_HEAD_BYTES = 200


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


def check_paths(paths: ReportPaths, *, only_result: bool = False) -> None:
    """Check what can be known before a test, which may take long.

    Raises:
        MealkitError: ``USAGE``, an earlier result is named and no reproduction; a form that the
            result of changed values does not have; or a file that is a folder.
        AcceptanceError: ``TEST_REPORT_INVALID`` for the earlier result.
    """
    if only_result and (paths.junit or paths.ctrf or paths.reproduction or paths.earlier):
        message = "the result of --salt is a page or JSON: changed values are no tests that fail"
        raise failure("USAGE", message, hint="write it with --report FILE")
    for path in (paths.page, paths.data, paths.junit, paths.ctrf, paths.reproduction):
        if path is not None and path.is_dir():
            message = "the result is written to a file, and this is a folder"
            raise failure("USAGE", message, where=str(path), hint="add the name of a file")
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
    return _write(made)


def write_salt(report: SaltReport, paths: ReportPaths) -> tuple[Path, ...]:
    """Write what changed values do to a kit as a page, or as JSON, and return the paths."""
    from mealkit.reports.salt_page import salt_page

    made: dict[Path, bytes] = {}
    if paths.page is not None:
        made[paths.page] = salt_page(report, template_root() / "report")
    if paths.data is not None:
        made[paths.data] = report.as_json()
    return _write(made)


def write_fit(report: FitReport, path: Path) -> None:
    """Write what ``mealkit fit`` found out: a page if the name ends in .html, else JSON.

    Raises:
        AcceptanceError: ``TEST_PACKAGE_MISSING``, a page needs matplotlib for its plots.
        StoreError: the file cannot be written.
    """
    from mealkit.reports.fit_page import fit_page

    if is_page(path):
        data = fit_page(report, template_root() / "report")
    else:
        data = json.dumps(report.as_json(), indent=2, ensure_ascii=False).encode() + b"\n"
    _write({path: data})


def _write(made: Mapping[Path, bytes]) -> tuple[Path, ...]:
    for path, data in made.items():
        write_whole(path, data, durable=False)
    return tuple(made)


def write_again(result: Path, paths: ReportPaths) -> tuple[Path, ...]:
    """Write the forms of a result that a test has written as JSON, and return the paths.

    Raises:
        MealkitError: as `check_paths`.
        AcceptanceError: ``TEST_REPORT_INVALID``; as `write_reports`.
        StoreError: a file cannot be written.
    """
    data = _read(result)
    if _SALT in data[:_HEAD_BYTES]:
        check_paths(paths, only_result=True)
        return write_salt(SaltReport.read(data, str(result)), paths)
    return write_reports(Report.read(data, str(result)), paths)


def read_report(path: Path) -> Report:
    """Read a result that ``mealkit test --json`` has written.

    Raises:
        AcceptanceError: ``TEST_REPORT_INVALID``.
    """
    return Report.read(_read(path), str(path))


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MAX_REPORT_BYTES)
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
