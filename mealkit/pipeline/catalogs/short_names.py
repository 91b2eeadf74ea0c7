"""Finds the kit that a short name means: in the local store, or in the user's catalogues.

The local store comes first, so a kit that was run once starts without a network. Then the
catalogues are read in the order of the configuration, and the first that lists the name counts. A
catalogue that cannot be read is a problem: the next one could list another kit under the name.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from mealkit.addresses import is_loopback
from mealkit.catalogue.entry import Entry, version_key
from mealkit.digest import canonical_json
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.files.locks import locked
from mealkit.files.whole import write_whole
from mealkit.oci.reference import Reference
from mealkit.pipeline.catalogs.open_catalogs import FoundKit, find_kit
from mealkit.pipeline.configuration import configuration_path, read_configuration
from mealkit.pipeline.home import Home
from mealkit.pipeline.targets import (
    Listing,
    RegistryReference,
    StoredName,
    read_target,
    registry_named,
)
from mealkit.progress import Progress
from mealkit.stores.local import LocalStore
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

_SHORT_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?")
_SEEN = "catalogs.json"
_MOST_VERSIONS = 50
_MAX_SEEN_BYTES = 4 * 1024 * 1024
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def from_catalogs(target: StoredName, home: Home, progress: Progress) -> RegistryReference | None:
    """Return the reference of the kit that the user's catalogues list under a name.

    Return None if the local store has the name, if it cannot be a kit's, or without catalogues.

    Raises:
        StoreError: ``KIT_UNLISTED``: no catalogue lists it; ``CATALOGUE_*``; the local store has
            several images of the name.
        RegistryError: a catalogue cannot be read.
    """
    name = target.text
    if not _SHORT_NAME.fullmatch(name):
        return None
    store = LocalStore(home.store)
    known = name in {stored.partition(":")[0] for stored in store.index().names()}
    if (known and ":" not in name) or store.index().named(name):
        return None
    catalogs = read_configuration().catalogs
    if not catalogs:
        return None
    return _listed(name, catalogs, home, progress)


def kit_to_pull(text: str, home: Home, progress: Progress) -> RegistryReference:
    """Return what to pull: a reference in a registry, or a name that a catalogue lists now.

    Raises:
        KitError: it is neither (``TARGET_UNFIT``).
        StoreError, RegistryError: as ``from_catalogs``.
    """
    found = read_target(text)
    if isinstance(found, StoredName) and _SHORT_NAME.fullmatch(text):
        catalogs = read_configuration().catalogs
        if catalogs:
            return _listed(text, catalogs, home, progress)
        message = f"{text} names no registry, and no catalogue is configured"
        hint = f"write REGISTRY/{text}; or list a catalogue in {configuration_path()}"
        raise failure("TARGET_UNFIT", message, where=text, hint=hint)
    return registry_named(text)


def _listed(
    name: str, catalogs: tuple[str, ...], home: Home, progress: Progress
) -> RegistryReference:
    progress.phase(f"looking for {name} in {', '.join(catalogs)}")
    found = _found(name, catalogs)
    require_reachable(found)
    _tell(found, progress)
    _remember(found, home, progress)
    pinned = found.entry.pinned
    listing = Listing(found.where, found.entry.title, found.entry.trust.signers)
    return RegistryReference(str(pinned), pinned, listed=listing)


def _found(name: str, catalogs: tuple[str, ...]) -> FoundKit:
    try:
        return find_kit(name, catalogs, elsewhere=True)
    except MealkitError as error:
        if error.problems[0].code != "KIT_UNLISTED":
            raise
        message = f"{name} is neither in the local store nor in {' or '.join(catalogs)}"
        kit, _, version = name.partition(":")
        hint = f"mealkit catalog show {kit}" if version else "mealkit catalog list"
        raise failure("KIT_UNLISTED", message, where=name, hint=hint) from error


def require_reachable(found: FoundKit) -> None:
    """Refuse a kit on this machine's own loopback if the catalogue comes from elsewhere.

    Raises:
        StoreError: ``CATALOGUE_INVALID``.
    """
    if found.where.startswith("oci:"):
        return
    here, there = Reference.parse(found.where), found.entry.place
    if _is_here(there) and not _is_here(here):
        message = f"{found.where} lists {found.entry.title} at {there.registry}, on this machine"
        raise failure("CATALOGUE_INVALID", message, where=found.where)


def _is_here(reference: Reference) -> bool:
    host = (reference.registry or "").rpartition("]")[0].lstrip("[")
    return is_loopback(host or (reference.registry or "").partition(":")[0])


def _tell(found: FoundKit, progress: Progress) -> None:
    entry = found.entry
    progress.phase(f"{entry.title} is {entry.pinned}, from the catalogue {found.where}")
    progress.phase(f"  owner {entry.owner.team}, {entry.owner.contact}; {_signed(entry)}")
    for note in _notes(found):
        progress.phase(f"note: {note}")


def _signed(entry: Entry) -> str:
    if not entry.trust.signers:
        return "not signed, as far as the catalogue states"
    names = (
        f"the key {name[:12]}" if _FINGERPRINT.fullmatch(name) else name
        for name in entry.trust.signers
    )
    return f"signed by {' and '.join(names)}, as the catalogue states"


def _notes(found: FoundKit) -> Iterator[str]:
    entry = found.entry
    if not found.where.startswith(("oci:", f"{entry.place.registry}/")):
        yield f"its registry {entry.place.registry} is not the catalogue's"
    if found.other_owners:
        yield f"other versions of {entry.name} are owned by {', '.join(found.other_owners)}"
    for where, other in found.elsewhere:
        yield f"{where} lists another {entry.name}: {other.title}, {other.pinned}"


def _remember(found: FoundKit, home: Home, progress: Progress) -> None:
    """Compare a kit with what the catalogue listed before, and write down what it lists now."""
    path, entry = home.root / _SEEN, found.entry
    key = f"{found.where} {entry.name}"
    with locked(home.root / f"{_SEEN}.lock"):
        seen = _seen(path)
        before = seen.get(key, {})
        if change := _change(before, found):
            progress.notice(change)
        known = {**before, entry.version: str(entry.digest)}
        newest = sorted(known, key=version_key)[-_MOST_VERSIONS:]
        seen[key] = {version: known[version] for version in newest}
        write_whole(path, canonical_json(seen), mode=0o600)


def _change(before: dict[str, str], found: FoundKit) -> Problem | None:
    """Return the warning about a catalogue that went back, or changed a version."""
    entry = found.entry
    digest = before.get(entry.version, entry.digest)
    gone = [version for version in before if version not in found.versions]
    newer = [version for version in gone if version_key(version) > version_key(entry.version)]
    if digest != entry.digest:
        return problem(
            "CATALOGUE_CHANGED",
            f"{found.where} lists other bytes as {entry.title} than before",
            where=found.where,
            measured=entry.digest,
            required=digest,
        )
    if newer:
        newest = max(newer, key=version_key)
        message = f"{found.where} listed {entry.name}:{newest} before, and does not any more"
        return problem("CATALOGUE_CHANGED", message, where=found.where)
    return None


def _seen(path: Path) -> dict[str, dict[str, str]]:
    try:
        form = parse_json_object(read_file(path, _MAX_SEEN_BYTES))
    except (OSError, UntrustedError):
        return {}  # it was never written, or was damaged: nothing is known
    return {
        key: value
        for key, value in form.items()
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    }
