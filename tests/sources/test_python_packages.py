"""Python packages: resolved by the real uv to pinned wheels, fetched and verified."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fakes import wheels

from mealkit.digest import Digest
from mealkit.errors import BuildError, KitError, LockError, SourceError
from mealkit.lock.kit_parts import PythonTarget
from mealkit.recipe.lock import LockedWheel
from mealkit.sources.download import Downloader
from mealkit.sources.locked_wheels import fetch_wheels
from mealkit.sources.python_packages import dependents_of, resolve_packages

TRIXIE = PythonTarget("3.13", "amd64", "2.41")


def write_wheel(folder: Path, name: str, version: str, **more: str) -> Path:
    text = f"version = {version!r}\n".encode()
    return wheels.write_wheel(folder, name, {f"{name}/__init__.py": text}, version=version, **more)


def write_sdist(folder: Path, name: str, version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n',
    }
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{file}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def resolve(*requirements: str, **options: Any) -> tuple[LockedWheel, ...]:
    return resolve_packages(requirements, TRIXIE, **options)


def test_requirements_become_pinned_wheels(index: Path) -> None:
    """Every wheel of the solution is pinned by the digest of its bytes; no address is kept."""
    write_wheel(index, "alpha", "1.0")
    newest = write_wheel(index, "alpha", "2.0", requires="beta")
    beta = write_wheel(index, "beta", "0.1")
    locked = resolve("alpha")
    assert [(item.name, item.version, item.local) for item in locked] == [
        ("alpha", "2.0", False),
        ("beta", "0.1", False),
    ]
    assert locked[0].sha256 == Digest.of(newest.read_bytes())
    assert locked[1].filename == beta.name
    assert str(index) not in repr(locked)


def test_markers_are_those_of_the_target(index: Path) -> None:
    """What only another platform or an older Python needs is left out."""
    write_wheel(index, "alpha", "1.0", requires="beta; sys_platform == 'win32'")
    write_wheel(index, "gamma", "1.0", requires="beta; python_version < '3.13'")
    write_wheel(index, "delta", "1.0", requires="beta; platform_machine == 'aarch64'")
    write_wheel(index, "beta", "1.0")
    assert [item.name for item in resolve("alpha", "gamma", "delta")] == ["alpha", "delta", "gamma"]
    arm = resolve_packages(["delta"], PythonTarget("3.13", "arm64", "2.41"))
    assert [item.name for item in arm] == ["beta", "delta"]


def test_the_wheel_fits_python_and_platform(index: Path) -> None:
    """Of several wheels of a version, the best for exactly this Python, machine and glibc is taken."""
    tags = [
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_28_aarch64",
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_40_x86_64",
        "cp313-cp313-musllinux_1_2_x86_64",
        "cp310-abi3-manylinux_2_17_x86_64",
        "py3-none-any",
    ]
    for tag in tags:
        write_wheel(index, "alpha", "1.0", tag=tag)
    assert resolve("alpha")[0].filename == "alpha-1.0-cp313-cp313-manylinux_2_40_x86_64.whl"
    old = resolve_packages(["alpha"], PythonTarget("3.13", "amd64", "2.36"))
    assert old[0].filename == "alpha-1.0-cp313-cp313-manylinux_2_28_x86_64.whl"
    arm = resolve_packages(["alpha"], PythonTarget("3.13", "arm64", "2.36"))
    assert arm[0].filename == "alpha-1.0-cp313-cp313-manylinux_2_28_aarch64.whl"
    newer = resolve_packages(["alpha"], PythonTarget("3.14", "amd64", "2.41"))
    assert newer[0].filename == "alpha-1.0-cp310-abi3-manylinux_2_17_x86_64.whl"


def test_excluded_packages_are_left_out(index: Path) -> None:
    """An excluded package is not resolved, nor what only it needs."""
    write_wheel(index, "alpha", "1.0", requires="beta")
    write_wheel(index, "beta", "1.0", requires="gamma")
    assert [item.name for item in resolve("alpha", excludes=["beta"])] == ["alpha"]


def test_a_local_wheel_wins(index: Path, tmp_path: Path) -> None:
    """A package that the kit brings itself is taken from there, even if the index has a newer one."""
    write_wheel(index, "alpha", "9.0")
    own = write_wheel(tmp_path / "kit" / "wheels", "alpha", "1.0")
    for given in (own, own.parent):
        (locked,) = resolve("alpha", wheels=[given])
        assert (locked.version, locked.local) == ("1.0", True)
        assert locked.sha256 == Digest.of(own.read_bytes())
        assert locked.size_bytes == own.stat().st_size


def test_local_wheels_must_be_there_and_be_wheels(index: Path, tmp_path: Path) -> None:
    """A missing local wheel, and a file whose name is no wheel's, are refused."""
    with pytest.raises(KitError) as missing:
        resolve("alpha", wheels=[tmp_path / "none.whl"])
    assert missing.value.problems[0].code == "KIT_FILE_MISSING"
    wrong = tmp_path / "alpha.whl"
    wrong.write_bytes(b"")
    with pytest.raises(BuildError) as invalid:
        resolve("alpha", wheels=[wrong])
    assert invalid.value.problems[0].code == "WHEEL_INVALID"


