"""Pinned packages are looked for on every mirror, and missed only when none has them."""

from pathlib import Path

import pytest

from mealkit.digest import Digest
from mealkit.errors import SourceError
from mealkit.recipe.locked_base import LockedDeb
from mealkit.sources.debian.deb import deb_urls, fetch_deb
from mealkit.sources.debian.mirrors import DebianMirrors
from mealkit.sources.download import Downloader
from mealkit.sources.file_cache import FileCache
from mealkit.web.http_client import open_client
from mealkit.web.retry import Retry

BODY = b"the bytes of a package"
PACKAGE = LockedDeb(
    name="libstdc++6",
    version="14.2.0-19",
    architecture="amd64",
    filename="pool/main/g/gcc-14/libstdc++6_14.2.0-19~x_amd64.deb",
    sha256=Digest.of(BODY),
    size_bytes=len(BODY),
)


@pytest.fixture
def downloads(tmp_path):
    """Open the downloader that every source uses; it does not wait before it tries again."""
    with open_client() as client:
        yield Downloader(FileCache(tmp_path / "cache"), client, retry=Retry(1))


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
    fixed = PACKAGE.model_copy(update={"filename": "pool/updates/main/a/a 1.deb"})
    assert deb_urls(fixed, both)[0] == "http://s.invalid/pool/updates/main/a/a%201.deb"


def test_first_mirror_with_the_bytes_serves(mirror, downloads):
    """A mirror that is down, lacks the package or has other bytes leads on to the next."""
    good = put(mirror, "good", BODY)
    bad = put(mirror, "bad", BODY[::-1])
    many = mirrors(f"{mirror.url}/status/500", f"{mirror.url}/none", bad, good)
    assert fetch_deb(PACKAGE, many, downloads).read_bytes() == BODY


def test_folder_is_a_mirror(mirror, downloads):
    """A mirror in a folder yields the same bytes."""
    put(mirror, "good", BODY)
    folder = mirrors(f"file://{mirror.root}/good")
    assert fetch_deb(PACKAGE, folder, downloads).read_bytes() == BODY


def test_what_is_cached_needs_no_mirror(mirror, downloads):
    """A package that was fetched before comes from the cache, whatever became of the mirrors."""
    fetch_deb(PACKAGE, mirrors(put(mirror, "good", BODY)), downloads)
    mirror.asked.clear()
    gone_since = mirrors(f"{mirror.url}/none")
    assert fetch_deb(PACKAGE, gone_since, downloads).read_bytes() == BODY
    assert mirror.asked == []


def test_gone_everywhere_names_the_way_out(mirror, downloads, tmp_path):
    """A pinned version that no mirror has any more is named, with the command that refreshes it."""
    with pytest.raises(SourceError) as caught:
        fetch_deb(PACKAGE, mirrors(mirror.url, f"file://{tmp_path}"), downloads)
    problem = caught.value.problems[0]
    assert problem.code == "DEBIAN_GONE"
    assert "libstdc++6 14.2.0-19" in problem.message
    assert problem.hint == "mealkit lock --upgrade base"


@pytest.mark.parametrize(
    ("broken", "code"), [("status/500", "SOURCE_UNREACHABLE"), ("bad", "SOURCE_DIGEST")]
)
def test_a_mirror_that_fails_is_not_called_gone(mirror, downloads, broken, code):
    """If a mirror could not be read, or lies, that is said: the package may well be there."""
    put(mirror, "bad", b"x" * len(BODY))
    with pytest.raises(SourceError) as caught:
        fetch_deb(PACKAGE, mirrors(mirror.url, f"{mirror.url}/{broken}"), downloads)
    assert caught.value.problems[0].code == code
