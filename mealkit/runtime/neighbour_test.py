"""Tests another container of this kit: ``docker run IMAGE test http://kit:8000``.

The claims and cases are those of the lock in this image, so a cluster needs nothing but the image.
Claims need ``tests_in_image: true``; cases are in every image. Nothing is written to the disk.
"""

import argparse
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.errors import MealkitError, Owner, Problem, failure
from mealkit.paths import CASES, DATASETS, DEFAULTS, TESTS
from mealkit.untrusted import UntrustedError, read_file

if TYPE_CHECKING:
    from mealkit.acceptance.report import CaseResult, ClaimResult, Report
    from mealkit.acceptance.target import Target
    from mealkit.recipe.lock import Lock

KEY_VARIABLE = "MEALKIT_API_KEY"
_ADDRESS = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?")
_KEY_BYTES = 4096
_INTERRUPTED = 130
_SAMPLES = 5
_PATIENCE_SECONDS, _PAUSE_SECONDS = 10, 0.5


def neighbour_exit(
    arguments: Sequence[str], environment: Mapping[str, str], root: Path = Path("/")
) -> int:
    """Run the test that the arguments after ``test`` ask for; return the exit code.

    Raises:
        SystemExit: the arguments are wrong, or ask for help.
    """
    options = _parser().parse_args(arguments)
    # The first process of a container ignores this signal unless it says what to do.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _tested(options, environment, root)
    except MealkitError as error:
        for fault in error.problems:
            sys.stderr.write(problem_block(fault))
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED


def _tested(options: argparse.Namespace, environment: Mapping[str, str], root: Path) -> int:
    # Only now: their own packages must not replace those of a gateway.
    sys.path.insert(0, str(root / TESTS))
    from mealkit.acceptance.target import Target, TestOptions  # noqa: PLC0415
    from mealkit.acceptance.testing import run_tests, unjudged  # noqa: PLC0415

    lock = lock_in_image(environment)
    files = [root / DATASETS / file.path for item in lock.datasets.values() for file in item.files]
    datasets = {str(path.relative_to(root / DATASETS)): path for path in files if path.is_file()}
    target = Target(options.url.rstrip("/"), _key(options.api_key_file, environment))
    _await(target, options.wait)
    report = run_tests(
        lock,
        target,
        datasets,
        TestOptions(
            claims=tuple(options.claim),
            cases_only=options.cases_only,
            limit=options.limit,
            concurrency=options.concurrency,
            timeout_seconds=options.timeout,
            case_files=root / CASES,
        ),
        _Lines(),
    )
    if options.json:
        sys.stdout.write(report.as_json().decode())
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(report)))
    failed = report.failed or (options.strict and unjudged(report))
    return failure("TEST_FAILED", "").exit_code if failed else 0


def _await(target: "Target", seconds: int) -> None:
    """Wait until a kit can be reached: some networks refuse a new container's first connections.

    Raises:
        AcceptanceError: ``TEST_UNREACHABLE``, not in time; or the address is not that of a kit.
    """
    from mealkit.acceptance.kit_client import described  # noqa: PLC0415

    until = time.monotonic() + seconds
    while seconds:
        try:
            described(target, _PATIENCE_SECONDS)
        except MealkitError as error:
            if error.problems[0].code != "TEST_UNREACHABLE" or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="docker run IMAGE test",
        description="Test a running container of this kit with the claims and cases in this image.",
        epilog=f"The API key is read from --api-key-file, else from {KEY_VARIABLE}. "
        "Exit codes: 0, everything holds; 14, a claim or a case fails.",
        allow_abbrev=False,
    )
    parser.add_argument("url", type=_address, help="its address: http(s)://HOST[:PORT]")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--claim", action="append", default=[], help="test only this claim")
    parser.add_argument("--cases-only", action="store_true", help="test only the cases")
    parser.add_argument("--limit", type=_count, help="ask at most this many rows for each claim")
    parser.add_argument("--concurrency", type=_count, help="the number of requests at a time")
    parser.add_argument(
        "--timeout", type=_count, default=300, help="seconds to wait for one answer (300)"
    )
    parser.add_argument(
        "--wait", type=_count, default=0, help="seconds until it must be reachable (0)"
    )
    parser.add_argument("--strict", action="store_true", help="also fail for what is not judged")
    parser.add_argument("--api-key-file", type=Path, help="the file with the API key")
    return parser


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address: http(s)://HOST[:PORT]")
    return text


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return number


