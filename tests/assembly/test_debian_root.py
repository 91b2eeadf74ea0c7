"""Packages become a root that works, the same one every time, and damaged ones become problems."""

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.debs import deb_of, member
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mealkit.assembly.debian_root import debian_root
from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.tar import Entry, TarDirectory, TarFile, TarSymlink
from mealkit.sources.debian.deb import deb_urls
from mealkit.sources.debian.mirror_client import MirrorFetch
from mealkit.sources.debian.mirrors import debian_mirrors
from mealkit.sources.debian.resolver import resolve_base

# What the standard library lists but Debian packs apart, or another operating system has.
APART = {"_gdbm", "_tkinter", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtle", "turtledemo"}
ELSEWHERE = {
    *("_ios_support", "_msi", "_overlapped", "_scproxy", "_winapi", "_wmi", "msilib", "msvcrt"),
    *("nt", "winreg", "winsound"),
}
SILLY = {"antigravity", "this"}  # they open a browser and print a poem


BASE_FILES = (
    member("usr/bin"),
    member("usr/lib"),
    member("usr/lib/os-release", b"ID=debian\n"),
    member("etc/os-release", "../usr/lib/os-release"),
    member("tmp", mode=0o1777),
    member("root", mode=0o700),
    member("bin", "usr/bin"),
    member("lib", "usr/lib"),
)
PYTHON = (member("usr/bin/python3.13", b"#!\x7fELF", mode=0o755),)


class Kitchen:
    """Writes packages and unpacks them together with the two that every root needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.debs: list[tuple[str, Path]] = []
        self.add("base-files", *BASE_FILES)
        self.add("python3.13-minimal", *PYTHON)

    def add(self, name: str, *members, suffix: str = ".xz") -> Path:
        path = self.folder / f"{len(self.debs)}.deb"
        path.write_bytes(deb_of(name, *members, suffix=suffix))
        self.debs.append((name, path))
        return path

    def root(self, python: str = "3.13") -> dict[str, Entry]:
        entries = debian_root(self.debs, python, self.scratch)
        paths = [entry.path for entry in entries]
        assert paths == sorted(set(paths))
        return dict(zip(paths, entries, strict=True))

    def problem(self, python: str = "3.13"):
        with pytest.raises(MealkitError) as caught:
            self.root(python)
        return caught.value.problems[0]


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def content(entry: Entry) -> bytes:
    assert isinstance(entry, TarFile)
    body = b"".join(map(bytes, entry.content()))
    assert len(body) == entry.size_bytes
    return body


def test_every_parent_is_there(kitchen):
    """A package that ships a file without its folders still gives a whole tree."""
    kitchen.add("a", member("usr/share/deep/down/file", b"x"))
    root = kitchen.root()
    assert root["usr/share/deep"] == TarDirectory("usr/share/deep", 0o755)
    for path in root:
        parent = path.rpartition("/")[0]
        assert not parent or isinstance(root[parent], TarDirectory)


def test_what_scripts_would_have_made_is_there(kitchen):
    """User, name service, python3 and the kit's folder are there, without any script."""
    root = kitchen.root()
    assert b"mealkit:x:65532:65532:" in content(root["etc/passwd"])
    assert b"mealkit:x:65532:" in content(root["etc/group"])
    assert b"hosts: files dns" in content(root["etc/nsswitch.conf"])
    assert root["usr/bin/python3"] == TarSymlink("usr/bin/python3", "python3.13")
    assert root["var/lib/mealkit"] == TarDirectory("var/lib/mealkit", 0o755, 65532, 65532)
    assert root["tmp"] == TarDirectory("tmp", 0o1777)
    assert root["root"] == TarDirectory("root", 0o700)


def test_scanners_find_every_package(kitchen):
    """Each package's control file and checksums are where scanners look in an image without dpkg."""
    kitchen.add("empty-package")
    root = kitchen.root()
    assert content(root["var/lib/dpkg/status.d/base-files"]).startswith(b"Package: base-files\n")
    assert content(root["var/lib/dpkg/status.d/base-files.md5sums"]) == b"00  usr/bin/x\n"
    assert "var/lib/dpkg/status.d/empty-package" in root
    assert "var/lib/dpkg/status.d/empty-package.md5sums" not in root


def test_certificates_become_one_bundle(kitchen):
    """The authorities are joined in the order of their names, each on lines of its own."""
    folder = "usr/share/ca-certificates/mozilla"
    kitchen.add(
        "ca-certificates", member(f"{folder}/B.crt", b"two"), member(f"{folder}/A.crt", b"one\n")
    )
    root = kitchen.root()
    assert content(root["etc/ssl/certs/ca-certificates.crt"]) == b"one\ntwo\n"
    assert root["usr/lib/ssl/cert.pem"] == TarSymlink(
        "usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt"
    )


def test_documentation_is_left_out_but_for_copyright(kitchen):
    """Manuals, translations and documents go; copyright files, and links to them, stay."""
    kitchen.add(
        "a",
        member("usr/share/man/man1/a.1.gz", b"x"),
        member("usr/share/locale/de/a.mo", b"x"),
        member("usr/share/info"),
        member("usr/share/doc/a/changelog.gz", b"x"),
        member("usr/share/doc/a/examples/copyright", b"x"),
        member("usr/share/doc/a/copyright", b"free"),
        member("usr/share/doc/a2", "a"),
        member("usr/share/manual", b"kept"),
    )
    shared = {path for path in kitchen.root() if path.startswith("usr/share/")}
    assert shared == {
        *("usr/share/doc", "usr/share/doc/a", "usr/share/doc/a/copyright", "usr/share/doc/a2"),
        "usr/share/manual",
    }


def test_merged_folders_land_in_usr(kitchen):
    """Files of /lib, /bin and /lib64 land where the links lead, and the links are there."""
    kitchen.add(
        "old",
        member("lib"),
        member("lib/x86_64-linux-gnu/libc.so.6", b"elf"),
        member("lib64"),
        member("lib64/ld.so", "/lib/x86_64-linux-gnu/ld.so"),
    )
    root = kitchen.root()
    assert content(root["usr/lib/x86_64-linux-gnu/libc.so.6"]) == b"elf"
    assert root["usr/lib64/ld.so"] == TarSymlink("usr/lib64/ld.so", "/lib/x86_64-linux-gnu/ld.so")
    for name in ("bin", "lib", "lib64"):
        assert root[name] == TarSymlink(name, f"usr/{name}")
    assert not any(path.startswith(("lib/", "bin/", "lib64/")) for path in root)


def test_rights_are_taken_away(kitchen):
    """No set-uid or set-gid bit and no owner but root comes out of a package."""
    kitchen.add(
        "a",
        member("usr/bin/su", b"x", mode=0o4755),
        member("var/local", mode=0o2775, uid=7, gid=50),
    )
    root = kitchen.root()
    assert root["usr/bin/su"].mode == 0o755
    assert root["var/local"] == TarDirectory("var/local", 0o775, 0, 0)


def test_hard_links_become_files(kitchen):
    """A hard link is the file that it links to, so that no order of paths can break it."""
    kitchen.add(
        "a",
        member("usr/z", b"same", mode=0o755),
        member("usr/a", type=tarfile.LNKTYPE, linkname="./usr/z"),
    )
    root = kitchen.root()
    assert content(root["usr/a"]) == content(root["usr/z"]) == b"same"


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_other_compressions_are_read(kitchen, suffix):
    """Packages that are not packed with xz are read as well."""
    kitchen.add("a", member("usr/file", b"x" * 70_000), suffix=suffix)
    assert content(kitchen.root()["usr/file"]) == b"x" * 70_000


def test_order_of_packages_does_not_matter(kitchen):
    """The entries are equal whichever order the packages come in."""
    kitchen.add("a", member("tmp", mode=0o700), member("usr/same", b"x"))
    kitchen.add("z", member("usr/same", b"x"))
    first = kitchen.root()
    assert first["tmp"].mode == 0o1777
    kitchen.debs.reverse()
    reversed_root = kitchen.root()
    assert list(first) == list(reversed_root)
    assert [content(e) for e in first.values() if isinstance(e, TarFile)] == [
        content(e) for e in reversed_root.values() if isinstance(e, TarFile)
    ]
    assert first["tmp"] == reversed_root["tmp"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (member("usr/x", b"1"), member("usr/x", b"2")),
        (member("usr/x", b"1"), member("usr/x", b"1", mode=0o755)),
        (member("usr/x", b"1"), member("usr/x", "y")),
        (member("usr/x", "y"), member("usr/x", "z")),
        (member("usr/x"), member("usr/x", b"")),
        (member("etc/passwd", b"root::0:0::/:\n"), member("usr/y")),
        (member("usr/bin/python3", "python3.11"), member("usr/y")),
        (member("usr/x", "y"), member("usr/x/below", b"")),
        (member("usr/x", b""), member("usr/x/below", b"")),
    ],
)
def test_packages_that_disagree_are_refused(kitchen, one, other):
    """Two different things at one path are refused; none silently wins."""
    kitchen.add("a", one)
    kitchen.add("b", other)
    found = kitchen.problem()
    assert found.code == "BASE_INVALID"
    assert found.where == one[0].name[2:] or found.where.startswith(one[0].name[2:])


