"""Verifying audit logs as the command line does: keys, checkpoints, names of kits."""

import json
import shutil

import pytest

from mealkit.auditlog.audit_key import created_audit_key
from mealkit.auditlog.audit_line import encoded
from mealkit.auditlog.audit_log import AuditLog, LogListener, LogSettings
from mealkit.auditlog.chain_folder import AUDIT_FOLDER, KEY_NAME, chain_files
from mealkit.errors import AuditError, BuildError, TrustError
from mealkit.pipeline.audit.audit_entries import Wanted, found_entries
from mealkit.pipeline.audit.audit_logs import (
    GivenCheckpoints,
    audit_places,
    found_chains,
    given_checkpoints,
    keys_for,
)
from mealkit.pipeline.audit.signing_checkpoints import write_checkpoint
from mealkit.pipeline.audit.verifying_audit_logs import verified_chains
from mealkit.pipeline.home import Home
from mealkit.pipeline.signatures.key_files import trusted_keys, write_key_pair
from mealkit.progress import SILENT
from mealkit.trust.keyring import KeyRing
from mealkit.trust.signing_keys import Algorithm, read_signing_key

NO_KEYS = KeyRing(())
SETTINGS = LogSettings(stops=True, max_file_bytes=2000, max_files=100)


class Journal(LogListener):
    """Writes checkpoints to a file, as a kit writes them to its log."""

    def __init__(self, path):
        self.path = path

    def checkpoint(self, checkpoint):
        with self.path.open("a") as stream:
            line = {"event": "audit checkpoint", **checkpoint.as_json()}
            # As `docker logs --timestamps` prints it.
            stream.write(f"2026-11-30T12:00:00Z {json.dumps(line)}\nnot JSON\n")


def write(folder, count, log):
    """Record requests of one run of a kit."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / KEY_NAME).exists():
        created_audit_key(folder / KEY_NAME)
    written = AuditLog(folder, keys_for([folder], []), {"kit": "a:1"}, SETTINGS, Journal(log))
    for number in range(count):
        outcome = "failed" if number == 3 else "answered"
        fields = {"time": f"2026-11-30T12:00:{number:02}", "id": f"r{number}", "key": "team-a"}
        written.write("request", encoded({**fields, "outcome": outcome}))
    written.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A log, the kit's own log, and a signed checkpoint of it."""
    root = tmp_path_factory.mktemp("recorded")
    write(root / "records" / "a" / AUDIT_FOLDER, 20, root / "kit.log")
    write_key_pair(root / "auditor.key", Algorithm.ED25519, None)
    key = read_signing_key((root / "auditor.key").read_bytes(), "auditor.key", bytes)
    reports = verify(root / "records" / "a")
    [(path, _)] = write_checkpoint(reports, key, root / "signed.json")
    assert path == root / "signed.json"
    with pytest.raises(BuildError, match="exists"):
        list(write_checkpoint(reports, key, root / "signed.json"))
    return root


@pytest.fixture
def root(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "copy")
    return tmp_path / "copy"


def folder_of(root):
    return root / "records" / "a" / AUDIT_FOLDER


def files_of(root):
    return chain_files(folder_of(root) / "chain-0001")


def verify(*places, key=(), checkpoints=(), ring=NO_KEYS):
    given = given_checkpoints(checkpoints, ring)
    return verified_chains(found_chains(places), keys_for(places, key), given, SILENT)


def auditor(root):
    return trusted_keys([str(root / "auditor.key.pub")])


def codes(reports):
    return [item.code for report in reports for item in report.problems]


def test_places_of_a_log(root):
    """A log is found by a kit's name, by its folders, and by its files in any order."""
    (named,) = audit_places(["a"], Home(root))
    for places in ([named], [root / "records" / "a"], [folder_of(root) / "chain-0001"]):
        (report,) = verify(*places, key=[folder_of(root) / KEY_NAME])
        assert (report.problems, report.counts.requests) == ([], 20)
    (report,) = verify(*reversed(files_of(root)), key=[folder_of(root) / KEY_NAME])
    assert (report.problems, report.counts.requests) == ([], 20)
    for name in ("b", "../a"):
        with pytest.raises(AuditError, match="neither a path nor a kit"):
            audit_places([name], Home(root))
    with pytest.raises(AuditError, match="no audit log"):
        found_chains([root / "records"])


@pytest.mark.parametrize("which", ["kit.log", "signed.json"])
def test_checkpoints(root, which):
    """A checkpoint agrees with the log as it was, and with the log that has grown since."""
    found = verify(root / "records" / "a", checkpoints=[root / which], ring=auditor(root))
    assert codes(found) == []
    last = found[0].counts.last
    assert found[0].checkpoint.n == last
    write(folder_of(root), 5, root / "later.log")
    found = verify(root / "records" / "a", checkpoints=[root / which], ring=auditor(root))
    assert codes(found) == []
    assert found[0].checkpoint.n == last


