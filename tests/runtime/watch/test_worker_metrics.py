"""An engine's metrics from a real socket: only its own names, and never a scrape that hangs."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mealkit.runtime.engine_traits import traits_of
from mealkit.runtime.watch.metrics import Metrics
from mealkit.runtime.watch.worker_metrics import MAX_BYTES, worker_metrics
from mealkit.runtime.worker_client.pool import Upstream


def vllm_text():
    """What a server writes: the engine's families, and its own process' beside them."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Gauge("vllm:num_requests_running", "Running", ["model_name"], registry=registry).labels("m")
    Counter("vllm:prompt_tokens", "Tokens", ["model_name"], registry=registry).labels("m").inc(7)
    Histogram("vllm:time_to_first_token_seconds", "TTFT", registry=registry).observe(0.1)
    Counter("http_requests", "Of the server", registry=registry).inc()
    return generate_latest(registry)


async def scrape(answer, engine="vllm"):
    """Ask over a Unix socket that answers so; None: it never answers."""
    # Not tmp_path: a Unix socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="mk") as folder:
        path = Path(folder) / "worker.sock"

        ended = asyncio.Event()

        async def serve(reader, writer):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                if answer is None:
                    await reader.read()
                elif answer:
                    writer.write(answer)
                    await writer.drain()
                    await reader.read()
            writer.close()
            ended.set()

        server = await asyncio.start_unix_server(serve, path)
        async with server:
            upstream = Upstream(path)
            found = await worker_metrics(traits_of(engine).metrics_prefix, upstream)
            upstream.close()
            if engine == "vllm":
                await ended.wait()
            return found


def http(body, status=200):
    return f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def test_the_engines_own_families_pass():
    """What passes is the engine's, whole, and stands beside the gateway's own without a clash."""
    passed = asyncio.run(scrape(http(vllm_text())))
    found = families(passed)
    assert {name for name in found if not name.endswith("_created")} == {
        "vllm:num_requests_running",
        "vllm:prompt_tokens",
        "vllm:time_to_first_token_seconds",
        "mealkit_worker_metrics_available",
    }
    assert found["vllm:prompt_tokens"].samples[0].value == 7
    assert found["mealkit_worker_metrics_available"].samples[0].value == 1
    own = Metrics("m").text()
    names = [family.name for family in text_string_to_metric_families((own + passed).decode())]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"not http at all\r\n\r\n",
        http(b"{}", 500),
        http(b"vllm:x \xff\n"),
        http(b"x" * (MAX_BYTES + 1)),
    ],
    ids=["hangs", "ends", "no http", "error", "no text", "too large"],
)
def test_what_cannot_be_read(answer):
    """Whatever the worker does, the scrape ends, and says that something is missing."""
    found = families(asyncio.run(scrape(answer)))
    assert [family.samples[0].value for family in found.values()] == [0]


def test_engines_without_metrics_are_not_asked():
    """mealkit's own workers have none: their socket is left alone."""
    assert asyncio.run(scrape(None, "onnx")) == b""
