"""A base is resolved from signed indexes alone, the same way every time, wherever they come from."""

import lzma
import shutil
import threading
from dataclasses import replace

import pytest

from mealkit.errors import LockError, MealkitError, Owner, SourceError
from mealkit.sources.debian.mirrors import debian_mirrors
from mealkit.sources.debian.resolver import resolve_base

OTHER_KEY = "Another Archive <other@example.invalid>"
BASE = [
    "base-files",
    "ca-certificates",
    "gcc-14-base",
    "libc6",
    "libgcc-s1",
    "libgomp1",
    "libpython3.13-stdlib",
    "libstdc++6",
    "media-types",
    "netbase",
    "python3.13-minimal",
    "tzdata",
]


@pytest.fixture
def resolve(mirror, tmp_path):
    """Resolve Python 3.13 from the tiny mirror's trixie; options as for resolve_base."""

    def ask(suite="trixie", python="3.13", **options):
        wanted = {"mirrors": mirror.mirrors(), "cache": tmp_path / "cache", **options}
        return resolve_base(suite, python, **wanted)

    return ask


@pytest.fixture
def problem(resolve):
    """Return the problem that such a resolution gives."""

    def ask(*words, **options):
        with pytest.raises(MealkitError) as caught:
            resolve(*words, **options)
        return caught.value.problems[0]

    return ask


def index_of(mirror, suite="trixie"):
    """Return the two copies of a suite's index on the mirror."""
    return [
        path
        for path in (mirror.root / "dists" / suite).rglob("*")
        if path.is_file() and "main" in path.parts
    ]


def test_packages_are_pinned_and_sorted(mirror, tiny_suite, resolve):
    """All that a base needs is there, sorted, with path, digest and size; no host is named."""
    mirror.publish("trixie", tiny_suite)
    found = resolve()
    assert [package.name for package in found] == BASE
    assert found[3].filename == "pool/main/l/libc6/libc6_2.41-12_amd64.deb"
    assert found[3].size_bytes == 7
    assert "127.0.0.1" not in repr(found)


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_other_compressions_are_read(mirror, tiny_suite, resolve, suffix):
    """Small mirrors that offer no .xz, and no by-hash, serve as well."""
    mirror.publish("trixie", tiny_suite, suffix=suffix, by_hash=False)
    assert [package.name for package in resolve()] == BASE


def test_second_lock_reads_only_the_release(mirror, tiny_suite, resolve):
    """A verified index is kept: the second time nothing but the small releases is read."""
    mirror.publish("trixie", tiny_suite)
    first = resolve()
    assert any("by-hash" in path for path in mirror.asked)
    mirror.asked.clear()
    assert resolve() == first
    assert mirror.asked == ["/dists/trixie/InRelease", "/dists/trixie-updates/InRelease"]


def test_damaged_cache_is_fetched_again(mirror, tiny_suite, resolve, tmp_path):
    """An index that was changed or cut in the cache is not used."""
    mirror.publish("trixie", tiny_suite)
    first = resolve()
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    for damage in (whole[:-9], bytes([whole[0] ^ 1]) + whole[1:], b""):
        kept.write_bytes(damage)
        assert resolve() == first
        assert kept.read_bytes() == whole


