"""Turns: how many, in which order, and what becomes of those who do not wait."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.errors import RequestError
from mealkit.runtime.gateway.limits import FairQueue, HeldBytes


async def forever():
    await asyncio.Event().wait()


def test_round_robin_between_callers():
    """One caller's flood does not keep another waiting: each in turn, each one's first first."""
    served = []

    async def run():
        queue = FairQueue(1, 100, lambda: None)
        assert await queue.take("first", forever)

        async def ask(caller, number):
            assert await queue.take(caller, forever)
            served.append((caller, number))
            await asyncio.sleep(0)
            queue.end(caller)

        tasks = []
        for caller, count in (("many", 4), ("few", 2), ("one", 1)):
            tasks += [asyncio.create_task(ask(caller, number)) for number in range(count)]
        await asyncio.sleep(0)
        assert (queue.running, queue.waiting) == (1, 7)
        queue.end("first")
        await asyncio.gather(*tasks)
        assert (queue.running, queue.waiting) == (0, 0)

    asyncio.run(run())
    assert served == [
        ("many", 0), ("few", 0), ("one", 0), ("many", 1), ("few", 1), ("many", 2), ("many", 3),
    ]  # fmt: skip


def test_too_many():
    """What neither runs nor may wait is refused, with all four numbers."""

    async def run():
        queue = FairQueue(2, 1, lambda: None)
        for _ in range(2):
            assert await queue.take("", forever)
        waits = asyncio.create_task(queue.take("", forever))
        await asyncio.sleep(0)
        with pytest.raises(
            RequestError, match="2 requests are running, the limit is 2, and 1 wait"
        ):
            await queue.take("", forever)
        queue.end("")
        assert await waits

    asyncio.run(run())


def test_a_full_queue_is_shared():
    """A caller with fewer requests takes the place of the newest of the caller with the most."""
    refused, served = [], []

    async def run():
        queue = FairQueue(1, 4, lambda: None)
        assert await queue.take("many", forever)

        async def ask(caller, number):
            try:
                assert await queue.take(caller, forever)
            except RequestError:
                refused.append((caller, number))
                return
            served.append((caller, number))
            queue.end(caller)

        tasks = []
        for caller, count in (("many", 6), ("few", 4), ("one", 1)):
            for number in range(count):
                tasks.append(asyncio.create_task(ask(caller, number)))
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (queue.running, queue.waiting) == (1, 4)
        queue.end("many")
        await asyncio.gather(*tasks)
        assert (queue.running, queue.waiting) == (0, 0)
        assert await queue.take("many", forever)
        queue.end("many")

    asyncio.run(run())
    # With the running one, "many" has kept as many places as "few", or one more.
    assert served == [("many", 0), ("few", 0), ("one", 0), ("few", 1)]
    assert len(refused) == 7


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["stay", "gone", "cancel"])), max_size=20
    )
)
def test_no_turn_is_lost(callers):
    """However callers leave, every turn comes back, and all who stay are served."""

    async def run():
        queue = FairQueue(2, 100, lambda: None)
        leave = asyncio.Event()
        served = 0

        async def ask(caller, how):
            nonlocal served
            if await queue.take(caller, leave.wait if how == "gone" else forever):
                try:
                    served += 1
                    await asyncio.sleep(0)
                finally:
                    queue.end(caller)

        for _ in range(2):
            assert await queue.take("", forever)
        tasks = [(asyncio.create_task(ask(caller, how)), how) for caller, how in callers]
        await asyncio.sleep(0)
        queue.end("")
        for task, how in tasks:
            if how == "cancel":
                task.cancel()
        leave.set()
        queue.end("")
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        assert (queue.running, queue.waiting) == (0, 0)
        assert served >= sum(how == "stay" for _, how in callers)

    asyncio.run(run())


def test_bytes_of_bodies():
    """Bytes are held until a request ends, and more than the limit is refused."""

    async def run():
        bodies = HeldBytes(10)
        with bodies.held() as first:
            first.add(80)
            refused = pytest.raises(RequestError, match="bodies of 80 bytes")
            with refused, bodies.held() as other:
                other.add(1)
            first.keep(30)
            with bodies.held() as other:
                other.add(50)
                assert bodies.held_bytes == 80
        assert bodies.held_bytes == 0

    asyncio.run(run())


def test_memory_is_shared():
    """A caller with fewer bytes takes the memory of the newest waiting body of the largest one."""

    async def run():
        bodies, never, dropped = HeldBytes(10), asyncio.Event(), []

        async def wait(number):
            with bodies.held("large") as held:
                held.add(20)
                try:
                    await held.unless_needed(never.wait())
                except RequestError:
                    dropped.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(4)]
        await asyncio.sleep(0)
        with bodies.held("small") as own, bodies.held("large") as more:
            own.add(10)
            assert bodies.held_bytes == 70
            own.add(10)
            own.add(20)
            await asyncio.sleep(0)
            assert (dropped, bodies.held_bytes) == ([3, 2], 80)
            for held in (own, more):
                with pytest.raises(RequestError, match="bodies of 80 bytes"):
                    held.add(10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert bodies.held_bytes == 0

    asyncio.run(run())


def test_a_slow_body_makes_room():
    """The body that has been arriving longest is dropped if another one needs its memory."""

    async def run():
        bodies, never = HeldBytes(10), asyncio.Event()
        loop = asyncio.get_running_loop()
        later = [0.0]

        async def slow(size_bytes):
            with bodies.held() as held:

                async def reading():
                    held.add(size_bytes)
                    await never.wait()
                    return b""

                await held.unless_needed(reading())

        first, second = (asyncio.create_task(slow(size)) for size in (50, 30))
        await asyncio.sleep(0)
        assert bodies.held_bytes == 80
        with bodies.held() as own:
            with pytest.raises(RequestError, match="bodies of 80 bytes"):
                own.add(40)
            clock, loop.time = loop.time, lambda: clock() + later[0]
            later[0] = 3.0
            own.add(40)
            assert bodies.held_bytes == 70
            with pytest.raises(RequestError, match="other requests needed its memory"):
                await first
            own.add(0)
            assert not second.done()
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert bodies.held_bytes == 0

    asyncio.run(run())
