"""Passes an engine's own metrics on, beside the gateway's: those of a server that has any.

Refuses everything but the engine's own names, which no other family can have, and waits for a
worker that hangs no longer than a scrape may take.
"""

import asyncio
from collections.abc import Iterator

from mealkit.runtime.worker_client.pool import Upstream, WorkerLostError

WAIT_SECONDS = 0.5
MAX_BYTES = 8 * 1024 * 1024

_AVAILABLE = (
    "# HELP mealkit_worker_metrics_available Whether the engine's own metrics could be read\n"
    "# TYPE mealkit_worker_metrics_available gauge\n"
    "mealkit_worker_metrics_available {}\n"
)


async def worker_metrics(prefix: str | None, upstream: Upstream) -> bytes:
    """Return an engine's metrics in Prometheus' text format; nothing, if it has none of its own.

    Its own begin with ``prefix``. Those of its server (process_..., python_..., http_...) are left
    out: the gateway has some of the same names. A worker that does not answer in time, or with
    something else, has a gauge that says so.
    """
    if prefix is None:
        return b""
    text = await _read(upstream)
    lines = "".join(_lines(text, prefix)) if text is not None else ""
    return (lines + _AVAILABLE.format(int(text is not None))).encode()


async def _read(upstream: Upstream) -> str | None:
    # A server may tell metrics while its engine hangs: they are no sign of life.
    apart = upstream.apart()
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            answer = await apart.request("GET", "/metrics")
    except (TimeoutError, WorkerLostError):
        return None
    finally:
        apart.close()
    if answer.status != 200 or len(answer.body) > MAX_BYTES:
        return None
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        return None


def _lines(text: str, prefix: str) -> Iterator[str]:
    wanted = (prefix, f"# HELP {prefix}", f"# TYPE {prefix}")
    for line in text.split("\n"):
        if line.startswith(wanted):
            yield f"{line}\n"
