"""Pieces of files: what is read costs what it says, whatever the server does."""

from pathlib import Path
from typing import Any

import pytest
from fakes.odd_server import odd_server

from mealkit.errors import SourceError
from mealkit.sources.download import Downloader
from mealkit.sources.ranges import HEAD_BYTES, FileRanges, HttpRanges
from mealkit.web.http_client import Pace

DATA = bytes(index % 253 for index in range(400_000))


def ranges_of(downloader: Downloader, hub: Any, name: str = "weights") -> HttpRanges:
    return HttpRanges(downloader.client, f"{hub.url}/plain/{name}", {})


def test_pieces_are_those_of_the_file(downloader: Downloader, hub: Any, tmp_path: Path) -> None:
    """Disk and HTTP give the same pieces, also at and beyond the end."""
    hub.add("weights", DATA)
    (tmp_path / "weights").write_bytes(DATA)
    for ranges in (FileRanges(tmp_path / "weights"), ranges_of(downloader, hub)):
        assert ranges.size_bytes == len(DATA)
        for offset, length in ((0, 8), (8, 70_000), (300_000, 10), (399_999, 10), (500_000, 5)):
            assert ranges.read(offset, length) == DATA[offset : offset + length]


def test_the_head_is_asked_for_once(downloader: Downloader, hub: Any) -> None:
    """Size and first pieces come from one small request."""
    hub.add("weights", DATA)
    ranges = ranges_of(downloader, hub)
    ranges.read(0, 8)
    ranges.read(8, 1000)
    assert ranges.size_bytes == len(DATA)
    assert [seen.sent_bytes for seen in hub.seen] == [HEAD_BYTES]


def test_a_server_without_ranges_is_cut_off(downloader: Downloader, hub: Any) -> None:
    """A whole answer is not read to its end."""
    hub.claim("weights", DATA, 50_000_000_000)
    hub.fault("weights", ignores_range=True)
    ranges = ranges_of(downloader, hub)
    assert ranges.size_bytes == 50_000_000_000
    assert ranges.read(100_000, 10) == DATA[100_000:100_010]
    with pytest.raises(SourceError) as error:
        ranges.read(40_000_000_000, 10)
    assert error.value.problems[0].code == "SOURCE_ANSWER"
    assert hub.sent_bytes < 50_000_000


def test_an_empty_file_has_no_pieces(downloader: Downloader, hub: Any) -> None:
    """An empty file is empty, not an error."""
    hub.add("weights", b"")
    assert ranges_of(downloader, hub).read(0, 10) == b""


def test_refusals_have_their_codes(downloader: Downloader, hub: Any) -> None:
    """Missing, refused and dead are told apart, as for downloads."""
    with pytest.raises(SourceError) as error:
        ranges_of(downloader, hub, "none").read(0, 1)
    assert error.value.problems[0].code == "SOURCE_NOT_FOUND"
    hub.add("weights", DATA)
    hub.fault("weights", location="/plain/weights")
    with pytest.raises(SourceError) as error:
        ranges_of(downloader, hub).read(0, 1)
    assert error.value.problems[0].code == "SOURCE_REDIRECTS"
    hub.stop()
    with pytest.raises(SourceError) as error:
        ranges_of(downloader, hub).read(0, 1)
    assert error.value.problems[0].code == "SOURCE_UNREACHABLE"
    with pytest.raises(SourceError) as error:
        HttpRanges(downloader.client, "http://files.example.invalid/weights", {})
    assert error.value.problems[0].code == "SOURCE_INSECURE"


WRONG = {
    "another place": (206, {"Content-Range": "bytes 5-15/100"}, bytes(10)),
    "no place": (206, {}, bytes(10)),
    "a size that is none": (206, {"Content-Range": "bytes 0-9/²"}, bytes(10)),
    "an endless size": (206, {"Content-Range": f"bytes 0-9/{'9' * 5000}"}, bytes(10)),
    "a negative size": (206, {"Content-Range": "bytes 0-9/-1"}, bytes(10)),
    "a whole of no size": (200, {"Content-Length": "²"}, bytes(10)),
    "less than was asked": (206, {"Content-Range": "bytes 0-99/100"}, bytes(10)),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_server_that_answers_ranges_wrongly_is_refused(downloader: Downloader, kind: str) -> None:
    """Another piece than was asked for, less of it, and sizes that are none are one problem."""
    status, headers, body = WRONG[kind]
    with odd_server(status, headers, body) as url, pytest.raises(SourceError) as error:
        HttpRanges(downloader.client, url, {}).read(0, 10)
    assert error.value.problems[0].code in ("SOURCE_ANSWER", "SOURCE_UNREACHABLE")


def test_no_more_is_taken_than_was_asked(downloader: Downloader) -> None:
    """A server that sends on behind the piece is left there."""
    with odd_server(206, {"Content-Range": "bytes 0-9/10"}, bytes(20_000_000)) as url:
        assert HttpRanges(downloader.client, url, {}).read(0, 100) == bytes(10)


def test_a_header_in_endless_pieces_is_left(downloader: Downloader, hub: Any) -> None:
    """A file that makes its reader ask again and again is not asked without end."""
    hub.claim("weights", DATA, 10**9)
    ranges = ranges_of(downloader, hub)
    offsets = range(20_000, 10**9, 500_000)
    with pytest.raises(SourceError, match="more than 1000 pieces"):
        b"".join(ranges.read(offset, 1) for offset in offsets)
    assert len(hub.seen) == 1000


def test_a_server_that_sends_too_slowly_is_left() -> None:
    """What comes must come at a pace at which it will have come some day."""
    pace = Pace("https://example.invalid/x?token=1", seconds=0.0)
    with pytest.raises(SourceError) as error:
        pace.count(0)
    assert error.value.problems[0].code == "SOURCE_UNREACHABLE"
    assert error.value.problems[0].where == "https://example.invalid/x"
    pace = Pace("https://example.invalid/x", seconds=0.0)
    for _ in range(3):
        pace.count(10**9)