@pytest.mark.parametrize(
    "bad",
    [
        member("dev/null", type=tarfile.CHRTYPE),
        member("dev/sda", type=tarfile.BLKTYPE),
        member("run/pipe", type=tarfile.FIFOTYPE),
        member("../outside", b"x"),
        member("usr/../../outside", b"x"),
        (tarfile.TarInfo("/absolute"), b""),
        member("usr/x", type=tarfile.LNKTYPE, linkname="./nowhere"),
        member("usr/x", type=tarfile.LNKTYPE, linkname="./usr/x"),
    ],
)
def test_devices_and_ways_out_are_refused(kitchen, bad):
    """A package cannot bring devices, pipes, or paths that lead out of the root."""
    kitchen.add("a", bad)
    found = kitchen.problem()
    assert found.code == "BASE_INVALID"
    assert "the package a is damaged" in found.message


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(min_value=0), st.sampled_from(["cut", "flip"]))
def test_damaged_packages_are_problems(tmp_path_factory, place, kind):
    """Wherever a package is cut or changed, there is a problem with a code, never a crash."""
    kitchen = Kitchen(tmp_path_factory.mktemp("kitchen"))
    path = kitchen.add("a", member("usr/x", b"some bytes" * 50))
    body = bytearray(path.read_bytes())
    place %= len(body)
    if kind == "cut":
        del body[place:]
    else:
        body[place] ^= 0x55
    path.write_bytes(body)
    codes = set()
    try:
        kitchen.root()
    except MealkitError as error:
        codes = {problem.code for problem in error.problems}
    assert codes <= {"BASE_INVALID"}