def cut(root):
    """Remove the last lines, and write the end that a stopped kit has again."""
    path = files_of(root)[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))


def remove_last_file(root):
    files_of(root)[-1].unlink()


def begin_again(root):
    shutil.rmtree(folder_of(root) / "chain-0001")
    write(folder_of(root), 30, root / "other.log")


@pytest.mark.parametrize("which", ["kit.log", "signed.json"])
@pytest.mark.parametrize("change", [cut, remove_last_file, begin_again])
def test_checkpoint_finds_what_is_missing(root, which, change):
    """What the lines alone cannot show is found: a cut tail, and a log that was begun again."""
    change(root)
    assert codes(verify(root / "records" / "a")) == []
    found = verify(root / "records" / "a", checkpoints=[root / which], ring=auditor(root))
    assert codes(found)[0] == "AUDIT_CUT"


def test_removed_beginning(root):
    """The oldest file may be missing only if the kit has deleted it."""
    files_of(root)[0].unlink()
    (report,) = verify(root / "records" / "a")
    assert codes([report]) == ["AUDIT_CUT"]
    assert "the kit has not deleted them" in report.problems[0].message


def test_without_the_key(root):
    """A signed checkpoint alone proves what it covers: a change is found, and a missing file."""
    (folder_of(root) / KEY_NAME).unlink()
    places, signed = [root / "records" / "a"], [root / "signed.json"]
    (report,) = verify(*places, checkpoints=signed, ring=auditor(root))
    assert (report.problems, report.key) == ([], "")
    assert report.checkpoint
    path = files_of(root)[1]
    path.write_bytes(path.read_bytes().replace(b"team-a", b"team-b", 1))
    (report,) = verify(*places, checkpoints=signed, ring=auditor(root))
    assert codes([report]) == ["AUDIT_CHANGED"]
    assert str(path) == report.problems[0].where
    with pytest.raises(AuditError, match="cannot be checked without a key"):
        verify(*places)


def test_signature_of_a_checkpoint(root):
    """A checkpoint counts only with the signature of a key that the verifier names."""
    place, signed = root / "records" / "a", root / "signed.json"
    with pytest.raises(AuditError, match="there is no key to check the signature"):
        verify(place, checkpoints=[signed])
    write_key_pair(root / "other.key", Algorithm.ECDSA_P256, None)
    with pytest.raises(TrustError):
        verify(place, checkpoints=[signed], ring=trusted_keys([str(root / "other.key.pub")]))
    form = json.loads(signed.read_text())
    form["dsseEnvelope"]["payload"] = form["dsseEnvelope"]["payload"][:-8] + "AAAAAAA="
    signed.write_text(json.dumps(form))
    with pytest.raises(TrustError):
        verify(place, checkpoints=[signed], ring=auditor(root))
    (root / "empty").write_text("nothing\n")
    with pytest.raises(AuditError, match="no checkpoint"):
        verify(place, checkpoints=[root / "empty"])


def test_forged_checkpoint(root):
    """A line in a kit's log that no holder of the key has made is reported."""
    text = (root / "kit.log").read_text().replace('"n": ', '"n": 9')
    (root / "kit.log").write_text(text)
    assert codes(verify(root / "records" / "a", checkpoints=[root / "kit.log"])) == ["AUDIT_KEY"]


def test_nothing_that_may_be_forged_is_signed(root):
    """A log with a fault gets no checkpoint."""
    path = files_of(root)[0]
    path.write_bytes(path.read_bytes().replace(b"team-a", b"team-b", 1))
    key = read_signing_key((root / "auditor.key").read_bytes(), "auditor.key", bytes)
    with pytest.raises(AuditError):
        list(write_checkpoint(verify(root / "records" / "a"), key, root / "no.json"))
    assert not (root / "no.json").exists()


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Wanted(request="r5"), ["r5"]),
        (Wanted(request="r"), []),
        (Wanted(outcome="failed"), ["r3"]),
        (Wanted(key="team-b"), []),
        (Wanted(since="2026-11-30T12:00:17", until="2026-11-30T12:00:18"), ["r17", "r18"]),
        (Wanted(key="team-a", until="2026-11-30T12:00:01"), ["r0", "r1"]),
    ],
    ids=str,
)
def test_found_entries(recorded, wanted, names):
    """Requests are found by id, key, time and outcome; all options must fit."""
    chains = found_chains([recorded / "records" / "a"])
    assert [entry.form["id"] for entry in found_entries(chains, wanted)] == names
    assert GivenCheckpoints().all == ()
