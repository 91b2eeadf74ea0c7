"""An index that was made to do harm ends as a problem, in bounded memory and work."""

import hashlib
import json
import lzma
import os
import socket
import subprocess
import sys
import threading

import pytest

from mealkit.errors import MealkitError
from mealkit.recipe.glibc import glibc_of
from mealkit.recipe.locked_base import LockedDebianBase
from mealkit.sources.debian.mirror_client import MirrorFetch
from mealkit.sources.debian.paragraphs import paragraphs
from mealkit.sources.debian.resolver import resolve_base

MEBIBYTE = 1024 * 1024
OTHER_KEY = "Another Archive <other@example.invalid>"


@pytest.fixture
def problem(mirror, tmp_path):
    """Return the problem that an index gives, which a kit reads without asking for signatures."""

    def ask(packages: str | None = None, more=(), **publish):
        if packages is not None:
            mirror.publish("trixie", packages, signers=(OTHER_KEY,), **publish)
        with pytest.raises(MealkitError) as caught:
            resolve_base(
                "trixie",
                "3.13",
                more=more,
                allow_unsigned=True,
                mirrors=mirror.mirrors(),
                cache=tmp_path / "cache",
            )
        return caught.value.problems[0]

    return ask


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Size: 7", "Size: 1_0"),
        ("Size: 7", "Size: -7"),
        ("Size: 7", "Size: +7"),
        ("Size: 7", "Size: \uff17"),
        ("Size: 7", "Size: " + "9" * 5000),
        ("Size: 7", "Size: 7\nSize: 8"),
        ("Version: 2.41-12", "Version: 2.41\x1b[2J"),
        ("Version: 2.41-12", "Version: " + "1." * 5000),
        ("Version: 2.41-12", "Version: "),
        ("Package: libc6", "Package: libc6/../.."),
        ("Package: libc6", "Package: \x00"),
        ("Architecture: amd64", "Architecture: ../amd64"),
        ("Filename: pool", "Filename: pool/../../.."),
        ("Filename: pool", "Filename: /etc"),
        ("Filename: pool", "Filename: pool\u2028"),
        ("Depends: libgcc-s1", "Depends: " + ", ".join(["libgcc-s1"] * 5000)),
        ("Depends: libgcc-s1", "Depends: libgcc-s1 (" + " " * 50_000),
        ("Description: a package", "Description: a package\x0bSize: 9\n\x1cSize"),
    ],
)
def test_fields_that_no_index_has(problem, tiny_suite, old, new):
    """Names, versions, sizes, paths and relations are those of Debian's policy, or refused."""
    before, found, after = tiny_suite.partition("Package: libc6\n")
    broken = before + (found + after).replace(old, new, 1)
    assert problem(broken).code in {"DEBIAN_INDEX", "DEBIAN_UNSOLVABLE"}


def test_an_index_that_grows_without_end(mirror, problem, tiny_suite):
    """A small file that stands for hundreds of megabytes is not unpacked to its end."""
    folder = mirror.publish("trixie", tiny_suite, signers=(OTHER_KEY,))
    bomb = lzma.compress(bytes(128 * MEBIBYTE), preset=0)
    release = (folder / "Release").read_text()
    digest, size = release.splitlines()[-1].split()[:2]
    new = hashlib.sha256(bomb).hexdigest()
    for path in folder.rglob("*"):
        if path.is_file() and "main" in path.parts:
            path.write_bytes(bomb)
    by_hash = folder / "main/binary-amd64/by-hash/SHA256"
    (by_hash / new).write_bytes(bomb)
    text = release.replace(f"{digest} {size}", f"{new} {len(bomb)}")
    (folder / "InRelease").write_bytes(mirror.keys.sign(text.encode(), OTHER_KEY))
    assert problem().code == "DEBIAN_INDEX"


@pytest.mark.parametrize("size", ["999999999999", "99999999", "1" * 4000, "-1", "0x10"])
def test_a_size_that_no_index_has(mirror, problem, tiny_suite, size):
    """What a release promises is not fetched if it is too much, or no number."""
    folder = mirror.publish("trixie", tiny_suite, signers=(OTHER_KEY,))
    text = (folder / "Release").read_text()
    stated = text.splitlines()[-1].split()[1]
    text = text.replace(f" {stated} main", f" {size} main")
    (folder / "InRelease").write_bytes(mirror.keys.sign(text.encode(), OTHER_KEY))
    assert problem().code == "DEBIAN_INDEX"
    assert not any("Packages" in path or "by-hash" in path for path in mirror.asked)


