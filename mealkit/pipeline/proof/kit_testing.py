"""Tests a kit: starts it if it does not run yet, asks, judges, and stops what it started.

What is tested is a kit's folder, an image, a kit that runs here, by its name, or an address.
"""

import signal
import ssl
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from mealkit.acceptance.report import MachineFacts, Report
from mealkit.acceptance.target import Target, TestListener, TestOptions
from mealkit.acceptance.testing import (
    chosen_claims,
    require_libraries,
    run_tests,
    with_needed_data,
)
from mealkit.addresses import is_loopback
from mealkit.errors import MealkitError, failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.machine.clients import (
    client_of,
    container_meant_by,
    is_running,
    stop_kit,
)
from mealkit.pipeline.machine.machine_facts import host_facts
from mealkit.pipeline.proof.datasets import dataset_paths
from mealkit.pipeline.proof.files_of_cases import folder_of_cases
from mealkit.pipeline.proof.peak_memory import peak_memory
from mealkit.pipeline.proof.recipe_to_test import RecipeToTest, recipe_of_kit, stated_recipe
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import RunReport, run_kit
from mealkit.pipeline.targets import Here, KitFolder, kit_or_image_named, look
from mealkit.preflight.facts import Facts
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.stores.local import LocalStore
from mealkit.untrusted import UntrustedError, read_file

_STOP_SECONDS = 10
_MAX_KEY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class TestRequest:
    """The options of a test."""

    __test__ = False  # for pytest, which takes classes of this name for tests

    run: RunRequest
    """What is tested, and how it is started if it does not run."""
    options: TestOptions
    kit: str | None = None
    """The kit, or the image, whose claims are tested at an address; None: what it states."""
    key_file: Path | None = None
    """The file with the API key for a kit that runs already."""
    plain_hosts: tuple[str, ...] = ()
    """Hosts to which the key may be sent without TLS."""


@dataclass(frozen=True, slots=True)
class Tester:
    """What every test needs."""

    options: TestOptions
    home: Home
    progress: Progress
    listener: TestListener
    key: str | None = field(default=None, repr=False)
    """The API key, if callers need one."""


def test_kit(
    request: TestRequest, home: Home, progress: Progress, listener: TestListener
) -> Report:
    """Test a kit, and return the report.

    Raises:
        AcceptanceError: it cannot be tested; see `run_tests`.
        MealkitError: it does not start.
    """
    options = replace(request.options, journals=request.options.journals or home.journals)
    tester = Tester(options, home, progress, listener)
    text = request.run.target
    if is_address(text):
        return _at_address(request, tester)
    if look(Path(text)) is Here.NOTHING:
        name = container_meant_by(text, home)
        if is_running(name, home):
            return _running_here(name, request, tester)
    return _started(request, tester)


test_kit.__test__ = False  # type: ignore[attr-defined]  # as above


def is_address(text: str) -> bool:
    """Return whether a target is the address of a running kit."""
    return text.startswith(("http://", "https://"))


def test_started(
    report: RunReport, lock: Lock, datasets: Mapping[str, Path], folder: Path | None, tester: Tester
) -> Report:
    """Test a kit that was just started here."""
    target = Target(
        report.url,
        key=tester.key,
        image=report.image,
        is_started_here=True,
        start_seconds=report.ready_seconds,
        machine=machine_of(host_facts(tester.home)),
        memory=lambda: peak_memory(report.name, lock, tester.home),
    )
    options = replace(tester.options, case_files=folder)
    return run_tests(lock, target, datasets, options, tester.listener)


test_started.__test__ = False  # type: ignore[attr-defined]


def test_running(
    report: RunReport,
    request: RunRequest,
    key_file: Path | None,
    home: Home,
    progress: Progress,
    listener: TestListener,
) -> Report:
    """Test a kit that `run_kit` has just started; stop it unless all of it is true.

    Raises:
        AcceptanceError: it cannot be tested.
    """
    failed = True
    try:
        key = api_key_in(key_file)
        tester = Tester(TestOptions(journals=home.journals), home, progress, listener, key)
        result = judged_run(report, request, tester)
        failed = bool(result.failed)
    finally:
        if failed:
            stop_quietly(report.name, home)
    return result


test_running.__test__ = False  # type: ignore[attr-defined]


def _started(request: TestRequest, tester: Tester) -> Report:
    named, home = kit_or_image_named(request.run.target), tester.home
    if isinstance(named, KitFolder):
        _require_testable(named, request, home)
    name = f"test-{uuid.uuid4().hex[:12]}"
    run = replace(request.run, name=name, port=0, address="127.0.0.1", keys=None)
    try:
        with terminable():
            return judged_run(run_kit(run, home, tester.progress), run, tester)
    finally:
        # Also one that did not become ready in time, and after Ctrl-C.
        stop_quietly(name, home)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM, with which CI ends a job, unwind like Ctrl-C, so that the kit is stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_quietly(name: str, home: Home) -> None:
    """Stop a kit that a command has started for itself, if it runs."""
    with suppress(MealkitError):
        stop_kit(name, timeout_seconds=_STOP_SECONDS, home=home)