def test_flipped_byte_in_the_index_is_refused(mirror, tiny_suite, problem):
    """An index that is not the signed one is refused with both digests, and is not kept."""
    mirror.publish("trixie", tiny_suite)
    for path in index_of(mirror):
        body = bytearray(path.read_bytes())
        body[len(body) // 2] ^= 1
        path.write_bytes(body)
    found = problem()
    assert found.code == "DEBIAN_INDEX"
    assert found.message.count("sha256:") == 2
    assert problem().code == "DEBIAN_INDEX"


def test_longer_index_is_not_read_to_its_end(mirror, tiny_suite, problem):
    """A mirror cannot fill the disk: no more than the signed size is read."""
    mirror.publish("trixie", tiny_suite)
    for path in index_of(mirror):
        path.write_bytes(path.read_bytes() * 1000)
    assert problem().code == "SOURCE_ANSWER"


def test_missing_index_and_architecture_are_named(mirror, tiny_suite, problem):
    """A listed index that is not there, and an architecture that is not listed, are named."""
    mirror.publish("trixie", tiny_suite)
    assert "for arm64" in problem(architecture="arm64").message
    for path in index_of(mirror):
        path.unlink()
    found = problem()
    assert (found.code, "Packages.xz" in found.message) == ("DEBIAN_INDEX", True)


def test_bad_signature_and_unknown_key_are_refused(mirror, tiny_suite, problem):
    """What no key of the keyring signed is refused, whatever its digests say."""
    folder = mirror.publish("trixie", tiny_suite, signers=(OTHER_KEY,))
    assert problem().code == "DEBIAN_UNSIGNED"
    mirror.publish("trixie", tiny_suite)
    signed = (folder / "InRelease").read_bytes()
    (folder / "InRelease").write_bytes(signed.replace(b"Suite: tiny", b"Suite: tinz"))
    assert "was changed" in problem().message
    (folder / "InRelease").write_bytes((folder / "Release").read_bytes())
    assert problem().code == "DEBIAN_UNSIGNED"


def test_unsigned_index_can_be_allowed(mirror, tiny_suite, resolve, problem):
    """Asked for, an unsigned release is read; its digests still bind the index."""
    folder = mirror.publish("trixie", tiny_suite, signers=(OTHER_KEY,))
    signed = resolve(allow_unsigned=True)
    (folder / "InRelease").unlink()
    assert problem().code == "SOURCE_NOT_FOUND"
    assert resolve(allow_unsigned=True) == signed


def test_expired_release_is_refused(mirror, tiny_suite, problem):
    """A release that is past its end is refused: a mirror could hold fixes back for ever."""
    mirror.publish("trixie", tiny_suite, extra="Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC\n")
    found = problem()
    assert found.code == "DEBIAN_INDEX"
    assert "2022-01-01" in found.message


def test_release_of_another_suite_is_refused(mirror, tiny_suite, problem):
    """An old suite, well signed, is not served in a new one's place."""
    mirror.publish("trixie", tiny_suite, codename="bookworm")
    assert "bookworm" in problem().message


def test_index_that_is_none_is_a_problem(mirror, problem, stanza):
    """A signed index that cannot be read is said to be one, with what is wrong with it."""
    mirror.publish("trixie", "<html>")
    assert problem().code == "DEBIAN_INDEX"
    mirror.publish("trixie", stanza("python3.13-minimal").replace("Size: 7\n", ""))
    assert "size" in problem().message


def test_signed_garbage_is_a_problem(mirror, tiny_suite, problem, keys):
    """An index that is no compressed file at all is a problem, not a crash."""
    folder = mirror.publish("trixie", tiny_suite, suffix="")
    release = (folder / "Release").read_bytes().replace(b"/Packages\n", b"/Packages.xz\n")
    (folder / "InRelease").write_bytes(keys.sign(release))
    assert problem().code == "DEBIAN_INDEX"


def test_updates_and_security_bring_newer_versions(mirror, tiny_suite, resolve, stanza):
    """SUITE-updates and SUITE-security are read too, where there are any."""
    mirror.publish("trixie", tiny_suite)
    mirror.publish("trixie-updates", stanza("tzdata", "2026f"))
    mirror.publish("trixie-security", stanza("libc6", "2.41-12+deb13u1"))
    versions = {package.name: package.version for package in resolve()}
    assert (versions["tzdata"], versions["libc6"]) == ("2026f", "2.41-12")
    secured = resolve(mirrors=mirror.mirrors(security=(mirror.url,)))
    versions = {package.name: package.version for package in secured}
    assert (versions["tzdata"], versions["libc6"]) == ("2026f", "2.41-12+deb13u1")


def test_missing_security_index_is_a_problem(mirror, tiny_suite, problem):
    """A security mirror that answers 404 is not the same as having none."""
    mirror.publish("trixie", tiny_suite)
    found = problem(mirrors=mirror.mirrors(security=(mirror.url,)))
    assert "trixie-security" in found.message
    assert "MEALKIT_DEBIAN_SECURITY_MIRROR" in found.hint


def test_updates_with_a_bad_signature_are_not_passed_over(mirror, tiny_suite, problem, stanza):
    """Only an absent SUITE-updates is fine; a forged one is not."""
    mirror.publish("trixie", tiny_suite)
    mirror.publish("trixie-updates", stanza("tzdata", "9999"), signers=(OTHER_KEY,))
    assert problem().code == "DEBIAN_UNSIGNED"


def test_next_mirror_serves_what_one_does_not(mirror, tiny_suite, resolve):
    """A mirror that is down, empty or forged leads on to the next; a folder is a mirror too."""
    folder = mirror.publish("trixie", tiny_suite)
    forged = mirror.root / "forged" / "dists" / "trixie"
    forged.mkdir(parents=True)
    (forged / "InRelease").write_bytes(
        (folder / "InRelease").read_bytes().replace(b"tiny", b"tinz")
    )
    urls = (f"{mirror.url}/status/500", f"{mirror.url}/forged", f"{mirror.url}/empty")
    expected = resolve()
    for last in (mirror.url, f"file://{mirror.root}"):
        many = replace(mirror.mirrors(), archives=(*urls, last))
        assert resolve(mirrors=many) == expected


def test_what_the_mirrors_lack_is_named(mirror, tiny_suite, problem, stanza):
    """An unknown suite, another Python and an unmet need each say what there is instead."""
    mirror.publish("trixie", tiny_suite + stanza("python3.12-minimal"))
    assert problem("duke").code == "SOURCE_NOT_FOUND"
    assert problem("../etc").code == "DEBIAN_UNSOLVABLE"
    found = problem(python="3.11")
    assert found.code == "DEBIAN_UNSOLVABLE"
    assert "trixie has no Python 3.11; it has 3.12, 3.13" in found.message
    mirror.publish("trixie", tiny_suite.replace("Package: netbase", "Package: notbase"))
    assert "needs netbase" in problem().message


def test_packages_that_a_suite_lacks_are_named_with_similar_ones(mirror, tiny_suite, resolve):
    """Each misspelt package of the kit, with the line that names it; not the suite is to blame."""
    mirror.publish("trixie", tiny_suite)
    places = {"libgomp": "kit.yaml:31", "nothing-like-it": "kit.yaml:32"}
    with pytest.raises(LockError) as error:
        resolve(more=["libgomp", "tzdata", "nothing-like-it"], places=places)
    (found,) = error.value.problems
    assert (found.code, found.owner) == ("DEBIAN_UNSOLVABLE", Owner.KIT_AUTHOR)
    assert found.message == "trixie has no package libgomp, nothing-like-it"
    assert found.hint.endswith("runtime.base.packages; libgomp: did you mean libgomp1?")
    assert found.where == "kit.yaml:31"


def test_mirror_that_is_down_is_unreachable(mirror, problem):
    """Nobody at the address is the platform's problem, told apart from a missing suite."""
    nobody = replace(mirror.mirrors(), archives=("http://127.0.0.1:1",))
    assert problem(mirrors=nobody).code == "SOURCE_UNREACHABLE"


def test_unwritable_cache_is_named(mirror, tiny_suite, problem, tmp_path):
    """A cache that cannot be written is a problem of this machine, with its path."""
    mirror.publish("trixie", tiny_suite)
    (tmp_path / "file").write_text("in the way")
    found = problem(cache=tmp_path / "file" / "cache")
    assert (found.code, found.where) == ("DISK_DENIED", str(tmp_path / "file" / "cache"))


def test_two_locks_at_once_agree(mirror, tiny_suite, resolve, tmp_path):
    """Two locks that share a cache give the same result and leave nothing half-written."""
    mirror.publish("trixie", tiny_suite)
    found = []
    threads = [threading.Thread(target=lambda: found.append(resolve())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    (kept,) = (tmp_path / "cache").iterdir()
    assert lzma.decompress(kept.read_bytes()).decode() == tiny_suite


def test_order_of_the_indexes_paragraphs_never_matters(mirror, tiny_suite, resolve):
    """An index written in another order gives the same base."""
    mirror.publish("trixie", tiny_suite)
    first = resolve()
    mirror.publish("trixie", "\n\n".join(reversed(tiny_suite.strip().split("\n\n"))))
    assert resolve() == first


@pytest.mark.online
@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt's sources name the mirror")
@pytest.mark.parametrize(("suite", "python"), [("trixie", "3.13"), ("bookworm", "3.11")])
def test_real_suites_are_resolved(suite, python, test_cache):
    """The system's own mirrors yield a base for both suites, signed by Debian, in few megabytes."""
    cache = test_cache / "debian-index"
    found = resolve_base(suite, python, mirrors=debian_mirrors(), cache=cache)
    names = {package.name for package in found}
    assert {f"python{python}-minimal", "libc6", "tzdata", "netbase", "libsqlite3-0"} <= names
    assert not names & {"dpkg", "debconf", "openssl", "gawk", "mawk", "perl-base", "bash", "dash"}
    assert 20 < len(found) < 45
    assert sum(package.size_bytes for package in found) < 20_000_000
    with pytest.raises(LockError, match=f"it has {python}"):
        resolve_base(suite, "3.9", mirrors=debian_mirrors(), cache=cache)


@pytest.mark.online
def test_real_suite_is_refused_with_another_keyring(keys, tmp_path):
    """Debian's own index is refused when the keyring does not know Debian."""
    stranger = replace(debian_mirrors(), keyring=keys.archive)
    with pytest.raises(SourceError, match="DEBIAN_UNSIGNED"):
        resolve_base("trixie", "3.13", mirrors=stranger, cache=tmp_path)


def test_more_packages_come_with_what_they_need(mirror, tiny_suite, stanza, resolve, problem):
    """A kit may name packages besides; one that the suite lacks is named."""
    more = stanza("gcc", depends="gcc-14") + stanza("gcc-14", depends="libc6, binutils")
    mirror.publish("trixie", tiny_suite + more + stanza("binutils"))
    found = [package.name for package in resolve(more=("gcc",))]
    assert found == sorted([*BASE, "gcc", "gcc-14", "binutils"])
    refused = problem(more=("gcc", "binutil", "no-such-package"))
    assert refused.code == "DEBIAN_UNSOLVABLE"
    assert refused.message == "trixie has no package binutil, no-such-package"
    assert "binutils" in refused.hint
