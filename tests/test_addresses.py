"""Addresses: which are this machine, for trusting it and for keeping others away from it."""

import pytest

from mealkit.addresses import AddressScope, host_of, is_address, is_loopback, scopes_of


@pytest.mark.parametrize(
    "authority",
    ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "127.9.8.7", "[::1]:5000", "::1",
     "[::ffff:127.0.0.1]:5000"],
)  # fmt: skip
def test_this_machine_is_loopback(authority):
    """Loopback hosts are told with and without a port."""
    assert is_loopback(host_of(authority))


@pytest.mark.parametrize(
    "authority",
    ["registry.example", "localhost.example:5000", "a.localhost", "localhost.", "10.0.0.1",
     "127.0.0.1.example", "[::2]:5000", "0.0.0.0", "[2002:7f00:1::]", "[::ffff:10.0.0.1]", ""],
)  # fmt: skip
def test_other_machines_are_not_loopback(authority):
    """A name or an address that only looks like this machine is another one."""
    assert not is_loopback(host_of(authority))


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("a.localhost", AddressScope.MACHINE),
        ("0.0.0.0", AddressScope.MACHINE),
        ("::ffff:127.0.0.1", AddressScope.MACHINE),
        ("2002:7f00:1::", AddressScope.MACHINE),
        ("64:ff9b::a9fe:a9fe", AddressScope.LINK),
        ("fe80::1%1", AddressScope.LINK),
        ("100.64.0.1", AddressScope.NETWORK),
        ("192.0.43.7", AddressScope.INTERNET),
        ("no.such.name.invalid", AddressScope.INTERNET),
        ("a" * 300, AddressScope.INTERNET),
    ],
)
def test_how_near_a_host_is(host, reach):
    """Embedded addresses count as those that they embed; what is unknown is on the internet."""
    assert set(scopes_of(host)) == {reach}


def test_names_are_told_from_addresses():
    """A name of digits and dots is not an address yet."""
    assert is_address("127.0.0.1")
    assert is_address("::1")
    assert not is_address("127.0.0")
    assert not is_address("localhost")