def test_a_package_with_only_its_source_is_refused(index: Path) -> None:
    """No wheel for the target: the package is named, with what to do; directly or as a need."""
    write_sdist(index, "sourceonly", "1.0")
    write_wheel(index, "needs", "1.0", requires="sourceonly")
    write_wheel(index, "windows", "1.0", tag="cp313-cp313-win_amd64")
    write_wheel(index, "older", "1.0", tag="cp39-cp39-manylinux_2_28_x86_64")
    for requirement, name in (
        ("sourceonly", "sourceonly"),
        ("sourceonly==1.0", "sourceonly"),
        ("needs", "sourceonly"),
        ("windows", "windows"),
        ("older", "older"),
    ):
        with pytest.raises(LockError) as error:
            resolve(requirement)
        problem = error.value.problems[0]
        assert problem.code == "PACKAGES_SOURCE_ONLY"
        assert name in problem.message
        assert "runtime.wheels" in problem.hint


def test_the_pythons_that_a_package_has_wheels_for_are_named(index: Path) -> None:
    """An old pin with wheels for an old Python only."""
    write_wheel(index, "torch", "2.1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    write_wheel(index, "torch", "2.4.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    with pytest.raises(LockError) as error:
        resolve("torch==2.1.0")
    (problem,) = error.value.problems
    assert problem.code == "PACKAGES_SOURCE_ONLY"
    assert problem.message.endswith("torch; torch has wheels for Python 3.11")
    assert "set runtime.python" in problem.hint


@pytest.mark.parametrize(
    "requirements", [("alpha==9",), ("nothing-of-this-name",), ("alpha<2", "beta")]
)
def test_what_cannot_be_solved_says_why(index: Path, requirements: tuple[str, ...]) -> None:
    """uv's own reason is passed on, without addresses."""
    write_wheel(index, "alpha", "1.0")
    write_wheel(index, "alpha", "2.0")
    write_wheel(index, "beta", "1.0", requires="alpha>=2")
    with pytest.raises(LockError) as error:
        resolve(*requirements)
    problem = error.value.problems[0]
    assert problem.code == "PACKAGES_UNSOLVABLE"
    assert requirements[0].split("==")[0].split("<")[0] in problem.message
    assert "://" not in problem.message
    assert "\n" not in problem.message


def test_a_build_from_another_index_is_named_with_the_edit(index: Path) -> None:
    """A local version, such as torch's for CPUs, is not loosened but brought as a wheel."""
    write_wheel(index, "alpha", "1.0", requires="beta==1.0+cpu; python_version > '3'")
    write_wheel(index, "beta", "1.0")
    with pytest.raises(LockError) as error:
        resolve("alpha")
    problem = error.value.problems[0]
    assert problem.code == "PACKAGES_UNSOLVABLE"
    wanted = "get the wheel of beta==1.0+cpu, and name its file or folder in runtime.wheels"
    assert problem.hint == wanted


def test_dependents_of_what_was_left_out(index: Path, tmp_path: Path) -> None:
    """Each name has the packages that require it; its own dependencies need not exist."""
    own = write_wheel(tmp_path / "own", "gamma", "1.0+cpu", requires="heavy<3; extra == 'all'")
    write_wheel(index, "alpha", "1.0", requires="heavy>=2,<3")
    write_wheel(index, "beta", "1.0", requires="heavy")
    write_wheel(index, "heavy", "2.0", requires="gigabytes-of-cuda")
    wanted = ("alpha", "beta<2", "gamma")
    locked = resolve(*wanted, excludes=["heavy", "unused"], wheels=[own])
    assert [item.name for item in locked] == ["alpha", "beta", "gamma"]
    found = dependents_of(["heavy", "unused"], wanted, locked, TRIXIE, wheels=[own])
    assert found == {"heavy": ("alpha", "beta"), "unused": ()}


def test_what_only_other_systems_require_has_no_dependents(index: Path) -> None:
    """Markers count for what was left out as for everything else."""
    write_wheel(index, "alpha", "1.0", requires="heavy<3; sys_platform == 'win32'")
    write_wheel(index, "beta", "1.0", requires="light; python_version >= '3.13'")
    write_wheel(index, "heavy", "2.0")
    write_wheel(index, "light", "2.0", requires="gigabytes-of-cuda")
    names, wanted = ["heavy", "light"], ("alpha", "beta")
    locked = resolve(*wanted, excludes=names)
    found = dependents_of(names, wanted, locked, TRIXIE)
    assert found == {"heavy": (), "light": ("beta",)}


def test_what_an_excluded_package_requires_has_no_dependents(index: Path) -> None:
    """The engine's own excludes may not even be on the index; what they require is not left out."""
    write_wheel(index, "alpha", "1.0", requires="beta")
    write_wheel(index, "beta", "1.0", requires="heavy")
    write_wheel(index, "gamma", "1.0", requires="elsewhere")
    write_wheel(index, "heavy", "1.0")
    wanted, excludes = ("alpha", "gamma"), ["beta", "elsewhere", "heavy"]
    locked = resolve(*wanted, excludes=excludes)
    found = dependents_of(["heavy"], wanted, locked, TRIXIE, excludes=excludes)
    assert found == {"heavy": ()}
    found = dependents_of(["heavy", "beta"], wanted, locked, TRIXIE, excludes=excludes)
    assert found == {"heavy": (), "beta": ("alpha",)}


def test_dependents_of_what_no_index_has(index: Path) -> None:
    """Such packages, or builds, may be left out as well."""
    write_wheel(index, "alpha", "1.0", requires="nowhere==1.0+cuda")
    locked = resolve("alpha", excludes=["nowhere"])
    found = dependents_of(["nowhere", "unused"], ["alpha"], locked, TRIXIE)
    assert found == {"nowhere": ("alpha",), "unused": ()}


@pytest.mark.parametrize(
    "requirement",
    [
        "two words",
        "-r other.txt",
        "alpha @ https://files.example.invalid/alpha-1.0-py3-none-any.whl",
    ],
)
def test_what_is_no_plain_requirement_is_refused(requirement: str) -> None:
    """Options and addresses have no place among requirements."""
    with pytest.raises(LockError) as error:
        resolve(requirement)
    assert error.value.problems[0].code == "PACKAGES_UNSOLVABLE"


def test_an_index_that_is_down_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A dead index is not taken for an unsolvable requirement."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(SourceError) as error:
        resolve("alpha")
    assert error.value.problems[0].code == "SOURCE_UNREACHABLE"
    assert "://" not in error.value.problems[0].message


def test_a_project_around_does_not_matter(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A uv.toml or pyproject.toml in the folder where mealkit runs changes nothing."""
    write_wheel(index, "alpha", "1.0")
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.toml").write_text("constraint-dependencies = ['alpha==7']\n")
    monkeypatch.chdir(project)
    assert resolve("alpha")[0].version == "1.0"


def test_locked_wheels_are_fetched_and_cached(
    index: Path, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wheels come from where uv finds them; once cached, uv is not asked any more."""
    alpha = write_wheel(index, "alpha", "1.0", requires="beta")
    write_wheel(index, "beta", "1.0")
    locked = resolve("alpha")
    paths = fetch_wheels(locked, downloader, TRIXIE)
    assert paths[locked[0].sha256].read_bytes() == alpha.read_bytes()
    monkeypatch.setenv("PATH", "")
    for wheel in index.iterdir():
        wheel.unlink()
    assert fetch_wheels(locked, downloader, TRIXIE) == paths


def test_two_versions_of_a_package_are_fetched(index: Path, downloader: Downloader) -> None:
    """The engine and the gateway of an image may pin different ones."""
    write_wheel(index, "beta", "1.0")
    locked = []
    for version in ("1.0", "2.0"):
        write_wheel(index, "alpha", version, requires="beta")
        locked += resolve("alpha")
    assert [wheel.version for wheel in locked if wheel.name == "alpha"] == ["1.0", "2.0"]
    paths = fetch_wheels(locked, downloader, TRIXIE)
    assert paths.keys() == {wheel.sha256 for wheel in locked}


def test_a_wheel_that_changed_or_went_is_gone(index: Path, downloader: Downloader) -> None:
    """Other bytes under the pinned name, or none, are refused by the wheel's name."""
    wheel = write_wheel(index, "alpha", "1.0")
    locked = resolve("alpha")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("alpha/more.py", "")
    for step in ("changed", "deleted"):
        with pytest.raises(SourceError) as error:
            fetch_wheels(locked, downloader, TRIXIE)
        assert error.value.problems[0].code == "PACKAGES_GONE", step
        assert wheel.name in error.value.problems[0].message
        wheel.unlink(missing_ok=True)


def test_local_wheels_are_fetched_by_their_digest(
    index: Path, tmp_path: Path, downloader: Downloader
) -> None:
    """A local wheel is found by its bytes, under any path; other bytes are refused."""
    own = write_wheel(tmp_path / "wheels", "alpha", "1.0")
    locked = resolve("alpha", wheels=[own])
    paths = fetch_wheels(locked, downloader, TRIXIE, wheels=[own.parent])
    assert paths[locked[0].sha256].read_bytes() == own.read_bytes()
    downloader.cache.drop(locked[0].sha256)
    write_wheel(tmp_path / "wheels", "alpha", "1.0", requires="beta")
    with pytest.raises(KitError) as error:
        fetch_wheels(locked, downloader, TRIXIE, wheels=[own])
    assert error.value.problems[0].code == "KIT_FILE_MISSING"


@pytest.mark.online
def test_the_real_engine_packages(downloader: Downloader) -> None:
    """onnxruntime, tokenizers and numpy for trixie, without what a worker must not have."""
    locked = resolve("onnxruntime", "tokenizers", "numpy", excludes=["huggingface-hub"])
    names = [item.name for item in locked]
    assert {"numpy", "onnxruntime", "protobuf", "tokenizers"} <= set(names)
    assert not {"huggingface-hub", "httpx", "httpx2"} & set(names)
    assert names == sorted(names)
    native = [item for item in locked if not item.filename.endswith("-any.whl")]
    assert all(item.filename.endswith("x86_64.whl") for item in native)
    assert resolve("onnxruntime", "tokenizers", "numpy", excludes=["huggingface-hub"]) == locked
    small = [item for item in locked if item.size_bytes < 1_000_000]
    paths = fetch_wheels(small, downloader, TRIXIE)
    assert all(Digest.of(paths[item.sha256].read_bytes()) == item.sha256 for item in small)
