"""Mirrors come from the environment or apt's sources, and are never guessed."""

from pathlib import Path

import pytest

from mealkit.errors import SourceError
from mealkit.sources.debian.mirrors import debian_mirrors

SOURCES = """\
# main
Types: deb deb-src
URIs: http://one.example.invalid/debian/ http://two.example.invalid/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://one.example.invalid/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://off.example.invalid/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example.invalid/debian
Suites: bookworm
Components: main
"""


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_reads_deb822_sources(apt):
    """Enabled binary entries of Debian's suites count; the security archive is told apart."""
    (apt / "sources.list.d" / "debian.sources").write_text(SOURCES)
    found = debian_mirrors({}, apt)
    assert found.archives == (
        "http://one.example.invalid/debian",
        "http://two.example.invalid/debian",
    )
    assert found.security == ("http://one.example.invalid/debian-security",)


def test_reads_one_line_sources(apt):
    """Options, comments and source entries of the older format are understood."""
    (apt / "sources.list").write_text(
        "# deb http://comment.example.invalid/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/a b.gpg] http://one.example.invalid/debian bookworm main # end\n"
        "deb-src http://source.example.invalid/debian bookworm main\n"
        "deb http://sec.example.invalid/ bullseye/updates main\n"
        "deb cdrom:[Debian]/ bookworm main\n"
        "broken\n"
    )
    found = debian_mirrors({}, apt)
    assert found.archives == ("http://one.example.invalid/debian",)
    assert found.security == ("http://sec.example.invalid",)


@pytest.mark.parametrize(
    "entry",
    [
        "deb https://vendor.example.invalid/apt cloud-sdk-bookworm main",
        "deb https://vendor.example.invalid/linux/debian bookworm stable",
        "deb https://vendor.example.invalid/pgdg bookworm-pgdg main",
        "deb https://vendor.example.invalid/ubuntu noble main",
        "deb https://vendor.example.invalid/flat ./",
        "deb tor+http://onion.example.invalid/debian bookworm main",
    ],
)
def test_ignores_other_archives(apt, entry):
    """An archive that is not Debian's, or that no transport reaches, is never asked."""
    (apt / "sources.list.d" / "vendor.list").write_text(entry)
    with pytest.raises(SourceError, match="DEBIAN_NO_MIRROR"):
        debian_mirrors({}, apt)


def test_reads_local_mirrors_and_mirror_lists(apt):
    """file:, copy: and the mirror+file: lists of cloud images are followed."""
    listed = apt / "mirrors.list"
    listed.write_text(
        "# ours\nhttps://a.example.invalid/debian/\tpriority:1\nhttps://b.example.invalid/d\n"
    )
    (apt / "sources.list").write_text(
        f"deb file:/srv/debian bookworm main\ndeb copy:///srv/copy trixie main\n"
        f"deb mirror+file:{listed} bookworm main\ndeb mirror+file:/gone bookworm main\n"
    )
    assert debian_mirrors({}, apt).archives == (
        "file:///srv/debian",
        "file:///srv/copy",
        "https://a.example.invalid/debian",
        "https://b.example.invalid/d",
    )


def test_environment_replaces_apt(apt):
    """A mirror in the environment is the only one asked, security updates included."""
    (apt / "sources.list.d" / "debian.sources").write_text(SOURCES)
    own = {"MEALKIT_DEBIAN_MIRROR": "http://in.example.invalid/d/ file:/srv/d"}
    found = debian_mirrors(own, apt)
    assert (found.archives, found.security) == (
        ("http://in.example.invalid/d", "file:///srv/d"),
        (),
    )
    found = debian_mirrors({**own, "MEALKIT_DEBIAN_SECURITY_MIRROR": "http://s.invalid/"}, apt)
    assert found.security == ("http://s.invalid",)


def test_security_can_be_set_alone_or_switched_off(apt):
    """The security mirror of apt's sources can be replaced, or set to nothing."""
    (apt / "sources.list.d" / "debian.sources").write_text(SOURCES)
    assert debian_mirrors({"MEALKIT_DEBIAN_SECURITY_MIRROR": ""}, apt).security == ()
    named = {"MEALKIT_DEBIAN_SECURITY_MIRROR": "http://s.invalid"}
    assert debian_mirrors(named, apt).security == ("http://s.invalid",)


def test_keyring_can_be_named(apt):
    """MEALKIT_DEBIAN_KEYRING names the keyring, the distribution's is the default."""
    own = {"MEALKIT_DEBIAN_MIRROR": "http://in.example.invalid"}
    assert debian_mirrors(own, apt).keyring.name.startswith("debian-archive-keyring.")
    named = {**own, "MEALKIT_DEBIAN_KEYRING": "/srv/keys.gpg"}
    assert debian_mirrors(named, apt).keyring == Path("/srv/keys.gpg")


def test_nothing_configured_is_a_problem(tmp_path):
    """Without apt and without settings there is a problem with a hint, not a guess."""
    with pytest.raises(SourceError) as caught:
        debian_mirrors({}, tmp_path / "no-apt")
    assert caught.value.problems[0].code == "DEBIAN_NO_MIRROR"
    assert "MEALKIT_DEBIAN_MIRROR" in caught.value.problems[0].hint


def test_unreadable_sources_do_not_hide_others(apt):
    """A file that apt itself would refuse leaves the entries of other files usable."""
    (apt / "sources.list.d" / "a.sources").write_text(" broken\n")
    (apt / "sources.list.d" / "b.sources").write_text(SOURCES)
    assert debian_mirrors({}, apt).archives


@pytest.mark.parametrize(
    "address",
    ["http://[broken/x", "ftp://h.invalid", "h.invalid/debian", "http:///x", "http://u:secret@[x"],
)
def test_unusable_setting_is_a_problem(apt, address):
    """A setting that names no usable address is said, not passed over for apt's sources."""
    (apt / "sources.list.d" / "debian.sources").write_text(SOURCES)
    with pytest.raises(SourceError, match="MEALKIT_DEBIAN_MIRROR contains no") as caught:
        debian_mirrors({"MEALKIT_DEBIAN_MIRROR": address}, apt)
    assert "secret" not in str(caught.value.problems)
