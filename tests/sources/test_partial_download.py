"""An unfinished download keeps what it has, and is continued only where that is safe."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mealkit.digest import Digest
from mealkit.sources.partial_download import open_partial_download

URL = "https://a.invalid/x"


def opened(tmp_path, key="key"):
    return open_partial_download(tmp_path / "parts", key)


def test_what_was_written_is_there_again(tmp_path):
    """With its size and digest, as after a kill."""
    with opened(tmp_path) as part:
        part.write(b"one")
        part.write(memoryview(b"two"))
        assert (part.size_bytes, part.digest) == (6, Digest.of(b"onetwo"))
    with opened(tmp_path) as part:
        assert (part.size_bytes, part.digest) == (6, Digest.of(b"onetwo"))
        part.write(b"!")
        assert part.path.read_bytes() == b"onetwo!"


def test_bytes_that_are_stored_and_hashed_in_two_threads_are_those_that_are_written(tmp_path):
    """Whichever thread is ahead, and also after a part of them was written to the disk."""
    chunks = [bytes([number]) * 1000 for number in range(50)]
    with opened(tmp_path) as part:
        part.write(b"begin")
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda use: [use(chunk) for chunk in chunks], (part.store, part.hash)))
            threads.submit(part.sync).result()
        whole = b"begin" + b"".join(chunks)
        assert (part.size_bytes, part.digest) == (len(whole), Digest.of(whole))
        assert part.path.read_bytes() == whole


def test_a_new_start_throws_away_what_was_there(tmp_path):
    """Also what a longer part would leave behind the new bytes."""
    with opened(tmp_path) as part:
        part.write(b"long bytes")
        part.restart()
        assert (part.size_bytes, part.digest) == (0, Digest.of(b""))
        part.write(b"new")
        assert part.path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"a"', "Last-Modified": "Mon"}, '"a"'),
        ({"ETag": 'W/"a"', "Last-Modified": "Mon"}, "Mon"),
        ({"Last-Modified": "Mon"}, "Mon"),
        ({"ETag": 'W/"a"'}, None),
        ({}, None),
    ],
)
def test_an_unknown_file_is_continued_only_with_a_validator(tmp_path, headers, validator):
    """A weak one does not say that the bytes are the same (RFC 9110, section 13.1.5)."""
    with opened(tmp_path) as part:
        part.write(b"abc")
        part.remember(URL, headers)
    with opened(tmp_path) as part:
        assert part.may_resume(URL, trusted=False) is (validator is not None)
        assert part.range_headers(URL) == {
            "Range": "bytes=3-",
            **({"If-Range": validator} if validator else {}),
        }


def test_another_address_continues_only_what_a_digest_decides(tmp_path):
    """Its validator says nothing of the first one's bytes."""
    with opened(tmp_path) as part:
        part.write(b"abc")
        part.remember(URL, {"ETag": '"a"'})
        assert not part.may_resume(f"{URL}/other", trusted=False)
        assert part.may_resume(f"{URL}/other", trusted=True)
        assert part.range_headers(f"{URL}/other") == {"Range": "bytes=3-"}


def test_an_empty_part_asks_for_everything(tmp_path):
    """There is nothing to continue."""
    with opened(tmp_path) as part:
        part.remember(URL, {"ETag": '"a"'})
        assert part.range_headers(URL) == {}


@pytest.mark.parametrize(
    "note",
    ["", "[]", "{", '{"url": 1}', json.dumps({"url": URL}), "x" * 100_000, "link"],
    ids=lambda text: text[:12],
)
def test_a_note_that_cannot_be_read_says_nothing(tmp_path, note):
    """Neither does one that is a link."""
    with opened(tmp_path) as part:
        part.write(b"abc")
    path = tmp_path / "parts" / "key.json"
    if note == "link":
        (tmp_path / "note").write_text(json.dumps({"url": URL, "validator": '"a"'}))
        path.symlink_to(tmp_path / "note")
    else:
        path.write_text(note)
    with opened(tmp_path) as part:
        assert not part.may_resume(URL, trusted=False)


def test_a_discarded_part_is_gone_with_its_note(tmp_path):
    """The next download begins anew."""
    with opened(tmp_path) as part:
        part.write(b"abc")
        part.remember(URL, {"ETag": '"a"'})
        part.discard()
    assert list((tmp_path / "parts").iterdir()) == []


@pytest.mark.parametrize("end", ["moved", "deleted", "kept"])
def test_who_waited_for_a_part_looks_whether_it_is_still_there(tmp_path, end):
    """A part that was finished meanwhile is no part any more."""
    waiting, found = threading.Event(), []

    def wait():
        waiting.set()
        with opened(tmp_path) as part:
            found.append(part and part.size_bytes)

    thread = threading.Thread(target=wait)
    with opened(tmp_path) as part:
        part.write(b"abc")
        thread.start()
        waiting.wait()
        if end == "moved":
            part.path.rename(tmp_path / "whole")
        elif end == "deleted":
            part.discard()
    thread.join()
    # Who comes only after the end finds an empty part of its own.
    assert found[0] in ({3} if end == "kept" else {None, 0})