def judged_run(
    report: RunReport, request: RunRequest, tester: Tester, lock: Lock | None = None
) -> Report:
    """Test a kit that was just started here as a request says.

    ``lock`` is its own lock, with those claims alone that are tested; None: all.
    """
    named, home = kit_or_image_named(request.target), tester.home
    image = LocalStore(home.store).image(report.image)
    lock = lock or lock_of(image)
    kit = open_kit(named, home, request.allowed) if isinstance(named, KitFolder) else None
    needed = with_needed_data(lock, tester.options)
    paths = dataset_paths(needed, kit or image, home, tester.progress)
    return test_started(report, lock, paths, folder_of_cases(lock, kit or image, home), tester)


def _require_testable(named: KitFolder, request: TestRequest, home: Home) -> None:
    """Check what is known before a build and a start, which take minutes."""
    opened = open_kit(named, home, request.run.allowed)
    if opened.is_resolved:
        require_libraries(chosen_claims(opened.lock_as_written(), request.options))


def _running_here(name: str, request: TestRequest, tester: Tester) -> Report:
    home = tester.home
    container = client_of(name, home).state(name)
    target = Target(
        container.url,
        key=api_key_in(request.key_file),
        machine=machine_of(host_facts(home)),
    )
    return _asked(request, tester, target, name)


def _at_address(request: TestRequest, tester: Tester) -> Report:
    from mealkit.web.trust import tls_context

    address, key = request.run.target.rstrip("/"), api_key_in(request.key_file)
    parts = checked_address(address)
    is_plain = parts.scheme == "http" and not is_loopback(parts.hostname or "")
    if key and is_plain and not {parts.hostname, parts.netloc} & set(request.plain_hosts):
        raise failure(
            "TEST_KEY",
            f"the API key would be sent to {parts.netloc} without TLS",
            where="--api-key-file",
            hint=f"use https; or, if only your own network is between: --plain-http {parts.netloc}",
        )
    tls: ssl.SSLContext | None = tls_context() if parts.scheme == "https" else None
    return _asked(request, tester, Target(address, key=key, tls=tls))


def checked_address(address: str) -> SplitResult:
    """Return the parts of an address to test.

    Raises:
        KitError: ``USAGE``, it has credentials, a query or a port that cannot be.
    """
    parts = urlsplit(address)
    try:
        has_port = parts.port != 0
    except ValueError:
        has_port = False
    if not parts.hostname or not has_port or parts.query or parts.fragment or parts.username:
        raise failure(
            "USAGE",
            "the address is not http(s)://HOST[:PORT][/PATH]",
            where=address if parts.username is None else parts.hostname,
            hint="a key comes from a file: --api-key-file FILE",
        )
    return parts


def _asked(request: TestRequest, tester: Tester, target: Target, name: str | None = None) -> Report:
    """Test a kit that runs already; ``name`` is its container's, if it runs here."""
    home, progress = tester.home, tester.progress
    if request.kit is None:
        return _with_recipe(stated_recipe(target, home), tester, target, name)
    with recipe_of_kit(request.kit, home, request.run.allowed, progress) as found:
        return _with_recipe(found, tester, target, name)


def _with_recipe(found: RecipeToTest, tester: Tester, target: Target, name: str | None) -> Report:
    require_libraries(chosen_claims(found.lock, tester.options))
    needed = with_needed_data(found.lock, tester.options)
    paths = replace(found, lock=needed).data(tester.home, tester.progress)
    options = replace(tester.options, case_files=found.folder(tester.home))
    target = replace(target, recipe=found.recipe)
    if name is not None:
        target = replace(target, memory=lambda: peak_memory(name, found.lock, tester.home))
    return run_tests(found.lock, target, paths, options, tester.listener)


def api_key_in(file: Path | None) -> str | None:
    """Read an API key from a file, never from the command line, which other users see.

    Raises:
        AcceptanceError: ``TEST_KEY``.
    """
    if file is None:
        return None
    try:
        key = read_file(file, _MAX_KEY_BYTES).decode("ascii").strip()
    except (OSError, UntrustedError, UnicodeDecodeError) as error:
        raise failure("TEST_KEY", f"the file cannot be read: {error}", where=str(file)) from error
    if not key or not key.isprintable() or " " in key:
        raise failure("TEST_KEY", "the file does not contain one key", where=str(file))
    return key


def machine_of(facts: Facts) -> MachineFacts:
    """Return what a report says about a machine."""
    return MachineFacts(
        processor=facts.cpu.model,
        cores=facts.cpu.count or None,
        memory_bytes=facts.memory_total_bytes,
        gpus=tuple(gpu.name for gpu in facts.nvidia.gpus if gpu.name),
        driver=facts.nvidia.driver,
        system=f"Linux {facts.kernel}",
    )
