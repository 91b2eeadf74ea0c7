"""Pinned packages are looked for on every mirror, and missed only when none has them."""

from pathlib import Path

import pytest

from mealkit.digest import Digest
from mealkit.errors import SourceError, failure
from mealkit.sources.debian.config import DebianMirrors
from mealkit.sources.debian.deb import deb_urls, fetch_deb
from mealkit.sources.debian.fetch import MirrorFetch
from mealkit.sources.debian.package import DebianPackage

BODY = b"the bytes of a package"
PACKAGE = DebianPackage(
    "libstdc++6",
    "14.2.0-19",
    "amd64",
    "pool/main/g/gcc-14/libstdc++6_14.2.0-19~x_amd64.deb",
    Digest.of(BODY),
    len(BODY),
)


def download(url: str, target: Path, expected: Digest, size_bytes: int) -> None:
    """Download over the real transport, as simply as it can be done."""
    with MirrorFetch() as fetch:
        body = fetch(url, size_bytes)
    if body is None:
        raise failure("SOURCE_NOT_FOUND", "it is not there")
    if Digest.of(body) != expected:
        raise failure("SOURCE_DIGEST", "other bytes")
    target.write_bytes(body)


def mirrors(*archives: str, security: tuple[str, ...] = ()) -> DebianMirrors:
    return DebianMirrors(archives, security, Path("unused"))


def put(mirror, folder: str, body: bytes) -> str:
    path = mirror.root / folder / PACKAGE.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(body)
    return f"{mirror.url}/{folder}"


def test_addresses_follow_the_pool():
    """Every mirror may hold a package; one of the security archive's pool is sought there first."""
    both = mirrors("http://a.invalid/d", "file:///m", security=("http://s.invalid",))
    tail = "/pool/main/g/gcc-14/libstdc++6_14.2.0-19~x_amd64.deb"
    assert deb_urls(PACKAGE, both) == [
        f"http://a.invalid/d{tail}",
        f"file:///m{tail}",
        f"http://s.invalid{tail}",
    ]
    fixed = DebianPackage("a", "1", "all", "pool/updates/main/a/a 1.deb", PACKAGE.sha256, 1)
    assert deb_urls(fixed, both)[0] == "http://s.invalid/pool/updates/main/a/a%201.deb"


def test_first_mirror_with_the_bytes_serves(mirror, tmp_path):
    """A mirror that is down, lacks the package or has other bytes leads on to the next."""
    good = put(mirror, "good", BODY)
    bad = put(mirror, "bad", BODY[::-1])
    target = tmp_path / "deb"
    fetch_deb(
        PACKAGE,
        target,
        mirrors(f"{mirror.url}/status/500", f"{mirror.url}/none", bad, good),
        download,
    )
    assert target.read_bytes() == BODY


def test_gone_everywhere_names_the_way_out(mirror, tmp_path):
    """A pinned version that no mirror has any more is named, with the command that refreshes it."""
    with pytest.raises(SourceError) as caught:
        fetch_deb(PACKAGE, tmp_path / "deb", mirrors(mirror.url, f"file://{tmp_path}"), download)
    problem = caught.value.problems[0]
    assert problem.code == "DEBIAN_GONE"
    assert "libstdc++6 14.2.0-19" in problem.message
    assert problem.hint == "mealkit lock --upgrade base"
    assert not (tmp_path / "deb").exists()


def test_a_mirror_that_fails_is_not_called_gone(mirror, tmp_path):
    """If a mirror could not be read, or lies, that is said: the package may well be there."""
    for broken, code in (
        (f"{mirror.url}/status/500", "SOURCE_ANSWER"),
        (put(mirror, "bad", b"x" * len(BODY)), "SOURCE_DIGEST"),
    ):
        with pytest.raises(SourceError) as caught:
            fetch_deb(PACKAGE, tmp_path / "deb", mirrors(mirror.url, broken), download)
        assert caught.value.problems[0].code == code
