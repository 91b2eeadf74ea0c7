"""Changes one pinned value of a kit at a time, and tests each changed kit: ``mealkit test --salt``.

A change with which the kit does not start is a result. What was measured is stored until the end,
so an interrupted run continues where it stopped.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from pydantic import JsonValue

from mealkit import __version__
from mealkit.acceptance.report import Report
from mealkit.acceptance.salt_report import (
    MAX_SALT_REPORT_BYTES,
    ChangedValue,
    Outcome,
    Refusal,
    SaltReport,
    baseline_of,
    effects_of,
)
from mealkit.acceptance.target import TestListener, TestOptions
from mealkit.acceptance.testing import chosen_claims, require_libraries
from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, SourceError, StoreError, failure
from mealkit.files.whole import write_whole
from mealkit.lock.salt import MAX_CHANGES, Choice, Pinch, apart, changed_lock, chosen, pinches_of
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.locking import fresh_lock
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.pipeline.opening_images import this_platform
from mealkit.pipeline.proof.changed_kit import ChangedKits, changed_kits
from mealkit.pipeline.proof.changed_packages import another_package
from mealkit.pipeline.proof.datasets import dataset_paths
from mealkit.pipeline.proof.kit_testing import Tester, test_started
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock, lock_bytes
from mealkit.recipe.variant import plain_lock
from mealkit.reports.salt_words import change_words
from mealkit.untrusted import UntrustedError, read_file

_PACKAGE = "package="


@dataclass(frozen=True, slots=True)
class SaltRequest:
    """The options."""

    run: RunRequest
    """The kit's folder, and how it is started; its name and port are chosen here."""
    changes: tuple[str, ...] = ()
    """Only these changes: FIELD, FIELD=VALUE or package=NAME==VERSION; empty: every known one."""
    options: TestOptions = field(default_factory=TestOptions)
    """How each of the kits is tested."""


@dataclass(frozen=True, slots=True)
class _Kit:
    """The kit, and what runs it."""

    opened: OpenedKit
    whole: Lock
    plain: Lock
    request: SaltRequest
    kits: ChangedKits
    datasets: Mapping[str, Path]
    tester: Tester

    @property
    def progress(self) -> Progress:
        return self.tester.progress

    def changed(self, pinch: Pinch) -> Lock:
        architecture = self.plain.runtime.architecture
        return changed_lock(self.opened.parts, self.whole, architecture, pinch)

    def tested(self, lock: Lock) -> Report:
        with self.kits.running(lock) as running:
            return test_started(running, lock, self.datasets, self.opened.folder, self.tester)


def salt_kit(
    request: SaltRequest, home: Home, progress: Progress, listener: TestListener
) -> SaltReport:
    """Test a kit as it is pinned, and then with each changed value.

    Raises:
        KitError, LockError: the kit is wrong, or an option of it.
        AcceptanceError: the kit has neither claims nor cases (``TEST_NOTHING``), or its data or
            a library is missing.
        MealkitError: the kit does not start as it is pinned, or this machine's disk, network or
            container client fails.
    """
    opened = open_kit(request.run.target, home, request.run.allowed, progress)
    whole = fresh_lock(opened, frozen=False, home=home, progress=progress)
    plain = plain_lock(whole, request.run.architecture or this_platform().architecture)
    require_libraries(chosen_claims(plain, request.options))
    datasets = dataset_paths(plain, opened, home, progress)
    with changed_kits(opened, request.run, home) as kits:
        options = replace(request.options, journals=home.journals)
        tester = Tester(options, home, progress, listener)
        return _salted(_Kit(opened, whole, plain, request, kits, datasets, tester))


def _salted(kit: _Kit) -> SaltReport:
    choice, path = _choice(kit), _journal(kit)
    report = _begun(path, kit.progress) or _baseline(kit)
    known = {_identity(item.change): item for item in report.outcomes}
    write_whole(path, report.as_json(), durable=False)
    report = report.model_copy(update={"left": choice.left, "outcomes": ()})
    for number, pinch in enumerate(choice.pinches, start=1):
        found = known.get(_identity(pinch.change))
        if found is None:
            total = len(choice.pinches)
            kit.progress.phase(f"change {number} of {total}: {change_words(pinch.change)}")
            found = _outcome(kit, pinch, report)
        report = report.model_copy(update={"outcomes": (*report.outcomes, found)})
        write_whole(path, report.as_json(), durable=False)
    path.unlink(missing_ok=True)
    return report