@pytest.mark.parametrize("suffix", [".zst", ".lz"])
def test_unknown_compression_is_named(kitchen, suffix):
    """A compression that Debian's archive does not use is named."""
    kitchen.add("a", member("usr/x", b"x"), suffix=suffix)
    assert suffix in kitchen.problem().message


def test_another_package_than_named_is_refused(kitchen):
    """A package that calls itself otherwise is refused, however well its digest fits."""
    path = kitchen.add("a", member("usr/x", b"x"))
    kitchen.debs[-1] = ("b", path)
    assert "the package given as b is a different one" in kitchen.problem().message


def test_root_without_its_python_or_release_is_refused(kitchen):
    """The Python asked for has to be in the packages, and base-files too."""
    assert "no Python 3.11" in kitchen.problem("3.11").message
    assert kitchen.problem("../x").code == "BASE_INVALID"
    del kitchen.debs[0]
    assert "base-files is missing" in kitchen.problem().message


def test_missing_package_and_scratch_are_named(kitchen):
    """A file that is not there, or a folder that cannot be written, is a problem of the machine."""
    shutil.rmtree(kitchen.scratch)
    assert kitchen.problem().code == "DISK_DENIED"
    kitchen.scratch.mkdir()
    kitchen.debs[0][1].unlink()
    assert kitchen.problem().code == "DISK_DENIED"


def test_full_disk_is_named(kitchen):
    """A scratch folder on a full disk is said to be one."""
    # Every write to /dev/full fails as on a full disk.
    (kitchen.scratch / "base-files.tar").symlink_to("/dev/full")
    assert kitchen.problem().code == "DISK_FULL"


