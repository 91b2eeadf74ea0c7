"""A release counts only if a key of the keyring signed it, and only as far as it was signed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mealkit.errors import SourceError
from mealkit.sources.debian.release import check_release, parse_release, signed_text, verified

TEXT = (
    b"Codename: trixie\nSuite: stable\nDate: Sat, 21 Nov 2026 09:15:44 UTC\n"
    b"Valid-Until: Sat, 28 Nov 2026 09:15:44 UTC\nAcquire-By-Hash: yes\n"
    b"SHA256:\n " + b"0" * 64 + b" 12 main/binary-amd64/Packages\n"
)
KEY = "Tiny Archive <archive@example.invalid>"
OTHER_KEY = "Another Archive <other@example.invalid>"


def refusal(signed: bytes, keyring: Path) -> str:
    with pytest.raises(SourceError) as caught:
        verified(signed, keyring, "here")
    assert caught.value.problems[0].code == "DEBIAN_UNSIGNED"
    return str(caught.value)


def test_signed_text_comes_back(keys):
    """What a known key signed is returned, byte for byte but for the last line break."""
    assert verified(keys.sign(TEXT), keys.archive, "here").strip() == TEXT.strip()


def test_one_known_signer_is_enough(keys):
    """Of two signatures one by a key that the keyring lacks does no harm."""
    signed = keys.sign(TEXT, OTHER_KEY, KEY)
    assert verified(signed, keys.archive, "here").strip() == TEXT.strip()
    assert verified(signed, keys.other, "here").strip() == TEXT.strip()


def test_unknown_key_is_refused(keys):
    """A signature by a key that is not in the keyring counts for nothing."""
    assert "the keyring lacks the key" in refusal(keys.sign(TEXT, OTHER_KEY), keys.archive)


def test_weak_hash_is_refused(keys):
    """A signature over SHA-1 can be forged, so it counts for nothing."""
    weak = keys.sign(TEXT, options=("--digest-algo", "SHA1"))
    assert b"Hash: SHA1" in weak
    refusal(weak, keys.archive)


def test_changed_text_is_refused(keys):
    """A changed digit is found."""
    changed = keys.sign(TEXT).replace(b" 12 main", b" 13 main")
    assert "was changed" in refusal(changed, keys.archive)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_flipped_bits_never_change_the_text(keys, place, bit):
    """Whatever bit is flipped, the answer is a refusal or the text that was signed."""
    signed = bytearray(keys.sign(TEXT))
    signed[place % len(signed)] ^= 1 << bit
    try:
        text = verified(bytes(signed), keys.archive, "here")
    except SourceError:
        return
    assert text.split() == TEXT.split()


def test_text_around_the_message_is_refused(keys):
    """Text before, behind or between signed parts is nobody's, and never read."""
    signed = keys.sign(TEXT)
    for attack in (
        b"SHA256:\n" + signed,
        signed + b"\nCodename: sid\n",
        signed + signed,
        TEXT,
        b"",
    ):
        assert "one signed message" in refusal(attack, keys.archive)


def test_cut_message_is_refused(keys):
    """A message that ended early is refused."""
    refusal(keys.sign(TEXT)[:-60], keys.archive)


def test_missing_keyring_and_missing_gpgv_are_named(keys, tmp_path, monkeypatch):
    """Without a keyring, or without gpgv, nothing is taken on trust."""
    assert str(tmp_path / "none.gpg") in refusal(keys.sign(TEXT), tmp_path / "none.gpg")
    signed = keys.sign(TEXT)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "gpgv" in refusal(signed, keys.archive)


def test_damaged_keyring_is_a_refusal(keys, tmp_path):
    """A file that is no keyring knows no key."""
    (tmp_path / "bad.gpg").write_bytes(b"not a keyring")
    refusal(keys.sign(TEXT), tmp_path / "bad.gpg")


def test_unsigned_text_is_taken_out_of_its_message(keys):
    """Where signatures are not asked for, the text of a message or of a bare release is read."""
    text = TEXT + b"- dash\n-- dashes\n"
    assert signed_text(keys.sign(text)).strip() == text.strip()
    assert signed_text(TEXT) == TEXT


def test_release_is_parsed():
    """Names, end, by-hash and the listed files are read."""
    release = parse_release(TEXT, "here")
    assert release.names == {"trixie", "stable"}
    assert release.valid_until == datetime(2026, 11, 28, 9, 15, 44, tzinfo=UTC)
    assert release.by_hash
    assert release.files["main/binary-amd64/Packages"].size_bytes == 12


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Codename: x\n",
        b"SHA256:\n abc 1 path\n",
        b"\xff",
        b"SHA256:\n one\n",
        b"SHA256: x\nValid-Until: never\n",
    ],
)
def test_what_is_no_release_is_refused(text):
    """Anything that is not a release is refused, rather than read as an empty one."""
    with pytest.raises(SourceError, match="DEBIAN_INDEX"):
        parse_release(text, "here")


def test_expired_release_is_refused_with_both_times():
    """An old release, played back, is refused; the message says until when it was valid."""
    release = parse_release(TEXT, "here")
    check_release(release, "trixie", "here", datetime(2026, 11, 28, 9, tzinfo=UTC))
    with pytest.raises(
        SourceError, match=r"valid until 2026-11-28 09:15 UTC, now it is 2026-11-29"
    ):
        check_release(release, "trixie", "here", datetime(2026, 11, 29, tzinfo=UTC))


def test_release_of_another_suite_is_refused():
    """A signed release of an older suite cannot stand in for the one asked for."""
    with pytest.raises(
        SourceError, match="the Debian index of forky states the suite stable or trixie"
    ):
        check_release(parse_release(TEXT, "here"), "forky", "here")
