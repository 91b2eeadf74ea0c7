"""Keeps catalogues: opens them where they are, and adds and removes kits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.catalogue.catalogue import Catalogue, Listed, versions_of
from mealkit.catalogue.entry import MAX_CLAIMS, Entry, ListedClaim, Trust
from mealkit.catalogue.merging import change, read_catalogue
from mealkit.catalogue.records import MAX_README_BYTES, new_record
from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.reference import Reference
from mealkit.pipeline.catalogs.open_catalogs import one_catalog, open_journal
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.kit_image import KitImage, open_kit_image
from mealkit.pipeline.policy.admitting import policies_here
from mealkit.pipeline.policy.candidates import referrers_at
from mealkit.pipeline.signatures.gathering import gather
from mealkit.pipeline.signatures.key_files import trusted_keys
from mealkit.pipeline.targets import RegistryReference, registry_named
from mealkit.recipe.lock import Lock
from mealkit.recipe.requirements import Requirements
from mealkit.stores.registry.reaching import Registries
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.verified import SIGNED, KeySigner
from mealkit.untrusted import UntrustedError, read_file

_FOLDER = "oci:"


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of a change: the catalogue, the kits that were added or removed."""

    where: str
    kits: tuple[Entry, ...]
    is_new: bool
    """Whether the catalogue was changed; an entry may be there already."""
    total: int
    """The number of entries that the catalogue lists now."""
    notes: tuple[str, ...] = ()
    """What a reader of the catalogue loses by the change."""


@dataclass(frozen=True, slots=True)
class Addition:
    """The options of adding a kit."""

    target: str
    catalog: str | None = None
    readme: Path | None = None
    keys: tuple[str, ...] = ()
    """The public keys to trust, as for ``verify``; empty: those of this machine's policies."""
    replace: bool = False
    """Whether another kit under the same name and version may be replaced."""


def add(wanted: Addition, home: Home) -> Changed:
    """Add a kit in a registry to a catalogue.

    Raises:
        StoreError: ``CATALOGUE_CONFLICT``: the catalogue has another kit under the name and
            version; the image does not exist, or is not a kit's.
        RegistryError: ``REGISTRY_*``.
        TrustError: a key or a policy cannot be read.
    """
    catalog, readme = one_catalog(wanted.catalog), _readme(wanted.readme)
    ring = _ring(wanted.keys)
    entry = described(registry_named(wanted.target), ring, home)
    with open_journal(catalog) as journal:
        before = read_catalogue(journal)
        known = before.of(entry.name, entry.version)
        if readme is None and known:
            readme = journal.readme(known[0].record)
        others = [item for item in known if item.entry.digest != entry.digest]
        if known and not others and not ring.keys:
            # Without keys, nothing was verified: what is known stays.
            entry = entry.model_copy(update={"trust": known[0].entry.trust})
        if others and not wanted.replace:
            there = others[0].entry
            raise failure(
                "CATALOGUE_CONFLICT",
                f"{journal.where} has {entry.title} already, with another digest",
                measured=str(entry.digest),
                required=f"{there.digest}, {there.reference}",
                where=journal.where,
            )
        if [item.entry for item in known] == [entry] and readme == journal.readme(known[0].record):
            return Changed(journal.where, (entry,), is_new=False, total=len(before.kits))
        record = new_record(entry, _records(before, known), len(journal.names()), readme)
        after = change(journal, record)
        notes = _losses(known[0].entry, entry) if known and not others else ()
        return Changed(journal.where, (entry,), is_new=True, total=len(after.kits), notes=notes)


def _losses(before: Entry, after: Entry) -> tuple[str, ...]:
    """Return what the entry of the same image had before: another place, or more signatures."""
    notes = []
    if before.place.name != after.place.name:
        notes.append(f"before, {after.title} was listed at {before.place.name}")
    if lost := sorted(set(before.trust.signers) - set(after.trust.signers)):
        names = ", ".join(signer[:12] for signer in lost)
        notes.append(f"{after.place.name} has no signature by {names}, which was listed before")
    return tuple(notes)


