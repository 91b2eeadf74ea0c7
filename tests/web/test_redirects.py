"""Servers send their callers on to the internet, not into the callers' own networks."""

import pytest

from mealkit.web.redirects import DowngradeError, HopError, StrangeError, check_hop

PUBLIC = "https://192.0.43.7/a"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "localhost.",
     "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
     "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fd00:ec2::254]",
     "169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"],
)  # fmt: skip
def test_nothing_on_the_internet_leads_into_the_local_network(host):
    """However the address is spelled."""
    with pytest.raises(HopError):
        check_hop(PUBLIC, f"https://{host}/b")
    with pytest.raises(HopError):
        check_hop(PUBLIC, f"https://user@{host}:8443/b")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (PUBLIC, "https://192.0.43.8/b"),
        (PUBLIC, "https://192.0.43.7:8443/b"),
        (PUBLIC, "https://files.example.invalid/b"),
        ("http://127.0.0.1:1/a", "http://127.0.0.1:2/b"),
        ("http://127.0.0.1/a", "http://localhost/b"),
        ("http://localhost/a", "https://192.0.43.7/b"),
        ("http://127.0.0.1/a", "http://10.0.0.1/b"),
        ("https://10.0.0.1/a", "https://192.168.1.1/b"),
        ("http://192.0.43.7/a", "http://192.0.43.8/b"),
        ("http://169.254.169.254/a", "http://169.254.169.253/b"),
    ],
)
def test_the_same_or_farther_is_followed(source, target):
    """What the user named himself may lead to its equals, and to the internet."""
    check_hop(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("https://10.0.0.1/a", "https://127.0.0.1/b"),
        ("https://10.0.0.1/a", "https://169.254.169.254/b"),
        ("http://127.0.0.1/a", "http://169.254.169.254/b"),
        ("http://169.254.169.254/a", "http://127.0.0.1/b"),
    ],
)
def test_nearer_is_refused(source, target):
    """Clouds keep credentials at link-local addresses: nothing else leads there."""
    with pytest.raises(HopError):
        check_hop(source, target)


def test_tls_is_not_left():
    """Not even for this machine, or the same host."""
    for target in ("http://127.0.0.1/b", "http://192.0.43.7/a", "http://192.0.43.8/"):
        with pytest.raises(DowngradeError):
            check_hop(PUBLIC, target)
    with pytest.raises(DowngradeError):
        check_hop("https://127.0.0.1/a", "http://127.0.0.1/a")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://192.0.43.7/", "http://[bad/", ""])
def test_only_http_is_led_to(target):
    """Other schemes, and addresses that cannot be read."""
    with pytest.raises(StrangeError):
        check_hop(PUBLIC, target)
