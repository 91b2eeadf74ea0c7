"""Which packages a record of OSV affects, and how severe it is."""

import json

import pytest

from mealkit.trust.osv import Package, affecting, rating_of, read_records
from mealkit.untrusted import UntrustedError

PYTHON = Package("PyPI", "jinja2", "3.1.3", None, "pkg:pypi/jinja2@3.1.3")
DEBIAN = Package("Debian", "openssl", "3.0.15-1~deb12u1", "12", "pkg:deb/debian/libssl3@3.0.15")
REBUILT = Package("Debian", "zlib", "1:1.2.13.dfsg-1+b1", "12", "pkg:deb/debian/zlib1g@1")
LOCAL = Package("PyPI", "torch", "2.6.0+cpu", None, "pkg:pypi/torch@2.6.0+cpu")
PACKAGES = {(item.ecosystem, item.source): [item] for item in (PYTHON, DEBIAN, REBUILT, LOCAL)}


def affected(package="PyPI jinja2", **fields):
    ecosystem, name = package.split()
    return {"package": {"ecosystem": ecosystem, "name": name}, **fields}


def ranges(*events, kind="ECOSYSTEM"):
    return {"ranges": [{"type": kind, "events": [dict([event]) for event in events]}]}


def found(*parts, **fields):
    return list(affecting({"id": "X-1", "affected": list(parts), **fields}, PACKAGES))


@pytest.mark.parametrize(
    ("part", "is_affected"),
    [
        (affected(**ranges(("introduced", "0"), ("fixed", "3.1.4"))), True),
        (affected(**ranges(("introduced", "0"), ("fixed", "3.1.3"))), False),
        (affected(**ranges(("introduced", "3.1.4"))), False),
        (affected(**ranges(("introduced", "0"), ("last_affected", "3.1.3"))), True),
        (affected(**ranges(("introduced", "0"), ("last_affected", "3.1.2"))), False),
        (
            affected(
                **ranges(
                    ("introduced", "3.1.0"), ("fixed", "3.1.4"), ("introduced", "0"), ("fixed", "2")
                )
            ),
            True,
        ),
        (
            affected(**ranges(("introduced", "0"), ("fixed", "3.1.2"), ("introduced", "3.10"))),
            False,
        ),
        (affected(versions=["3.1.3"]), True),
        (affected(versions=["3.1.3.0"]), True),
        (affected(versions=["3.1.2"]), False),
        (affected(versions=["3.1.2"], **ranges(("introduced", "0"), kind="GIT")), False),
        (affected(), True),
        (affected(**ranges(("introduced", "not a version"))), True),
        (affected(ranges=[{"type": "ECOSYSTEM"}]), True),
        (affected("PyPI Jinja2", versions=["3.1.3"]), True),
        (affected("npm jinja2", versions=["3.1.3"]), False),
        (affected("Debian:12 openssl", **ranges(("introduced", "0"))), True),
        (affected("Debian:13 openssl", **ranges(("introduced", "0"))), False),
        (affected("Debian openssl", **ranges(("introduced", "0"))), True),
        (
            affected(
                "Debian:12 openssl", **ranges(("introduced", "0"), ("fixed", "3.0.15-1~deb12u1"))
            ),
            False,
        ),
        (
            affected("Debian:12 openssl", **ranges(("introduced", "0"), ("fixed", "3.0.15-1"))),
            True,
        ),
        (
            affected("Debian:12 zlib", **ranges(("introduced", "0"), ("fixed", "1:1.2.13.dfsg-1"))),
            False,
        ),
        (
            affected("Debian:12 zlib", **ranges(("introduced", "0"), ("fixed", "1:1.2.13.dfsg-2"))),
            True,
        ),
        (affected("PyPI torch", **ranges(("introduced", "0"), ("last_affected", "2.6.0"))), True),
        (affected("PyPI torch", **ranges(("introduced", "0"), ("fixed", "2.6.0"))), False),
        (affected("PyPI torch", **ranges(("introduced", "2.6.1"))), False),
        (affected("PyPI torch", versions=["2.6.0"]), True),
        (affected("PyPI torch", versions=["2.6.0+cpu"]), True),
        (affected("PyPI torch", versions=["2.6.1"]), False),
        ({"package": []}, False),
        ("text", False),
    ],
)
def test_a_version_is_affected(part, is_affected):
    """Events and lists of versions are compared as PyPI and Debian order versions."""
    assert bool(found(part)) is is_affected


def test_a_withdrawn_record_affects_nothing():
    """A record that was withdrawn does not count."""
    assert not found(affected(), withdrawn="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        (
            {
                "severity": [
                    {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
                ]
            },
            "critical",
        ),
        ({"database_specific": {"severity": "MODERATE"}}, "medium"),
        ({"database_specific": {"severity": "HIGH"}}, "high"),
        ({"severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}]}, None),
        ({"severity": [None], "database_specific": {"severity": ["x"]}}, None),
        ({}, None),
    ],
)
def test_the_severity_is_the_greatest_that_is_stated(fields, severity):
    """A vector or a word states the severity; without them it is unknown."""
    (one,) = found(affected(), **fields)
    assert one.severity == severity


# Ratings of the calculator at first.org.
@pytest.mark.parametrize(
    ("vector", "rating"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "critical"),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "medium"),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", "medium"),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", "low"),
        ("CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", "medium"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "critical"),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", "none"),
        ("CVSS:3.1/AV:N", None),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", "high"),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "critical"),
        ("CVSS:5.0/AV:N/AC:L/Au:N/C:P/I:P/A:P", None),
        ("AV:N", None),
    ],
)
def test_the_rating_of_a_cvss_vector(vector, rating):
    """Vectors of versions 2, 3 and 4 have a rating; others have none."""
    assert rating_of(vector) == rating


@pytest.mark.parametrize(
    "data",
    [b"[]x", b"{}", b'{"id": 1}', b'[{"id": "X", "affected": {}}]', b"[" * 100_000, b'"text"'],
)
def test_what_is_not_a_record_is_refused(data):
    """A file that is not OSV's is an error, not a record without vulnerabilities."""
    with pytest.raises(UntrustedError):
        read_records(data)


def test_lists_of_records_are_read():
    """A file may have one record or a list."""
    assert len(read_records(json.dumps([{"id": "A"}, {"id": "B"}]).encode())) == 2
    assert len(read_records(b'{"id": "A"}')) == 1