def remove(text: str, catalog: str | None) -> Changed:
    """Remove ``NAME:VERSION`` from a catalogue, or ``NAME`` if it has one version.

    Raises:
        StoreError: ``KIT_UNLISTED``: the catalogue does not list it, or several versions of it.
    """
    name, _, version = text.partition(":")
    with open_journal(one_catalog(catalog)) as journal:
        before = read_catalogue(journal)
        found = before.of(name, version or None)
        if not found:
            raise failure("KIT_UNLISTED", f"{journal.where} does not list {text}")
        if len({item.entry.version for item in found}) > 1:
            raise failure(
                "KIT_UNLISTED",
                f"{journal.where} lists {len(found)} versions of {name}: {versions_of(found)}",
                hint=f"name one: mealkit catalog remove {found[-1].entry.title}",
            )
        record = new_record(None, _records(before, found), len(journal.names()))
        after = change(journal, record)
        gone = tuple(item.entry for item in found)
        return Changed(journal.where, gone, is_new=True, total=len(after.kits))


def described(target: RegistryReference, ring: KeyRing, home: Home) -> Entry:
    """Return the entry for a kit in a registry; reads its manifests, locks and signatures.

    Raises:
        StoreError: the image does not exist, or is not a kit's.
        RegistryError: ``REGISTRY_*``.
    """
    # What the local store has under the reference does not count.
    with open_kit_image(replace(target, is_absent=True), home) as kit:
        return _entry(target.reference, kit, _trust(target.reference, kit, ring))


def _ring(keys: Sequence[str]) -> KeyRing:
    if keys:
        return trusted_keys(keys)
    named = (key for loaded in policies_here() for key in loaded.keys.values())
    return KeyRing(tuple(TrustedKey(key.key, key.name) for key in named))


def _trust(reference: Reference, kit: KitImage, ring: KeyRing) -> Trust:
    """Return who of the trusted has signed a kit, and which statements about it are signed."""
    if not ring.keys:
        return Trust()
    with Registries.from_environment() as registries:
        found = gather(kit.subject, referrers_at(reference, registries), ring).verified
    signers = {
        one.signer.fingerprint
        for one in found
        if one.predicate_type == SIGNED and isinstance(one.signer, KeySigner)
    }
    kinds = {one.predicate_type for one in found if one.predicate_type != SIGNED}
    return Trust(signers=tuple(sorted(signers)), attested=tuple(sorted(kinds)))


def _entry(reference: Reference, kit: KitImage, trust: Trust) -> Entry:
    lock = kit.lock
    about, model = lock.about, lock.model
    return Entry(
        name=about.name,
        version=about.version,
        reference=str(Reference(reference.registry, reference.repository, reference.tag)),
        digest=kit.subject.digest,
        recipe=lock.recipe,
        salt=lock.salt,
        description=about.description,
        owner=about.owner,
        license=about.license,
        model=model.name,
        model_license=model.license,
        task=model.task,
        engine=lock.engine.name,
        paper=about.paper,
        download_bytes=max(
            sum(item.blob.size_bytes for item in image.layers) for image in kit.images
        ),
        requirements=_requirements(lock),
        claims=tuple(ListedClaim.of(claim) for claim in lock.claims[:MAX_CLAIMS]),
        trust=trust,
    )


def _requirements(lock: Lock) -> dict[str, Requirements]:
    others = {name: variant.requirements for name, variant in lock.variants.items()}
    return {lock.runtime.architecture: lock.requirements, **others}


def _records(catalogue: Catalogue, kits: Sequence[Listed]) -> list[Digest]:
    """Return every record of these kits; an entry may have been added twice at the same time."""
    titles = {item.entry.title for item in kits}
    return [
        record.digest
        for record in catalogue.records
        if record.entry and record.entry.title in titles
    ]


def _readme(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        text = read_file(path, MAX_README_BYTES)
        text.decode()
    except (UntrustedError, UnicodeDecodeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise failure("USAGE", f"{path} cannot be used: {reason}", where="--readme") from error
    return text
