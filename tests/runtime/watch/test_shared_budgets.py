"""Replicas of a kit share a budget in PostgreSQL: exact to the request, also when one is killed.

``MEALKIT_TESTS_COMPLETE=1``: eight replicas at 500 requests a second, for a quarter of a minute.
"""

import asyncio
import json
import os
import time
from collections import Counter
from contextlib import closing, suppress
from itertools import cycle

import pytest
from fakes.postgresql import served

from mealkit.ledger.usage_book import UsageBook
from mealkit.ledger.usage_postgresql import PostgresqlUsage

pytestmark = pytest.mark.xdist_group("postgresql")

IS_COMPLETE = bool(os.environ.get("MEALKIT_TESTS_COMPLETE"))
REPLICAS, REQUESTS, RATE = (8, 7_500, 500) if IS_COMPLETE else (2, 160, 400)
LIMIT = 5_000 if IS_COMPLETE else 300
BODY = json.dumps({"model": "stand-in", "input": "hello"}).encode()
HEAD = (
    f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode()


class Caller:
    """Connections to the replicas; a replica that was killed is left out."""

    def __init__(self, ports):
        self.ports = ports
        self.idle = {port: [] for port in ports}
        self.statuses = Counter()
        self.seconds = []

    async def ask(self, port):
        began = time.perf_counter()
        writer = None
        try:
            reader, writer = (
                self.idle[port].pop()
                if self.idle[port]
                else await asyncio.open_connection("127.0.0.1", port)
            )
            writer.write(HEAD + BODY)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            if writer:
                writer.close()
            self.statuses["lost"] += 1
            return 0
        self.idle[port].append((reader, writer))
        status = int(head.split()[1])
        self.statuses[status] += 1
        self.seconds.append(time.perf_counter() - began)
        return status

    async def close(self):
        for _, writer in [item for found in self.idle.values() for item in found]:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def load(caller, kill):
    """Send requests when they are due, to the replicas in turn; kill one in the middle."""
    loop, tasks, turns = asyncio.get_running_loop(), set(), cycle(caller.ports)
    began = loop.time()
    for number in range(REQUESTS):
        if (wait := began + number / RATE - loop.time()) > 0:
            await asyncio.sleep(wait)
        if number == REQUESTS // 2:
            await asyncio.to_thread(kill)
        tasks.add(loop.create_task(caller.ask(next(turns))))
    await asyncio.gather(*tasks)
    await caller.close()
    return REQUESTS / (loop.time() - began)


def test_replicas_admit_exactly_what_fits(start, make_lock):
    """All admissions and bookings of all replicas are those of one that does them in turn."""
    with served() as server:
        budgets = [{"name": "monthly", "tokens": LIMIT}]
        environment = {
            "MEALKIT_OPS": json.dumps({"cost": {"shared": True, "budgets": budgets}}),
            "MEALKIT_USAGE_DATABASE": server.address,
        }
        lock = make_lock(serving={"max_queue": 1000})
        kits = [start(lock, environment=environment) for _ in range(REPLICAS)]
        for kit in kits:
            kit.wait_ready()
        caller = Caller([kit.client.base_url.port for kit in kits])
        rate = asyncio.run(load(caller, kits[0].process.kill))
        check(server, kits, caller, rate)


def check(server, kits, caller, rate):
    with closing(PostgresqlUsage(server.address)) as database:

        def only(statement):
            ((value,),) = database.rows(f"SELECT {statement}")
            return int(value)

        # The killed replica is dead, by the database's clock.
        kits[1].wait_for(lambda: only("COUNT(*) FROM mealkit_reservation") <= 32)
        book = UsageBook(database, "kit", "EUR")
        with database.transaction():
            ids = {row[0] for row in database.rows("SELECT id FROM mealkit_process")}
        left = [row[0] for row in database.rows("SELECT DISTINCT process FROM mealkit_reservation")]
        assert set(left) <= ids
        for process in left:
            with database.transaction():
                late = "UPDATE mealkit_process SET beat = beat - 60 WHERE id = ?"
                database.rows(late, (process,))
        settled = book.settle_dead()
        assert only("COUNT(*) FROM mealkit_reservation") == 0
        assert only("SUM(reserved_tokens) FROM mealkit_balance") == 0
        spent = only("SUM(tokens) FROM mealkit_balance")
        booked = only("SUM(requests) FROM mealkit_usage")
        assert spent == only("SUM(input_tokens) FROM mealkit_usage")
        # What was booked, and was not answered, was in flight at the kill.
        assert 0 <= booked - caller.statuses[200] <= caller.statuses["lost"]
        assert set(caller.statuses) <= {200, 429, "lost"}
        # The next requests are admitted until one does not fit, and not one more.
        answers = []
        while not answers or answers[-1].status_code == 200:
            answers.append(kits[1].embed("hello"))
        kits[1].wait_for(lambda: only("COUNT(*) FROM mealkit_reservation") == 0)
        now, more = only("SUM(tokens) FROM mealkit_balance"), len(answers) - 1
        assert answers[-1].status_code == 429
        words = answers[-1].json()["error"]["message"].split()
        estimate = int(words[words.index("need") + 1])
        assert only("SUM(requests) FROM mealkit_usage") == booked + more
        assert now <= LIMIT < now + estimate
        each = now - spent
        assert more == 0 or each % more == 0
    quick = sorted(caller.seconds)
    print(
        f"{REPLICAS} replicas, {rate:.0f} requests/s: {dict(caller.statuses)}, {settled} settled,"
        f" {more} more; p50 {quick[len(quick) // 2] * 1000:.1f} ms,"
        f" p99 {quick[len(quick) * 99 // 100] * 1000:.1f} ms; spent {now} of {LIMIT}"
    )