PROBE = """
import importlib, json, sys
failed = []
for name in sorted(sys.stdlib_module_names - set(json.loads(sys.argv[1]))):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed.append(f"{name}: {error}")
import ctypes, os, pwd, socket, sqlite3, ssl, zoneinfo
print(json.dumps({
    "failed": failed,
    "authorities": len(ssl.create_default_context().get_ca_certs()),
    "zone": str(zoneinfo.ZoneInfo("Europe/Berlin")),
    "user": pwd.getpwuid(os.getuid()).pw_name,
    "https": socket.getservbyname("https"),
    "encoding": sys.getfilesystemencoding(),
    "sqlite": sqlite3.connect(":memory:").execute("select 1").fetchone(),
    "libraries": [bool(ctypes.CDLL(name)) for name in ("libstdc++.so.6", "libgomp.so.1")],
    "version": "%d.%d" % sys.version_info[:2],
    "release": dict(line.split("=", 1) for line in open("/etc/os-release").read().split("\\n") if line),
}))
"""


def real_debs(suite: str, python: str, cache: Path) -> list[tuple[str, Path]]:
    found = []
    mirrors = debian_mirrors()
    with MirrorFetch() as fetch:
        for package in resolve_base(suite, python, mirrors=mirrors, cache=cache / "debian-index"):
            path = cache / "debs" / package.sha256.hex
            if not path.exists():
                bodies = (fetch(url, package.size_bytes) for url in deb_urls(package, mirrors))
                body = next(item for item in bodies if item is not None)
                assert Digest.of(body) == package.sha256
                path.parent.mkdir(exist_ok=True)
                partial = path.with_suffix(f".{os.getpid()}")
                partial.write_bytes(body)
                partial.rename(path)
            found.append((package.name, path))
    return found


def write_tree(entries: tuple[Entry, ...], root: Path) -> None:
    for entry in entries:
        path = root / entry.path
        match entry:
            case TarDirectory():
                path.mkdir()
            case TarFile():
                with path.open("wb") as stream:
                    for chunk in entry.content():
                        stream.write(chunk)
            case TarSymlink():
                path.symlink_to(entry.target)
        if not isinstance(entry, TarSymlink):
            path.chmod(entry.mode)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="mealkit-root-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.online
@pytest.mark.parametrize(("suite", "python"), [("trixie", "3.13"), ("bookworm", "3.11")])
def test_real_root_serves_the_whole_standard_library(
    suite, python, test_cache, tmp_path, open_folder
):
    """Debian's packages give a root in which every module of the standard library imports.

    Started by an unprivileged user as user 65532, in an empty environment; the exceptions are
    what Debian packs apart (tkinter, idlelib, ensurepip, gdbm) and what other systems have.
    """
    entries = debian_root(real_debs(suite, python, test_cache), python, tmp_path)
    assert sum(e.size_bytes for e in entries if isinstance(e, TarFile)) < 65_000_000
    assert not [e for e in entries if e.path.endswith((".pyc", "__pycache__"))]
    assert {e.path for e in entries if e.uid or e.gid} == {"var/lib/mealkit"}
    write_tree(entries, open_folder)
    namespaces = ["--user", "--map-user=65532", "--map-group=65532", "--mount", "--pid", "--fork"]
    command = ["unshare", *namespaces, f"--root={open_folder}", "--mount-proc"]
    command += ["/usr/bin/python3", "-c", PROBE, json.dumps(sorted(APART | ELSEWHERE | SILLY))]
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    ran = subprocess.run(command, env={}, capture_output=True, check=False, **nobody)
    assert ran.returncode == 0, ran.stderr.decode()
    told = json.loads(ran.stdout.decode().splitlines()[-1])
    assert told["failed"] == []
    assert told["authorities"] > 100
    assert told["release"]["VERSION_CODENAME"] == suite
    del told["failed"], told["authorities"], told["release"]
    assert told == {
        "zone": "Europe/Berlin",
        "user": "mealkit",
        "https": 443,
        "encoding": "utf-8",
        "sqlite": [1],
        "libraries": [True, True],
        "version": python,
    }


@pytest.mark.online
def test_real_root_is_the_same_from_another_folder(test_cache, tmp_path):
    """Packages handed over in another order, unpacked elsewhere, give the same entries."""
    debs = real_debs("trixie", "3.13", test_cache)
    outcomes = []
    for order in (debs, debs[::-1]):
        scratch = tmp_path / str(len(outcomes))
        scratch.mkdir()
        entries = debian_root(order, "3.13", scratch)
        outcomes.append(
            [replace(e, content=content(e)) if isinstance(e, TarFile) else e for e in entries]
        )
    assert outcomes[0] == outcomes[1]
