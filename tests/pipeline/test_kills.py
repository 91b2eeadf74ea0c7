"""Commands that are killed at random points lose nothing, and the next run completes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.kills import Nursery, nursery, points
from fakes.little import OFFLINE, little_kit
from fakes.quirky_registry import QuirkyRegistry

from mealkit.digest import Digest
from mealkit.oci.artifact import artifact_of
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.oci.validate import validate
from mealkit.pipeline.disk.pruning import prune
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.progress import SILENT
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import attach

pytestmark = pytest.mark.xdist_group("kills")
KILLS = 40


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Nursery]:
    with nursery(tmp_path_factory.mktemp("nursery"), "fakes.transfers", "fakes.archives") as found:
        yield found


def build(folder: Path, weights_bytes: int) -> tuple[Home, Image]:
    """Build a little kit into a home of its own."""
    home = home_at(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit = little_kit(folder / "kit", weights_bytes=weights_bytes)
        report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=SILENT)
    return home, LocalStore(home.store).image(str(report.digest))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Home, Image]:
    return build(tmp_path_factory.mktemp("built"), 1_100_000)  # its upload is recorded


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> tuple[Home, Image]:
    return build(tmp_path_factory.mktemp("large"), 9_000_000)  # read in pieces


@pytest.fixture
def registry() -> Iterator[QuirkyRegistry]:
    server = QuirkyRegistry()
    yield server
    server.close()


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_pull_that_is_killed_anywhere_is_completed_by_the_next(run, large, registry, tmp_path):
    """No image is listed before it is whole; the next pull has the digest, and nothing piles up."""
    _, image = large
    with Registries.from_environment() as registries:
        push(image, Reference(registry.host, "little", "1"), registries)
    reference = f"{registry.host}/little:1"
    moments = run.finish("fakes.transfers:pull_kit", reference, tmp_path / "first")
    expected = files_in(tmp_path / "first")
    for number, point in enumerate(points(moments, KILLS, seed=1)):
        home = home_at(tmp_path / f"home{number}")
        run.run("fakes.transfers:pull_kit", reference, home.root, die_at=point)
        listed = LocalStore(home.store).images() if home.store.exists() else []
        assert [item.missing for item in listed] in ([], [()])
        run.finish("fakes.transfers:pull_kit", reference, home.root)
        found = LocalStore(home.store).image(reference)
        assert found.digest == image.digest
        assert validate(found) == []
        prune(damaged=False, nameless=False, home=home, progress=SILENT)
        assert files_in(home.root) == expected, f"killed at moment {point} of {moments}"


def test_a_push_that_is_killed_anywhere_is_completed_by_the_next(run, built, registry):
    """A tag names an image only when the registry has all of it; the next push completes it."""
    home, image = built
    target = f"{registry.host}/little"
    moments = run.finish("fakes.transfers:push_kit", image.digest, home.root, f"{target}:first")
    whole = set(registry.blobs)
    for point in points(moments, KILLS, seed=2):
        registry.blobs.clear()
        registry.manifests.clear()
        run.run("fakes.transfers:push_kit", image.digest, home.root, f"{target}:1", die_at=point)
        if "1" in registry.manifests:
            assert set(registry.blobs) == whole
        run.finish("fakes.transfers:push_kit", image.digest, home.root, f"{target}:1")
        assert Digest.of(registry.manifests["1"][1]) == image.digest
        assert set(registry.blobs) == whole, f"killed at moment {point} of {moments}"
    assert not any(home.uploads.iterdir())


def test_a_copy_that_is_killed_anywhere_is_completed_by_the_next(run, built, registry, tmp_path):
    """As a push: the tag comes last, and the next copy completes it, signatures included."""
    _, image = built
    source = QuirkyRegistry()
    reference = Reference(source.host, "little", "1")
    with Registries.from_environment() as registries:
        push(image, reference, registries)
        note = artifact_of("application/x-note", (), subject=image.descriptor)
        attach(note, reference, registries)
    copy, start = "fakes.transfers:copy_kit", (f"{source.host}/little:1", f"{registry.host}/copy:1")
    moments = run.finish(copy, *start, tmp_path)
    whole = set(registry.blobs), set(registry.manifests)
    for point in points(moments, KILLS, seed=3):
        registry.blobs.clear()
        registry.manifests.clear()
        run.run(copy, *start, tmp_path, die_at=point)
        if "1" in registry.manifests:
            assert (set(registry.blobs), set(registry.manifests)) == whole
        run.finish(copy, *start, tmp_path)
        found = set(registry.blobs), set(registry.manifests)
        assert found == whole, f"killed at moment {point} of {moments}"
    source.close()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_save_that_is_killed_anywhere_is_completed_by_the_next(run, built, tmp_path):
    """A volume gets its name when it is complete; what was listed is not written again."""
    home, image = built
    whole = tmp_path / "whole"
    moments = run.finish("fakes.archives:save_kit", image.digest, home.root, whole / "kit.tar")
    expected = {path.name: path.read_bytes() for path in whole.iterdir()}
    for number, point in enumerate(points(moments, KILLS, seed=3)):
        folder = tmp_path / f"killed{number}"
        file = folder / "kit.tar"
        run.run("fakes.archives:save_kit", image.digest, home.root, file, die_at=point)
        left = {path: path.stat().st_mtime_ns for path in folder.glob("kit.tar.0*")}
        assert all(path.read_bytes() == expected[path.name] for path in left)
        sums = folder / "kit.tar.sha256"
        listed = sums.read_text() if sums.exists() else ""
        run.finish("fakes.archives:save_kit", image.digest, home.root, file)
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert found == expected, f"killed at moment {point} of {moments}"
        kept = [path for path in left if path.name in listed]
        assert all(path.stat().st_mtime_ns == left[path] for path in kept)


def test_a_load_that_is_killed_anywhere_is_completed_by_the_next(run, built, tmp_path):
    """No image is listed before it is whole; the next load has the digest, and nothing piles up."""
    source, image = built
    run.finish("fakes.archives:save_kit", image.digest, source.root, tmp_path / "kit.tar")
    files = sorted(tmp_path.glob("kit.tar.0*"))
    moments = run.finish("fakes.archives:load_kit", tmp_path / "first", *files)
    expected = files_in(tmp_path / "first")
    for number, point in enumerate(points(moments, KILLS, seed=4)):
        home = home_at(tmp_path / f"home{number}")
        run.run("fakes.archives:load_kit", home.root, *files, die_at=point)
        listed = LocalStore(home.store).images() if home.store.exists() else []
        assert [item.missing for item in listed] in ([], [()])
        run.finish("fakes.archives:load_kit", home.root, *files)
        found = LocalStore(home.store).image("little:1.0.0")
        assert found.digest == image.digest
        assert validate(found) == []
        prune(damaged=False, nameless=False, home=home, progress=SILENT)
        assert files_in(home.root) == expected, f"killed at moment {point} of {moments}"
