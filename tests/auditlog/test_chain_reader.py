"""What a reader finds in the files of a chain, and what it does not accept."""

import hmac
import json
import shutil

import pytest

from mealkit.auditlog.audit_key import AuditKey, read_audit_keys
from mealkit.auditlog.audit_line import encoded
from mealkit.auditlog.audit_log import AuditLog, LogListener, LogSettings
from mealkit.auditlog.chain_folder import chain_files
from mealkit.auditlog.chain_reader import ChainReader
from mealkit.errors import AuditError

KEY = AuditKey(bytes(range(32)))
OTHER = AuditKey(bytes(32))
SETTINGS = LogSettings(stops=True, max_file_bytes=2000, max_files=100)


class Heard(LogListener):
    """What a log reports."""

    def __init__(self):
        self.checkpoints, self.faults = [], []

    def checkpoint(self, checkpoint):
        self.checkpoints.append(checkpoint)

    def not_continued(self, fault):
        self.faults.append(fault)


BIG = LogSettings(stops=True, max_file_bytes=100_000, max_files=100)


def written(folder, count, keys=(KEY,), settings=SETTINGS, kit="a:1", name="r"):
    """Write requests as one run of a kit does; return what the log reported."""
    heard = Heard()
    log = AuditLog(folder, keys, {"kit": kit}, settings, heard)
    for number in range(count):
        log.write("request", encoded({"id": f"{name}{number}", "status": 200}))
    log.close()
    return heard


def read(folder, keys=(KEY,), wanted=(), chain="chain-0001"):
    """Read a chain; return the reader, which has the fault."""
    reader = ChainReader(keys, wanted)
    for path in chain_files(folder / chain):
        if not reader.read(path, lambda _: None):
            break
    return reader


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A log of two runs, in several files."""
    folder = tmp_path_factory.mktemp("original")
    written(folder, 30)
    written(folder, 10, name="s")
    return folder


@pytest.fixture
def log(original, tmp_path):
    shutil.copytree(original, tmp_path / "log")
    return tmp_path / "log"


def lines_at(log, number):
    path = chain_files(log / "chain-0001")[number]
    return path, path.read_bytes().splitlines(keepends=True)


def test_whole_log_is_valid(original):
    """All lines of two runs are counted, and the end is known."""
    reader = read(original)
    assert reader.fault is None
    counts = reader.counts
    assert (counts.requests, counts.first, counts.is_ended) == (40, 1, True)
    assert len(chain_files(original / "chain-0001")) > 3
    numbers = [
        json.loads(line)["n"]
        for path in chain_files(original / "chain-0001")
        for line in path.read_bytes().splitlines()
    ]
    assert numbers == list(range(1, counts.last + 1))


def _edited(lines):
    lines[5] = lines[5].replace(b'"status":200', b'"status":500')


def _removed(lines):
    del lines[5]


def _swapped(lines):
    lines[5], lines[6] = lines[6], lines[5]


def _repeated(lines):
    lines.insert(5, lines[4])


def _inserted(lines):
    lines.insert(5, lines[5].replace(b'"n":', b'"n":9'))


def _not_a_line(lines):
    lines[5] = b"\x00\xff{\x1b[31m\n"


def _deep(lines):
    lines[5] = b"[" * 100_000 + b"\n"


def _without_code(lines):
    lines[5] = lines[5].partition(b',"code"')[0] + b"}\n"


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (_edited, 6, "has a code that does not match"),
        (_removed, 6, "are missing"),
        (_swapped, 6, "are missing"),
        (_repeated, 6, "repeated or out of order"),
        (_inserted, 6, "are missing"),
        (_not_a_line, 6, "is not a valid one"),
        (_deep, 6, "is not a valid one"),
        (_without_code, 6, "is not a valid one"),
    ],
)
def test_changed_line(log, change, line, message):
    """The first line that is not as it was written is found, whatever was done to it."""
    path, lines = lines_at(log, 1)
    change(lines)
    path.write_bytes(b"".join(lines))
    fault = read(log).fault
    assert (fault.code, fault.path, fault.line) == ("AUDIT_CHANGED", path, line)
    assert message in fault.message


def test_removed_file(log):
    """A file that is missing in the middle is noticed by the next one."""
    _, second, third, *_ = chain_files(log / "chain-0001")
    second.unlink()
    fault = read(log).fault
    assert (fault.path, fault.line) == (third, 1)
    assert "are missing" in fault.message


def test_file_of_another_kit(log, tmp_path):
    """A file in the place of another is noticed by its head, also if it has the same key."""
    written(tmp_path / "other", 30, kit="b:1")
    theirs = chain_files(tmp_path / "other" / "chain-0001")[1]
    mine = chain_files(log / "chain-0001")[1]
    mine.write_bytes(theirs.read_bytes())
    fault = read(log).fault
    assert (fault.path, fault.line) == (mine, 1)
    assert "another chain" in fault.message


def test_unknown_key(log):
    """Without the key no line counts."""
    fault = read(log, [OTHER]).fault
    assert (fault.code, fault.line) == ("AUDIT_KEY", 1)


def test_cut_tail_has_no_end(log):
    """Lines that are cut off leave no mark of an end, and the code of a checkpoint is missing."""
    path, lines = lines_at(log, -1)
    whole = read(log).counts.last
    path.write_bytes(b"".join(lines[:-2]))
    reader = read(log, wanted=[whole])
    assert reader.fault is None
    assert not reader.counts.is_ended
    assert reader.codes == {}


def test_codes_of_checkpoints(tmp_path):
    """A checkpoint's code is that of its line, and only a holder of the key has made it."""
    heard = written(tmp_path, 30)
    last = heard.checkpoints[-1]
    reader = read(tmp_path, wanted=[last.n])
    assert last.n == reader.counts.last
    assert reader.codes == {last.n: last.code}
    assert last.is_of(KEY)
    assert not last.is_of(OTHER)