def lock_in_image(environment: Mapping[str, str]) -> "Lock":
    """Return the lock of the image that this process runs in.

    Raises:
        ContainerError: it cannot be read (``CONFIG_INVALID``).
        LockError: it is not valid.
    """
    from mealkit.recipe.lock import LOCK_NAME, MAX_LOCK_BYTES, read_lock  # noqa: PLC0415

    path = Path(environment.get("MEALKIT_ETC", DEFAULTS["MEALKIT_ETC"])) / LOCK_NAME
    try:
        return read_lock(read_file(path, MAX_LOCK_BYTES), str(path))
    except (OSError, UntrustedError) as error:
        message = f"the lock cannot be read: {error}"
        raise failure("CONFIG_INVALID", message, where="MEALKIT_ETC") from error


def _key(file: Path | None, environment: Mapping[str, str]) -> str | None:
    if file is None:
        return environment.get(KEY_VARIABLE) or None
    try:
        key = read_file(file, _KEY_BYTES).decode("ascii").strip()
    except (OSError, ValueError) as error:
        message = f"the API key cannot be read: {error}"
        raise failure("CONFIG_INVALID", message, where="--api-key-file") from error
    return key or None


class _Lines:
    """Writes to stderr what is asked."""

    def asking(self, name: str, total: int) -> None:
        sys.stderr.write(f"{name}: {total} request{'s' if total > 1 else ''}\n")

    def answered(self, count: int) -> None:
        """Write nothing: a log has no use for each answer."""

    def judged(self, result: "ClaimResult | CaseResult") -> None:
        """Write nothing: the results come together at the end."""


def _lines(report: "Report") -> Iterator[str]:
    for case in report.cases:
        yield f"{case.verdict:10}  {case.name}: {case.reason}{_owner(case)}"
        for fault in case.faults[:_SAMPLES]:
            at = f"at {fault.at}: " if fault.at else ""
            yield f"    {at}expected {_short(fault.expected)}, answered {_short(fault.answered)}"
    for result in report.claims:
        claim = result.claim
        words = f"{claim.name}: {claim.metric}: {result.reason}{_owner(result)}"
        yield f"{result.verdict:10}  {words}"
        for sample in result.samples[:_SAMPLES] if result in report.failed else ():
            words = f"expected {_short(sample.expected)}, answered {_short(sample.answered)}"
            yield f"    row {sample.row}: {_short(sample.asked)}: {words}"
    total = len(report.cases) + len(report.claims)
    owner = report.kit.owner
    if owner and any(item.owner is Owner.KIT_AUTHOR for item in report.failed):
        yield f"kit-author: {_short(owner.team)}, {_short(owner.contact)}"
    yield f"{len(report.failed)} of {total} fail; {report.seconds:.1f} s"


def _owner(result: "ClaimResult | CaseResult") -> str:
    return f" (owner {result.owner.value})" if result.owner else ""


def _short(text: str) -> str:
    # On one line, and without characters that control a terminal.
    plain = "".join(sign if sign.isprintable() else "?" for sign in text[:100])
    return plain + ("..." if len(text) > len(plain) else "")


def problem_block(fault: Problem) -> str:
    """Return a problem as lines of text."""
    details = {"where": fault.where, "owner": fault.owner.value, "hint": fault.hint}
    lines = [f"  {name} {value}" for name, value in details.items() if value]
    return "\n".join([f"error[{fault.code}] {fault.message}", *lines]) + "\n"
