"""A lock's packages are taken if a signed index names them, today's or one that was seen before."""

import json
from dataclasses import replace

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.sources.debian.known_packages import DebianMemory
from mealkit.sources.debian.resolver import resolve_base
from mealkit.sources.debian.vouch import require_vouched

OTHER_KEY = "Another Archive <other@example.invalid>"
NOON = "Date: Sat, 21 Nov 2026 12:00:00 UTC\n"
BEFORE = "Date: Fri, 20 Nov 2026 12:00:00 UTC\n"
LONG_PAST = "Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC\n"


@pytest.fixture
def memory(tmp_path):
    return DebianMemory(tmp_path / "memory")


@pytest.fixture
def resolve(mirror, tmp_path, memory):
    """Resolve a base from the tiny mirror, and remember what its index says."""

    def ask(**options):
        wanted = {"mirrors": mirror.mirrors(), "cache": tmp_path / "cache", **options}
        return resolve_base("trixie", "3.13", memory=memory, **wanted)

    return ask


@pytest.fixture
def vouch(mirror, tmp_path):
    """Look who vouches for packages, on a machine that has seen nothing unless it is told."""

    def ask(packages, known=None, **changes):
        require_vouched(
            packages,
            "trixie",
            "amd64",
            mirrors=lambda: replace(mirror.mirrors(), **changes),
            cache=tmp_path / "cache",
            memory=known or DebianMemory(tmp_path / "fresh"),
        )

    return ask


def problems(ask, *words, **options):
    with pytest.raises(MealkitError) as caught:
        ask(*words, **options)
    return caught.value.problems


def test_what_was_locked_here_is_vouched_for_without_a_mirror(
    mirror, tiny_suite, resolve, vouch, memory
):
    """A lock of one's own needs no mirror, whatever that has now."""
    mirror.publish("trixie", tiny_suite)
    found = resolve()
    mirror.asked.clear()
    vouch(found, memory)
    assert mirror.asked == []


def test_what_another_locked_is_looked_up_once(mirror, tiny_suite, resolve, vouch, tmp_path):
    """On a machine that has seen nothing the signed index is read; the next time, nothing is."""
    mirror.publish("trixie", tiny_suite)
    found = resolve()
    mirror.asked.clear()
    vouch(found)
    assert mirror.asked[0] == "/dists/trixie/InRelease"
    mirror.asked.clear()
    vouch(found)
    assert mirror.asked == []


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": Digest.of(b"a program")},
        {"version": "2.41-13"},
        {"name": "libc7"},
        {"size_bytes": 8},
        {"architecture": "all"},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("seen", [True, False])
def test_a_forged_lock_is_refused(
    mirror, tiny_suite, resolve, vouch, memory, tmp_path, change, seen
):
    """Name, version, architecture, size and digest are those of the index, or nothing is taken."""
    mirror.publish("trixie", tiny_suite)
    found = list(resolve())
    forged = found[3].model_copy(update=change)
    known = memory if seen else DebianMemory(tmp_path / "fresh")
    (problem,) = problems(vouch, [*found[:3], forged, *found[4:]], known)
    assert (problem.code, problem.owner.value) == ("DEBIAN_UNVOUCHED", "caller")
    assert f"{forged.name} {forged.version}" in problem.message
    assert "mealkit lock --upgrade base" in problem.hint
    assert not known.vouches_for(forged)


def test_an_unsigned_index_vouches_for_nothing(mirror, tiny_suite, resolve, vouch, memory):
    """What a kit may read unsigned is neither remembered, nor a reason to take a package."""
    mirror.publish("trixie", tiny_suite + NOON, signers=(OTHER_KEY,))
    mirror.publish("trixie", tiny_suite, signers=(OTHER_KEY,), extra=NOON)
    found = resolve(allow_unsigned=True)
    assert not any(map(memory.vouches_for, found))
    assert memory.newest("trixie") is None
    first, second, *_ = problems(vouch, found, memory)
    assert (first.code, second.code) == ("DEBIAN_UNVOUCHED", "DEBIAN_UNSIGNED")


def test_a_mirror_that_is_down_is_named_as_the_cause(mirror, tiny_suite, resolve, vouch):
    """Who cannot look says so, beside what it means for the lock."""
    mirror.publish("trixie", tiny_suite)
    found = resolve()
    first, second, *_ = problems(vouch, found, archives=("http://127.0.0.1:1",))
    assert (first.code, second.code) == ("DEBIAN_UNVOUCHED", "SOURCE_UNREACHABLE")


