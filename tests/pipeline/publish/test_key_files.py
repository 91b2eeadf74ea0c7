"""Key files are private from their first byte, and a passphrase never comes from the command line."""

import os
import pty
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.little import Heard

from mealkit.errors import MealkitError
from mealkit.pipeline.signatures.key_files import (
    PASSPHRASE_VARIABLE,
    PassphraseSource,
    public_key_at,
    signing_key_at,
    trusted_keys,
    write_key_pair,
)
from mealkit.trust.signing_keys import Algorithm

SECRET = b"seven dry words"


@pytest.fixture
def pair(tmp_path):
    write_key_pair(tmp_path / "team.key", Algorithm.ECDSA_P256, SECRET)
    return tmp_path / "team.key"


def code_of(function) -> str:
    with pytest.raises(MealkitError) as caught:
        function()
    return caught.value.problems[0].code


def test_a_key_file_is_private(pair):
    """Only the owner can read the private key; everyone can read the public one."""
    assert stat.S_IMODE(pair.stat().st_mode) == 0o600
    heard = Heard()
    (pair.parent / "word").write_bytes(SECRET + b"\n")
    signer = signing_key_at(pair, PassphraseSource(file=pair.parent / "word"), heard)
    assert signer.public == public_key_at(pair.with_name("team.key.pub"))
    assert heard.notices == []


def test_a_key_that_others_can_read_is_a_warning(pair):
    """A private key with a mode for others is used, with a warning."""
    pair.chmod(0o640)
    heard = Heard()
    (pair.parent / "word").write_bytes(SECRET)
    signing_key_at(pair, PassphraseSource(file=pair.parent / "word"), heard)
    assert [one.code for one in heard.notices] == ["KEY_EXPOSED"]
    assert "0640" in heard.notices[0].message
    assert f"chmod 600 {pair}" in heard.notices[0].hint


def test_a_public_key_does_not_sign(pair):
    """A public key is refused with the name of the private one, and is not called exposed."""
    heard, public = Heard(), pair.with_name("team.key.pub")
    with pytest.raises(MealkitError, match=r"team\.key\.pub is a public key") as caught:
        signing_key_at(public, PassphraseSource(), heard)
    assert caught.value.problems[0].hint == f"name {pair}"
    assert heard.notices == []


@pytest.mark.parametrize("existing", ["team.key", "team.key.pub"])
def test_a_key_is_never_overwritten(existing, tmp_path):
    """Neither half of a key pair replaces a file, and nothing is written then."""
    (tmp_path / existing).write_text("mine")
    made = tmp_path / "team.key"
    assert code_of(lambda: write_key_pair(made, Algorithm.ED25519, None)) == "OUTPUT_EXISTS"
    assert code_of(lambda: write_key_pair(Path(), Algorithm.ED25519, None)) == "OUTPUT_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == [existing]


def test_a_passphrase_from_a_descriptor_or_a_variable(pair, monkeypatch):
    """A file descriptor comes before the variable; a line break at the end does not count."""
    reader, writer = os.pipe()
    os.write(writer, SECRET + b"\r\n")
    os.close(writer)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    assert PassphraseSource(descriptor=reader).read("k") == SECRET
    os.close(reader)
    assert code_of(lambda: signing_key_at(pair, PassphraseSource(), Heard())) == "KEY_PASSPHRASE"
    monkeypatch.setenv(PASSPHRASE_VARIABLE, SECRET.decode())
    assert signing_key_at(pair, PassphraseSource(), Heard()).public.name == "ECDSA P-256"


def test_a_passphrase_that_is_not_text_is_not_shown(pair, monkeypatch):
    """A variable may have any bytes; a wrong passphrase is not in the problem, not even a part."""
    monkeypatch.setenv(PASSPHRASE_VARIABLE, os.fsdecode(b"dry\xffwords"))
    assert PassphraseSource().read("k") == b"dry\xffwords"
    with pytest.raises(MealkitError) as caught:
        signing_key_at(pair, PassphraseSource(), Heard())
    assert [item.code for item in caught.value.problems] == ["KEY_PASSPHRASE"]
    assert "ff" not in caught.value.problems[0].message


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 1025, None])
def test_a_passphrase_file_that_is_not_one(content, tmp_path):
    """An empty, too long or missing file is a problem."""
    if content is not None:
        (tmp_path / "word").write_bytes(content)
    source = PassphraseSource(file=tmp_path / "word")
    assert code_of(lambda: source.read("team.key")) == "KEY_PASSPHRASE"


def test_a_descriptor_that_is_closed():
    """A descriptor that is not open is a problem."""
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    assert code_of(lambda: PassphraseSource(descriptor=reader).read("k")) == "KEY_PASSPHRASE"


def test_without_a_terminal_nothing_is_asked(monkeypatch):
    """A CI without a passphrase fails at once, instead of waiting for input."""
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    script = (
        "from mealkit.pipeline.signatures.key_files import PassphraseSource\n"
        "PassphraseSource().read('team.key')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "there is no terminal to ask for it" in done.stderr


def test_a_terminal_is_asked_twice_for_a_new_key():
    """The passphrase of a new key is typed twice, and is not shown."""
    script = (
        "from mealkit.pipeline.signatures.key_files import PassphraseSource\n"
        "print(len(PassphraseSource().read('team.key', is_new=True)))"
    )
    terminal, inner = pty.openpty()
    environment = {key: text for key, text in os.environ.items() if key != PASSPHRASE_VARIABLE}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=environment,
        start_new_session=True,  # without the terminal of these tests, if they have one
    ) as process:
        os.close(inner)
        seen = b""
        for prompt in (b"passphrase of team.key: ", b"once more: "):
            while prompt not in seen:
                seen += os.read(terminal, 1024)
            os.write(terminal, SECRET + b"\n")
        with suppress(OSError):  # the other side has ended
            while chunk := os.read(terminal, 1024):
                seen += chunk
        os.close(terminal)
        assert process.wait() == 0
    assert str(len(SECRET)).encode() in seen
    assert SECRET not in seen


def test_keys_with_their_time(pair):
    """Dates are read in UTC, with or without a time; other limits are refused."""
    public = f"{pair}.pub"
    ring = trusted_keys([f"{public},from=1970-01-02,until=1970-01-03T00:00:01Z,revoked=2001-01-01"])
    (key,) = ring.keys
    assert (key.valid_from, key.valid_until, key.revoked_since) == (86400, 172801, 978307200)
    assert key.source == public
    for wrong in (",until=soon", ",since=2001-01-01", ",until=2001-01-01,until=2002-01-01"):
        assert code_of(lambda wrong=wrong: trusted_keys([public + wrong])) == "USAGE"
    assert code_of(lambda: trusted_keys([str(pair.parent / "none")])) == "KEY_INVALID"


def test_a_key_that_is_named_twice_is_one_key(pair):
    """A key cannot be revoked and valid at once, whichever of two files or options is first."""
    public = str(pair.with_name("team.key.pub"))
    copy = pair.with_name("copy.pub")
    copy.write_bytes(Path(public).read_bytes())
    assert len(trusted_keys([public, str(copy)]).keys) == 1
    for texts in ([public, f"{copy},revoked=2020-01-01"], [f"{copy},revoked=2020-01-01", public]):
        assert code_of(lambda texts=texts: trusted_keys(texts)) == "USAGE"
