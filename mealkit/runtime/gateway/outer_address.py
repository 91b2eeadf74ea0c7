"""The address by which callers reach the kit, for the examples on its page.

A proxy in front may end TLS and give the kit a prefix, and states both in ``X-Forwarded-*``. Anyone
can send these headers, so they count only if the operator says that a proxy sets them.
"""

import re
from collections.abc import Mapping

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){1,10}")
_DEFAULT = "127.0.0.1:8000"


def outer_address(headers: Mapping[str, str], *, is_behind_proxy: bool) -> str:
    """Return the address without a slash at its end, such as ``https://example.com/kits/chat``."""
    host, scheme, prefix = headers.get("host", ""), "http", ""
    if is_behind_proxy:
        host = _first(headers.get("x-forwarded-host", host))
        if _first(headers.get("x-forwarded-proto", "")).lower() == "https":
            scheme = "https"
        stated = _first(headers.get("x-forwarded-prefix", "")).rstrip("/")
        prefix = stated if _PREFIX.fullmatch(stated) else ""
    return f"{scheme}://{host if _HOST.fullmatch(host) else _DEFAULT}{prefix}"


def _first(value: str) -> str:
    """Return the first of several values: that of the proxy next to the caller."""
    return value.partition(",")[0].strip()