def _identity(change: ChangedValue) -> bytes:
    return canonical_json(change.model_dump(mode="json"))


def _choice(kit: _Kit) -> Choice:
    """Return what is changed: everything, or what the caller names."""
    parts, wanted = kit.opened.parts, kit.request.changes
    found = pinches_of(parts, kit.plain)
    if wanted:
        named = [pinch for text in wanted for pinch in _named(kit, text, found.pinches)]
        found = Choice(tuple(named), found.left)
    if len(found.pinches) > MAX_CHANGES:
        message = f"there are {len(found.pinches)} changes, at most {MAX_CHANGES} are made at once"
        raise failure("USAGE", message, hint="name some of them: --change FIELD")
    return found


def _named(kit: _Kit, text: str, known: Sequence[Pinch]) -> Sequence[Pinch]:
    """Return the changes that an option names: FIELD, FIELD=VALUE or package=NAME==VERSION."""
    if text.startswith(_PACKAGE):
        wanted = text.removeprefix(_PACKAGE)
        return [another_package(kit.opened, kit.plain, wanted, kit.tester.home, kit.progress)]
    name, given, value = text.partition("=")
    if given:
        return [chosen(kit.opened.parts, kit.plain, name, _value(value))]
    found = [pinch for pinch in known if pinch.change.field == name]
    if not found:
        fields = dict.fromkeys(pinch.change.field for pinch in known)
        message = f"nothing says what {name!r} could be changed to"
        raise failure("USAGE", message, hint=f"write {name}=VALUE, or one of {', '.join(fields)}")
    return found


def _value(text: str) -> JsonValue:
    """Read a value as kit.yaml has it; text that is not one of YAML's other scalars is itself."""
    try:
        value: JsonValue = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, str | int | float | bool | list) else text


def _journal(kit: _Kit) -> Path:
    """Return where the results of a run are stored until its end."""
    plain, request = kit.plain, kit.request
    what = [
        str(Digest.of(lock_bytes(plain))),
        __version__,
        request.run.client,
        list(request.changes),
        list(request.options.claims),
        request.options.cases_only,
        request.options.limit,
    ]
    folder = kit.tester.home.root / "salt"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{Digest.of(canonical_json(what)).hex}.json"


def _begun(path: Path, progress: Progress) -> SaltReport | None:
    """Return the results of a run that was interrupted; None if there is none that can be read."""
    try:
        report = SaltReport.read(read_file(path, MAX_SALT_REPORT_BYTES), str(path))
    except (OSError, UntrustedError, MealkitError):
        return None
    progress.phase(f"continuing an interrupted run with {len(report.outcomes)} results")
    return report


def _baseline(kit: _Kit) -> SaltReport:
    kit.progress.phase("testing the kit as it is pinned")
    started_seconds = time.time()
    report = kit.tested(apart(kit.plain))
    about = kit.plain.about
    return SaltReport(
        mealkit_version=__version__,
        kit=report.kit.model_copy(update={"version": about.version, "image": None}),
        machine=report.machine,
        started_seconds=started_seconds,
        baseline=baseline_of(report),
    )


def _outcome(kit: _Kit, pinch: Pinch, report: SaltReport) -> Outcome:
    """Test the kit with one changed value.

    Raises:
        MealkitError: this machine fails, not the changed kit.
    """
    begun = time.monotonic()
    try:
        effects = effects_of(report.baseline, kit.tested(kit.changed(pinch)))
    except MealkitError as error:
        first = error.problems[0]
        if isinstance(error, StoreError | SourceError) or first.code.startswith("CLIENT_"):
            raise
        refusal = Refusal(code=first.code, message=first.message[:4000], owner=first.owner)
        kit.progress.phase(f"{pinch.change.field}: {first.code}: {first.message.splitlines()[0]}")
        return Outcome(change=pinch.change, refusal=refusal, seconds=time.monotonic() - begun)
    return Outcome(change=pinch.change, effects=effects, seconds=time.monotonic() - begun)
