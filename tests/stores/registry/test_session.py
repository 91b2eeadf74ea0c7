"""An upload session is read as registries tell it, with all the ways in which they do."""

import httpx2
import pytest

from mealkit.digest import Digest
from mealkit.stores.registry.exchange import RegistryAnswer
from mealkit.stores.registry.session import (
    PIECE_BYTES,
    Upload,
    closing,
    held_bytes,
    says_digest,
    within_limits,
)

DIGEST = Digest.of(b"blob")


def answer(status=202, body=b"", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return RegistryAnswer(status, httpx2.Headers(named), body, httpx2.URL("http://r.example/v2/"))


@pytest.mark.parametrize(
    ("location", "sign"), [("/v2/a/uploads/1", "?"), ("https://r.invalid/u?_state=a%2Fb", "&")]
)
def test_the_digest_is_added_to_an_address_that_stays_as_it_is(location, sign):
    """Its own query is the registry's state."""
    assert closing(location, DIGEST) == f"{location}{sign}digest={DIGEST}"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("0-0", 0),
        ("0-9", 10),
        ("bytes=0-9", 10),
        ("", 7),
        ("1-9", 7),
        ("0-", 7),
        ("0", 7),
        ("0-x", 7),
        ("0--1", 7),
    ],
)
def test_what_a_registry_holds_is_read_from_its_range(stated, expected):
    """Where it says nothing of use, what was sent is taken to be there."""
    assert held_bytes(answer(range=stated), 7) == expected


@pytest.mark.parametrize(
    ("stated", "least", "piece"),
    [
        ("", 256 * 1024, PIECE_BYTES),
        ("none", 256 * 1024, PIECE_BYTES),
        ("0", 1, PIECE_BYTES),
        ("1000", 1000, PIECE_BYTES),
        (str(PIECE_BYTES * 2), PIECE_BYTES * 2, PIECE_BYTES * 2),
    ],
)
def test_the_least_piece_is_heeded(stated, least, piece):
    """Pieces grow to it, and never below one byte."""
    found = within_limits(Upload("/u"), answer(oci_chunk_min_length=stated))
    assert (found.least_bytes, found.piece_bytes) == (least, piece)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"errors": [{"code": "DIGEST_INVALID"}]}', True),
        (400, b"digest: DIGEST_INVALID", True),
        (400, b'{"errors": [{"code": "SIZE_INVALID"}]}', False),
        (404, b'{"errors": [{"code": "DIGEST_INVALID"}]}', False),
    ],
)
def test_a_refusal_of_the_bytes_is_told_from_others(status, body, expected):
    """Only then is it worth looking at who changed them."""
    assert says_digest(answer(status, body)) is expected
