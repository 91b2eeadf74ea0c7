"""Publishes a catalogue as a site: reads every kit by its digest, and replaces the folder."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mealkit.assembly.templates import template_root
from mealkit.catalogue.catalogue import Catalogue
from mealkit.catalogue.entry import Entry
from mealkit.catalogue.merging import Journal, read_catalogue
from mealkit.catalogue.site import MARKER, Site, site_files
from mealkit.catalogue.site_pages import Inside, LayerRow, Version
from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure
from mealkit.files.whole import disk_errors, whole_folder
from mealkit.pipeline.catalogs.open_catalogs import one_catalog, open_journal
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.kit_image import open_kit_image
from mealkit.pipeline.statements.describing import sbom_of_image
from mealkit.pipeline.targets import RegistryReference
from mealkit.progress import Progress


@dataclass(frozen=True, slots=True)
class SiteReport:
    """The result: the folder, and how much is in it."""

    folder: str
    catalog: str
    kits: int
    versions: int
    problems: tuple[Problem, ...]
    """The entries and the images that could not be read."""


def publish_site(
    folder: Path, catalog: str | None, title: str | None, home: Home, progress: Progress
) -> SiteReport:
    """Write the site of a catalogue; the folder has the old site or the new one, never a part.

    Raises:
        BuildError: ``OUTPUT_EXISTS``: the folder has something else than a site.
        StoreError, RegistryError: the catalogue cannot be read; ``DISK_*``.
    """
    name = one_catalog(catalog)
    folder = folder.resolve() if folder.name in {"", ".."} else folder
    _require_site(folder)
    with open_journal(name) as journal:
        catalogue = read_catalogue(journal)
        versions = tuple(_versions(catalogue, journal, home, progress))
    site = Site(title or name, name, versions)
    files = site_files(site, template_root() / "catalog")
    _replace(folder, files)
    problems = (*catalogue.faults, *(item.problem for item in versions if item.problem))
    kits = len({item.entry.name for item in versions})
    return SiteReport(str(folder), name, kits, len(versions), problems)


def _versions(
    catalogue: Catalogue, journal: Journal, home: Home, progress: Progress
) -> Iterator[Version]:
    for item in catalogue.kits:
        progress.phase(f"reading {item.entry.title}")
        yield _version(item.entry, journal, item.record, home)


def _version(entry: Entry, journal: Journal, record: Digest, home: Home) -> Version:
    raw = journal.readme(record)
    readme = None if raw is None else raw.decode(errors="replace")
    try:
        return Version(entry, readme, _inside(entry, home))
    except MealkitError as error:
        return Version(entry, readme, problem=error.problems[0])


def _inside(entry: Entry, home: Home) -> Inside:
    """Return what is in a kit's image; the entry's digest says which image that is."""
    with open_kit_image(RegistryReference(str(entry.pinned), entry.pinned), home) as kit:
        layers = tuple(
            LayerRow(layer.created_by, layer.blob.size_bytes, layer.blob.digest)
            for layer in kit.images[0].layers
        )
        return Inside(kit.lock, layers, sbom_of_image(kit))


def _require_site(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not _is_replaceable(folder)):
        raise failure(
            "OUTPUT_EXISTS",
            f"{folder} exists and is not the site of a catalogue",
            where=str(folder),
            hint="name a new folder",
        )


def _is_replaceable(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return (folder / MARKER).is_file() or not any(folder.iterdir())


def _replace(folder: Path, files: dict[str, bytes]) -> None:
    old = folder.with_name(f".{folder.name}.old")
    with disk_errors(folder, "the site cannot be written"):
        shutil.rmtree(old, ignore_errors=True)
        fresh = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
    with whole_folder(fresh, "the site cannot be written") as partial:
        for name, data in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    with disk_errors(folder, "the site cannot be replaced"):
        if folder.exists():
            folder.replace(old)
        fresh.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
