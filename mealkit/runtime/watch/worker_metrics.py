"""Adds the metrics of an engine that is a server, such as vLLM, to the gateway's.

Drops all metrics except those with the engine's own prefix. Stops waiting for a worker that hangs
before a scrape times out.
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
    """Return an engine's metrics in Prometheus' text format; empty if ``prefix`` is None.

    The engine's metrics begin with ``prefix``. Those of its server (process_..., python_...,
    http_...) are dropped, because the gateway has some of the same names. If the worker does not
    answer in time, or not with metrics, the gauge mealkit_worker_metrics_available is 0.
    """
    if prefix is None:
        return b""
    text = await _read(upstream)
    lines = "".join(_lines(text, prefix)) if text is not None else ""
    return (lines + _AVAILABLE.format(int(text is not None))).encode()


async def _read(upstream: Upstream) -> str | None:
    # Metrics do not show that the engine works: a server may return them while its engine hangs.
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