def test_a_release_of_many_lines_is_read_in_linear_time(mirror, problem, tiny_suite):
    """A field of 100 000 lines is joined once, not line by line."""
    lines = [" line"] * 100_000
    (found,) = paragraphs("\n".join(["Field:", *lines]))
    assert found["field"].count("\n") == len(lines)


def test_packages_that_need_one_another_without_end(problem, tiny_suite, stanza):
    """The work of resolving is counted, and ends."""
    offers = ", ".join(f"offer-{number}" for number in range(4000))
    many = "".join(stanza(f"maker-{number}", provides=offers) for number in range(200))
    needs = ", ".join(f"offer-{number} (>= 9)" for number in range(1000))
    found = problem(tiny_suite + many + stanza("greedy", depends=needs), more=("greedy",))
    assert (found.code, "too many dependencies" in found.message) == ("DEBIAN_UNSOLVABLE", True)


def test_a_long_refusal_is_shortened(problem, tiny_suite, stanza):
    """A thousand unmet needs are counted, not listed."""
    needs = ", ".join(f"none-{number}" for number in range(1000))
    found = problem(tiny_suite + stanza("greedy", depends=needs), more=("greedy",))
    assert "and 980 more" in found.message
    assert len(found.message) < 2000


LARGE = r"""
import json, re, sys
from pathlib import Path
from mealkit.errors import MealkitError
from mealkit.sources.debian.package_index import PackageIndex
count, size, large = json.loads(sys.argv[1])
def chunks():
    rest = b""
    for number in range(count):
        rest += b"Package: p%d\nX: %s\n\n" % (number, b"x" * size)
        if len(rest) > 1 << 20:
            yield rest
            rest = b""
    yield rest + b"Package: last\nX: " + b"x" * large
try:
    PackageIndex().add(chunks())
    said = ""
except ValueError as error:
    said = str(error)
most = re.search("VmHWM:\\s*([0-9]+) kB", Path("/proc/self/status").read_text())
print(json.dumps([said, int(most[1]) // 1024]))
"""


@pytest.mark.parametrize(
    ("count", "size", "large", "said"),
    [
        (150_000, 0, 0, "more packages than any suite has"),
        (149_000, 500, 0, ""),
        (90_000, 1000, 0, "more packages than any suite has"),
        (10, 0, 1_100_000, "too large"),
    ],
)
def test_an_index_of_very_many_packages(count, size, large, said):
    """What would fill the memory is refused while there is still room."""
    asked = json.dumps([count, size, large])
    done = subprocess.run([sys.executable, "-c", LARGE, asked], stdout=subprocess.PIPE, check=True)
    message, mebibytes = json.loads(done.stdout)
    assert said in message
    assert mebibytes < 200


def test_a_mirror_that_sends_too_slowly(tmp_path):
    """A server that keeps a build waiting, byte by byte, is given up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
                try:
                    while not ended.wait(0.02):
                        connection.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=answer)
        thread.start()
        with MirrorFetch(patience_seconds=0.1) as fetch, pytest.raises(MealkitError) as caught:
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/InRelease", 5000)
        ended.set()
        thread.join()
    assert caught.value.problems[0].code == "SOURCE_UNREACHABLE"


def test_a_mirror_in_a_folder_that_never_answers(tmp_path):
    """A pipe in the place of an index is not waited for."""
    os.mkfifo(tmp_path / "InRelease")
    with MirrorFetch() as fetch, pytest.raises(MealkitError) as caught:
        fetch(f"file://{tmp_path}/InRelease", 5000)
    assert caught.value.problems[0].code == "SOURCE_UNREACHABLE"


def test_a_lock_without_a_c_library():
    """A lock whose base lacks the package that wheels are chosen by is said to be none."""
    with pytest.raises(MealkitError) as caught:
        glibc_of(LockedDebianBase(suite="trixie", packages=()))
    assert caught.value.problems[0].code == "LOCK_INVALID"
