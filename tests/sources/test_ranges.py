"""Pieces of files: what is read costs what it says, whatever the server does."""

from pathlib import Path
from typing import Any

import pytest

from mealkit.errors import SourceError
from mealkit.sources.download import Downloader
from mealkit.sources.ranges import HEAD_BYTES, FileRanges, HttpRanges

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
