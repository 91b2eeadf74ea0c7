"""The address on the page: what the caller asked for, or what a trusted proxy states."""

import pytest

from mealkit.runtime.gateway.outer_address import outer_address

PROXIED = {
    "host": "10.0.0.7:8000",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "example.com",
    "x-forwarded-prefix": "/kits/chat/",
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "https://example.com/kits/chat"),
        ({"x-forwarded-proto": "https, http"}, "https://example.com/kits/chat"),
        ({"x-forwarded-proto": "javascript"}, "http://example.com/kits/chat"),
        ({"x-forwarded-host": "[::1]:8443, inner"}, "https://[::1]:8443/kits/chat"),
        ({"x-forwarded-host": 'a"><script>'}, "https://127.0.0.1:8000/kits/chat"),
        ({"x-forwarded-prefix": "//elsewhere.example"}, "https://example.com"),
        ({"x-forwarded-prefix": "/a b"}, "https://example.com"),
        ({"x-forwarded-prefix": ""}, "https://example.com"),
    ],
)
def test_what_a_proxy_states(changed, expected):
    """It counts only if the operator says that there is a proxy, and only if it is valid."""
    headers = PROXIED | changed
    assert outer_address(headers, is_behind_proxy=True) == expected
    assert outer_address(headers, is_behind_proxy=False) == "http://10.0.0.7:8000"


@pytest.mark.parametrize("host", ["", "<img src=x>", "a b", "user@example.com"])
def test_a_host_that_is_none(host):
    """The usual address stands for it."""
    assert outer_address({"host": host}, is_behind_proxy=False) == "http://127.0.0.1:8000"


def test_through_the_gateway(start):
    """The page and its description work below a prefix; the setting decides about the examples."""
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/kits/chat"}
    for setting, expected in (
        ("on", "https://localhost/kits/chat/v1"),
        ("off", "http://localhost/v1"),
    ):
        kit = start(environment={"MEALKIT_FORWARDED": setting}).wait_ready()
        page = kit.client.get("/docs", headers=told | {"Host": "localhost"}).text
        assert f"curl {expected}/embeddings" in page
        assert kit.client.get("/openapi.json", headers=told).json()["servers"] == [{"url": "."}]
