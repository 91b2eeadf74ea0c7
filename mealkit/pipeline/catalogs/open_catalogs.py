"""Opens the user's catalogues where they are, and finds a kit in them by its name."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mealkit.catalogue.catalogue import Catalogue, Listed, log_of
from mealkit.catalogue.entry import Entry
from mealkit.catalogue.merging import Journal, read_catalogue
from mealkit.errors import MealkitError, failure
from mealkit.pipeline.catalogs.catalogue_places import FolderJournal, RepositoryJournal
from mealkit.pipeline.configuration import configuration_path, read_configuration
from mealkit.pipeline.targets import registry_named
from mealkit.preflight.fit import Fit
from mealkit.stores.registry.reaching import Registries

_FOLDER = "oci:"


@dataclass(frozen=True, slots=True)
class FoundKit:
    """A kit, and the catalogue that lists it."""

    where: str
    entry: Entry
    fit: Fit | None = None
    """Whether it fits, if that was asked."""
    versions: tuple[str, ...] = ()
    """All versions in that catalogue, newest first, if one kit was asked for."""
    other_owners: tuple[str, ...] = ()
    """The teams that own other versions of the kit in that catalogue."""
    elsewhere: tuple[tuple[str, Entry], ...] = ()
    """What later catalogues list under the name, if it is another image; if that was asked."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        form: dict[str, Any] = {"catalog": self.where, **self.entry.form()}
        if self.fit:
            form["fit"] = self.fit.value
        return form | ({"versions": list(self.versions)} if self.versions else {})


def chosen_catalogs(stated: Sequence[str]) -> tuple[str, ...]:
    """Return the catalogues that a command is about: the stated ones, or the user's.

    Raises:
        StoreError: ``CATALOGUE_MISSING``: there are none.
        KitError: ``SETTINGS_INVALID``.
    """
    found = tuple(stated) or read_configuration().catalogs
    if not found:
        raise failure(
            "CATALOGUE_MISSING",
            "no catalogue is named, and none is configured",
            where=str(configuration_path()),
        )
    return found


def one_catalog(stated: str | None) -> str:
    """Return the catalogue to change: the stated one, or the only one of the user's.

    Raises:
        StoreError: ``CATALOGUE_MISSING``: there is none, or several.
    """
    found = chosen_catalogs([stated] if stated else [])
    if len(found) > 1:
        raise failure(
            "CATALOGUE_MISSING",
            f"{len(found)} catalogues are configured, and none is named",
            hint=f"name the one to change: --catalog {found[0]}",
        )
    return found[0]


@contextmanager
def open_journal(catalog: str) -> Iterator[Journal]:
    """Open a catalogue: ``REGISTRY/NAME`` or ``oci:FOLDER``.

    Raises:
        KitError: it is something else (``TARGET_UNFIT``).
        StoreError: ``REFERENCE_INVALID``.
    """
    if catalog.startswith(_FOLDER):
        yield FolderJournal(Path(catalog.removeprefix(_FOLDER)).expanduser())
        return
    reference = registry_named(catalog).reference
    if reference.tag or reference.digest:
        raise failure(
            "TARGET_UNFIT",
            f"{catalog} has a tag or a digest; a catalogue is a whole repository",
            where=catalog,
            hint=f"write {reference.name}",
        )
    with Registries.from_environment() as registries:
        yield RepositoryJournal(reference, registries)


def read_one(catalog: str) -> Catalogue:
    """Return what one catalogue lists.

    Raises:
        StoreError: ``CATALOGUE_INVALID``; RegistryError: ``REGISTRY_*``.
    """
    with open_journal(catalog) as journal:
        found = read_catalogue(journal)
        if found.log == log_of(()):
            message = f"there is no catalogue {journal.where}"
            hint = f"begin one: mealkit catalog add REGISTRY/NAME:TAG --catalog {catalog}"
            raise failure("IMAGE_NOT_FOUND", message, where=journal.where, hint=hint)
        return found


def find_kit(text: str, catalogs: tuple[str, ...] = (), *, elsewhere: bool = False) -> FoundKit:
    """Return the kit that ``NAME`` or ``NAME:VERSION`` names, from the first catalogue that has it.

    Without a version, the newest one is returned. ``elsewhere``: the later catalogues are read,
    too, if they can be.

    Raises:
        StoreError: ``KIT_UNLISTED``: no catalogue has it; ``CATALOGUE_CONFLICT``: it is listed with
            two digests.
        RegistryError: a catalogue before it cannot be read, so it may have the kit.
    """
    name, _, version = text.partition(":")
    every = chosen_catalogs(catalogs)
    for number, where in enumerate(every):
        catalogue = read_one(where)
        found = catalogue.of(name, version or None)
        if found:
            chosen = _chosen(where, found, catalogue)
            later = every[number + 1 :] if elsewhere else ()
            return replace(chosen, elsewhere=tuple(_others(chosen.entry, later, version)))
    raise failure("KIT_UNLISTED", f"{text} is not in {' or '.join(every)}")


def _chosen(where: str, found: tuple[Listed, ...], catalogue: Catalogue) -> FoundKit:
    entry = found[0].entry
    same = [item.entry for item in found if item.entry.version == entry.version]
    if len({item.digest for item in same}) > 1:
        digests = "; ".join(f"{item.digest} in {item.reference}" for item in same)
        raise failure(
            "CATALOGUE_CONFLICT",
            f"{where} lists {entry.title} with {len(same)} digests: {digests}",
            where=where,
            hint=f"run the right one by its digest: mealkit run {entry.pinned}",
        )
    every = [item.entry for item in catalogue.of(entry.name)]
    versions = dict.fromkeys(item.version for item in every)
    owners = {item.owner.team for item in every} - {entry.owner.team}
    return FoundKit(where, entry, versions=tuple(versions), other_owners=tuple(sorted(owners)))


def _others(entry: Entry, catalogs: tuple[str, ...], version: str) -> Iterator[tuple[str, Entry]]:
    for where in catalogs:
        with suppress(MealkitError):  # it could not have been chosen anyway
            found = read_one(where).of(entry.name, version or None)
            if found and found[0].entry.digest != entry.digest:
                yield where, found[0].entry