def test_a_version_that_mirrors_have_replaced(mirror, tiny_suite, resolve, vouch, tmp_path):
    """It needs a snapshot of the archive: an old index, expired or not, is signed for ever."""
    mirror.publish("trixie", tiny_suite, extra=BEFORE)
    found = resolve()
    kept = tmp_path / "snapshot"
    (mirror.root / "dists").rename(kept)
    mirror.publish("trixie", tiny_suite.replace("2.41-12", "2.41-13"), extra=NOON)
    assert problems(vouch, found)[0].code == "DEBIAN_UNVOUCHED"
    (mirror.root / "old").mkdir()
    kept.rename(mirror.root / "old/dists")
    folder = mirror.root / "old/dists/trixie"
    release = (folder / "Release").read_text().replace(BEFORE, BEFORE + LONG_PAST)
    (folder / "InRelease").write_bytes(mirror.keys.sign(release.encode()))
    vouch(found, archives=(mirror.url, f"{mirror.url}/old"))


def test_a_security_update_is_vouched_for_by_its_own_index(
    mirror, tiny_suite, resolve, vouch, stanza
):
    """Each of the suite's indexes counts."""
    mirror.publish("trixie", tiny_suite)
    mirror.publish("trixie-security", stanza("libc6", "2.41-12+deb13u1"))
    found = resolve(mirrors=mirror.mirrors(security=(mirror.url,)))
    assert problems(vouch, found)[0].code == "DEBIAN_UNVOUCHED"
    vouch(found, security=(mirror.url,))


@pytest.mark.parametrize("second", [BEFORE, ""])
def test_an_older_index_is_not_taken(mirror, tiny_suite, resolve, memory, second):
    """A mirror that serves an old index, well signed and not expired, is refused."""
    mirror.publish("trixie", tiny_suite, extra=NOON)
    first = resolve()
    mirror.publish("trixie", tiny_suite, extra=second)
    (problem,) = problems(resolve)
    assert problem.code == "DEBIAN_INDEX"
    assert "one of 2026-11-21 12:00 UTC was seen here before" in problem.message
    assert "use another mirror" in problem.hint
    assert "releases/trixie.json" in problem.hint
    mirror.publish("trixie", tiny_suite, extra=NOON)
    assert resolve() == first


def test_each_suite_has_its_own_date(mirror, tiny_suite, resolve, stanza, memory):
    """Updates and security are dated apart; another mirror serves what one holds back."""
    mirror.publish("trixie", tiny_suite, extra=NOON)
    mirror.publish("trixie-security", stanza("libc6", "2.41-12+deb13u1"), extra=NOON)
    both = mirror.mirrors(security=(mirror.url,))
    found = resolve(mirrors=both)
    frozen = mirror.root / "frozen"
    frozen.mkdir()
    (mirror.root / "dists").rename(frozen / "dists")
    mirror.publish("trixie", tiny_suite, extra=NOON)
    mirror.publish("trixie-security", stanza("libc6", "2.41-12+deb13u1"), extra=NOON)
    folder = frozen / "dists/trixie-security"
    release = (folder / "Release").read_text().replace(NOON, BEFORE)
    (folder / "InRelease").write_bytes(mirror.keys.sign(release.encode()))
    held_back = replace(both, security=(f"{mirror.url}/frozen",))
    (problem,) = problems(resolve, mirrors=held_back)
    assert "index of trixie-security is of 2026-11-20" in problem.message
    both_ways = replace(both, security=(f"{mirror.url}/frozen", mirror.url))
    assert resolve(mirrors=both_ways) == found


def test_a_forged_date_is_not_remembered(mirror, tiny_suite, resolve, memory):
    """Only what is signed decides what is old."""
    future = "Date: Sat, 21 Nov 2099 12:00:00 UTC\n"
    mirror.publish("trixie", tiny_suite, extra=future, signers=(OTHER_KEY,))
    assert problems(resolve)[0].code == "DEBIAN_UNSIGNED"
    resolve(allow_unsigned=True)
    mirror.publish("trixie", tiny_suite, extra=NOON)
    assert resolve()


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"date": 3}', b'{"date": "never"}', b"\xff", b"{" * 100, None]
)
def test_a_damaged_memory_is_asked_anew(
    mirror, tiny_suite, resolve, vouch, memory, tmp_path, damage
):
    """A file that was cut or is none counts as unseen; the mirror is asked, and it is written anew."""
    mirror.publish("trixie", tiny_suite, extra=NOON)
    found = resolve()
    for path in (tmp_path / "memory").rglob("*.json"):
        path.unlink()
        if damage is None:
            path.mkdir()
        else:
            path.write_bytes(damage)
    assert memory.newest("trixie") is None
    assert not any(map(memory.vouches_for, found))
    if damage is not None:
        vouch(found, memory)
        assert all(map(memory.vouches_for, found))
        assert json.loads((tmp_path / "memory/releases/trixie.json").read_bytes())


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "never",
        "",
        "1" * 5000,
        "Sat, 21 Nov 2026 99:99:99 UTC",
    ],
)
def test_a_date_that_is_none_is_a_problem(mirror, tiny_suite, resolve, date):
    """Whatever a release says there, it is a problem or a date."""
    mirror.publish("trixie", tiny_suite, extra=f"Date: {date}\n")
    assert problems(resolve)[0].code == "DEBIAN_INDEX"