@pytest.mark.parametrize("left", [b"{", b'{"kind":"requ', b"\x00" * 500], ids=len)
def test_half_line_is_marked(tmp_path, left):
    """What a kill or a power cut has left stays in the file, and the next run states what it is."""
    written(tmp_path, 3, settings=BIG)
    (path,) = chain_files(tmp_path / "chain-0001")
    with path.open("ab") as stream:
        stream.write(left)
    assert read(tmp_path).counts.half_line_bytes == len(left)
    assert not written(tmp_path, 3, settings=BIG).faults
    reader = read(tmp_path)
    assert reader.fault is None
    assert reader.counts.torn == [(path, 6)]
    assert reader.counts.requests == 6
    assert left in path.read_bytes()
    # A second kill, at the start of the next run.
    with path.open("ab") as stream:
        stream.write(left + b"\n" + left)
    written(tmp_path, 1, settings=BIG)
    assert read(tmp_path).fault is None
    # A half line that is removed or changed afterwards is noticed.
    data = path.read_bytes()
    path.write_bytes(data.replace(left + b"\n", b"", 1))
    assert read(tmp_path).fault.line == 6


def test_each_changed_byte_is_found(tmp_path):
    """Also in the last line, and also its line feed: a kill leaves neither."""
    written(tmp_path, 1, settings=BIG)
    (path,) = chain_files(tmp_path / "chain-0001")
    data = path.read_bytes()
    for place in {*range(0, len(data), 3), *range(len(data) - 80, len(data))}:
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert read(tmp_path).fault, place


def test_changed_chain_is_not_continued(log):
    """After a change in its last file a chain stays as it is, and a new one begins."""
    path, lines = lines_at(log, -1)
    _edited(lines) if len(lines) > 6 else lines.pop(1)
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    (fault,) = written(log, 3).faults
    assert fault.path == path
    assert path.read_bytes() == before
    assert read(log, chain="chain-0002").counts.requests == 3


def test_second_writer_has_its_own_chain(tmp_path):
    """Two processes never write to the same file."""
    first = AuditLog(tmp_path, (KEY,), {"kit": "a:1"}, SETTINGS, Heard())
    written(tmp_path, 2)
    first.write("request", encoded({"id": "x"}))
    first.close()
    assert read(tmp_path).counts.requests == 1
    assert read(tmp_path, chain="chain-0002").counts.requests == 2


def test_oldest_files_are_deleted(tmp_path):
    """The kit deletes the oldest files, and says so; another file that is missing is noticed."""
    written(tmp_path, 100, settings=LogSettings(stops=True, max_file_bytes=2000, max_files=3))
    files = chain_files(tmp_path / "chain-0001")
    assert len(files) == 3
    counts = read(tmp_path).counts
    assert counts.first > 1
    assert counts.deleted_through == counts.first - 1
    files[0].unlink()
    counts = read(tmp_path).counts
    assert counts.first > counts.deleted_through + 1


def test_new_key(tmp_path):
    """The old key names the new one; a chain whose key changes otherwise is not valid."""
    written(tmp_path, 3, (KEY,))
    written(tmp_path, 3, (OTHER, KEY))
    reader = read(tmp_path, [KEY, OTHER])
    assert reader.fault is None
    assert reader.key == OTHER
    assert read(tmp_path, [KEY]).fault.code == "AUDIT_KEY"
    (path, _) = chain_files(tmp_path / "chain-0001")
    lines = path.read_bytes().splitlines(keepends=True)
    assert b'"kind":"new_key"' in lines[-1]
    path.write_bytes(b"".join(lines[:-1]))
    assert read(tmp_path, [KEY, OTHER]).fault.line == 1


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_codes_are_those_of_hmac(key):
    """A line's code is what the standard library's HMAC returns for the same bytes."""
    expected = hmac.digest(key.secret, b"before" + b"line" * 100, "sha256")
    assert key.state().code(b"before", b"line" * 100) == expected


def test_keys_file(tmp_path):
    """A file of keys has hex digits only; a message never shows a line of it."""
    path = tmp_path / "keys"
    path.write_text(f"{'00' * 32}\n\n{bytes(range(32)).hex()}\n")
    assert read_audit_keys(path) == (OTHER, KEY)
    assert "00" not in repr(OTHER).replace(OTHER.id, "")
    for text in ("", "secret", f"{'00' * 31}\n"):
        path.write_text(text)
        with pytest.raises(AuditError) as caught:
            read_audit_keys(path)
        assert caught.value.problems[0].code == "AUDIT_KEY"
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "form", [b"", b"{}\n", b"\n" * 10, b"\x00\xff" * 600, b"{" * 1000], ids=len
)
def test_hostile_files(tmp_path, form):
    """A file of any bytes is a fault in its first line, and no exception."""
    chain = tmp_path / "chain-0001"
    chain.mkdir()
    (chain / "audit-000001.jsonl").write_bytes(form)
    assert read(tmp_path).fault.line == 1
