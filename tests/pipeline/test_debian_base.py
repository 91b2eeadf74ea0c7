"""Kits on Debian packages: what a stranger's lock may bring into a build, and what may run of it.

The archive is a little one with keys of its own; its Python is the one that runs the tests.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.debian_archive import OTHER_KEY, Keys, made_keys, python_debs, write_archive
from fakes.little import Heard, little_kit
from fakes.pythons import PYTHON

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.lock.resolve import offline_lock
from mealkit.pipeline.audit.rebuilding import Proof, rebuild
from mealkit.pipeline.disk.pruning import prune
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import build_kit, render_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.recipe.lock import Lock, lock_bytes, read_lock
from mealkit.sources.file_cache import FileCache

OLD = "Fri, 20 Nov 2026 09:15:44 UTC"
HOSTILE = Path(__file__).parents[1] / "containers" / "hostile.c"


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    with made_keys() as made:
        yield made


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program that poses as the loader, and answers with what is no code."""
    target = tmp_path_factory.mktemp("hostile") / "loader"
    subprocess.run(["gcc", "-O1", "-static", "-o", target, HOSTILE], check=True)
    return target.read_bytes()


@pytest.fixture
def archive(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive that this machine is told to use."""
    folder = tmp_path / "archive"
    monkeypatch.setenv("MEALKIT_DEBIAN_MIRROR", write_archive(folder, python_debs(), keys))
    monkeypatch.setenv("MEALKIT_DEBIAN_KEYRING", str(keys.archive))
    return folder


def debian_kit(folder: Path, *, suite: str = "trixie", **runtime: object) -> Path:
    base = {"source": "debian", "suite": suite, **runtime.pop("base", {})}
    return little_kit(
        folder,
        base="",
        runtime={
            "engine": "onnx",
            "base": base,
            "python": PYTHON,
            "wheels": ["wheels"],
            **runtime,
        },
    )


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return debian_kit(tmp_path / "kit")


def built(kit: Path, home: Home, *, frozen: bool = True) -> Digest:
    return build_kit(kit, frozen=frozen, outputs=Outputs(), home=home, progress=Heard()).digest


def refused(kit: Path, home: Home, *, frozen: bool = True) -> str:
    with pytest.raises(MealkitError) as caught:
        built(kit, home, frozen=frozen)
    assert not list(home.store.glob("blobs/sha256/*"))
    return caught.value.problems[0].code


def edit_lock(kit: Path, **runtime: object) -> None:
    """Forge a lock as a stranger would: all that follows from the base fits it."""
    path = kit / "kit.lock"
    lock = read_lock(path.read_bytes())
    base = lock.runtime.base.model_copy(update=runtime.pop("base", {}))
    changed = lock.runtime.model_copy(update={"base": base, **runtime})
    forged = lock.model_copy(update={"runtime": changed})
    fitting = offline_lock(open_kit(kit, Home(kit.parent)).parts, forged)
    path.write_bytes(lock_bytes(forged.model_copy(update={"requirements": fitting.requirements})))


def with_libc(lock: Lock, data: bytes, **stated: object) -> dict[str, object]:
    """Return the lock's packages, of which libc6 is one of these bytes."""
    changes = {"sha256": Digest.of(data), "size_bytes": len(data), **stated}
    packages = [
        package.model_copy(update=changes) if package.name == "libc6" else package
        for package in lock.runtime.base.packages
    ]
    return {"packages": tuple(packages)}


def put(home: Home, data: bytes) -> None:
    """Have a file among the verified ones, as a wheel or a weight of the kit would be."""
    cache = FileCache(home.files)
    with cache.new_part() as part:
        part.path.write_bytes(data)
        cache.add(part.path, Digest.of(data))


def test_a_lock_builds_again_without_its_mirror(kit, home, archive, tmp_path):
    """What was locked here builds when no mirror is left, with the same bytes."""
    first = built(kit, home, frozen=False)
    shutil.rmtree(archive)
    shutil.rmtree(home.store)
    assert built(kit, home) == first
    render_kit(kit, tmp_path / "context", frozen=True, home=home, progress=Heard())


def test_another_machine_builds_a_lock_with_a_mirror(kit, home, archive, tmp_path):
    """A machine that has seen nothing asks the signed index; without one it builds nothing."""
    first = built(kit, home, frozen=False)
    assert built(kit, home_at(tmp_path / "second")) == first
    shutil.rmtree(archive)
    other = home_at(tmp_path / "third")
    shutil.copytree(home.files, other.files)
    assert refused(kit, other) == "DEBIAN_UNVOUCHED"


def test_an_auditor_is_told_which_layers_a_dropped_package_leaves_unproven(
    kit, home, archive, keys, tmp_path
):
    """A mirror with newer packages only: what is compiled with the old ones is not made again."""
    layout = f"oci:{tmp_path / 'layout'}"
    outputs = Outputs(output=[layout])
    first = build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
    shutil.rmtree(archive)
    write_archive(archive, python_debs(version="2.41-13"), keys)
    found = rebuild(layout, home_at(tmp_path / "auditor"), Heard(), inputs=[kit / "wheels"])
    assert {item.code for item in found.problems} == {"REBUILD_UNPROVEN"}
    assert "libc6 2.41-12" in found.problems[0].message
    assert [item.proof for item in found.layers] == [
        Proof.TAKEN,
        Proof.TAKEN,
        Proof.REBUILT,
        Proof.REBUILT,
        Proof.TAKEN,
        Proof.REBUILT,
    ]
    assert found.digest == first.digest


def test_a_replaced_version_builds_with_a_snapshot(kit, home, archive, keys, tmp_path, monkeypatch):
    """A mirror that has newer versions does not vouch for old ones; a snapshot of it does."""
    first = built(kit, home, frozen=False)
    snapshot = tmp_path / "snapshot"
    write_archive(snapshot, python_debs(), keys, date=OLD)
    shutil.rmtree(archive)
    newer = python_debs(version="2.41-13")
    address = write_archive(archive, newer, keys, libc_version="2.41-13")
    second = home_at(tmp_path / "second")
    assert refused(kit, second) == "DEBIAN_UNVOUCHED"
    monkeypatch.setenv("MEALKIT_DEBIAN_MIRROR", f"{address} file://{snapshot}")
    assert built(kit, second) == first


@pytest.mark.parametrize("frozen", [True, False])
def test_a_forged_package_is_neither_run_nor_unpacked(
    kit, home, archive, hostile, frozen, tmp_path
):
    """A lock that names another libc6 is refused by build and render, though its file is there."""
    built(kit, home, frozen=False)
    shutil.rmtree(home.store)
    forged = python_debs(loader=hostile)["libc6"]
    put(home, forged)
    lock = read_lock((kit / "kit.lock").read_bytes())
    edit_lock(kit, base=with_libc(lock, forged))
    assert refused(kit, home, frozen=frozen) == "DEBIAN_UNVOUCHED"
    with pytest.raises(MealkitError) as caught:
        render_kit(kit, tmp_path / "context", frozen=frozen, home=home, progress=Heard())
    assert caught.value.problems[0].code == "DEBIAN_UNVOUCHED"
    assert not (tmp_path / "context").exists()


def test_a_file_that_poses_as_a_package(home, archive, hostile, tmp_path):
    """Where no signature is asked for, a verified file is still only what it is: never run."""
    kit = debian_kit(tmp_path / "kit", base={"allow_unsigned": True})
    built(kit, home, frozen=False)
    shutil.rmtree(home.store)
    lock = read_lock((kit / "kit.lock").read_bytes())
    assert lock.runtime.bytecode is False
    wheel = next((kit / "wheels").glob("*.whl")).read_bytes()
    for data in (wheel, python_debs(loader=hostile)["libc6"] + wheel):
        put(home, data)
        edit_lock(kit, base=with_libc(lock, data))
        assert refused(kit, home) == "BASE_INVALID"
    # A whole package may come unsigned, and is then data: nothing of it is compiled with.
    data = python_debs(loader=hostile)["libc6"]
    put(home, data)
    edit_lock(kit, base=with_libc(lock, data))
    assert built(kit, home)


def test_a_lock_cannot_have_unsigned_packages_run(home, archive, keys, hostile, tmp_path):
    """Whether modules are compiled is the kit's to say, and unsigned packages never are run."""
    write_archive(archive, python_debs(loader=hostile), keys, signers=(OTHER_KEY,))
    kit = debian_kit(tmp_path / "kit", base={"allow_unsigned": True})
    built(kit, home, frozen=False)
    shutil.rmtree(home.store)
    edit_lock(kit, bytecode=True)
    assert refused(kit, home) == "LOCK_STALE"
    assert built(kit, home, frozen=False)
    assert read_lock((kit / "kit.lock").read_bytes()).runtime.bytecode is False


def test_a_lock_of_another_base(kit, home, archive, tmp_path):
    """Suite, kind, architecture and names of the base are what the kit asks for."""
    built(kit, home, frozen=False)
    shutil.rmtree(home.store)
    whole = (kit / "kit.lock").read_bytes()
    packages = read_lock(whole).runtime.base.packages
    foreign = replace_first(packages, architecture="arm64")
    form = json.loads(whole)
    twice = form["runtime"]["base"]["packages"]
    twice.append(twice[0])
    (kit / "kit.lock").write_text(json.dumps(form))
    assert refused(kit, home) == "LOCK_INVALID"
    for base in ({"suite": "bookworm"}, {"packages": foreign}):
        (kit / "kit.lock").write_bytes(whole)
        edit_lock(kit, base=base)
        assert refused(kit, home) == "LOCK_INVALID"
    little = little_kit(tmp_path / "little")
    built(little, home, frozen=False)
    shutil.rmtree(home.store)
    path = little / "kit.lock"
    lock = read_lock(path.read_bytes())
    runtime = lock.runtime.model_copy(update={"base": read_lock(whole).runtime.base})
    forged = lock.model_copy(update={"runtime": runtime})
    fitting = offline_lock(open_kit(little, home).parts, forged)
    path.write_bytes(lock_bytes(forged.model_copy(update={"requirements": fitting.requirements})))
    assert refused(little, home) == "LOCK_INVALID"


def replace_first(packages, **changes):
    return (packages[0].model_copy(update=changes), *packages[1:])


def test_a_python_that_is_signed_and_hostile(kit, home, archive, keys, hostile, tmp_path):
    """Even what an archive signs reaches nothing: it is shut in, and its answer is not taken."""
    shutil.rmtree(archive)
    write_archive(archive, python_debs(loader=hostile), keys)
    assert refused(kit, home, frozen=False) == "BYTECODE_UNAVAILABLE"


def test_pruning_keeps_what_is_known_of_packages(kit, home, archive, tmp_path):
    """Pruned inputs are fetched again; who vouched for them is not forgotten."""
    first = built(kit, home, frozen=False)
    prune(damaged=False, nameless=False, home=home, progress=Heard())
    shutil.rmtree(archive / "dists")
    shutil.rmtree(home.store)
    assert built(kit, home) == first
