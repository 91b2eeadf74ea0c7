"""Prices are whole numbers, and shares of an hour add up to at most the hour."""

import random

import pytest

from mealkit.ledger.prices import NANO, SharedTime, Tariff, nano_of, shown_money
from mealkit.recipe.operations import Cost, TokenPrices

HOUR = 3600 * NANO


@pytest.mark.parametrize(
    ("cost", "used", "nano"),
    [
        (Cost(gpu_hour="2.50"), (10, 10, HOUR), 2_500_000_000),
        (Cost(cpu_hour="0.40"), (0, 0, NANO), 111_111),
        (Cost(gpu_hour="0.000000001"), (0, 0, HOUR - 1), 0),
        (Cost(per_million_tokens=TokenPrices(input="0.15", output="0.60")), (1, 1, HOUR), 750),
        (Cost(per_million_tokens=TokenPrices(input="1", output="2")), (10**9, 0, 0), 1000 * NANO),
        (Cost(gpu_hour="999999999.999999999"), (0, 0, HOUR), 999_999_999_999_999_999),
        (Cost(gpu_hour="999999999"), (0, 0, 1000 * HOUR), 10**18),
        (Cost(), (10**9, 10**9, HOUR), 0),
    ],
    ids=range(8),
)
def test_the_price_of_a_request(cost, used, nano):
    """A price is rounded down to billionths of the currency."""
    assert Tariff.of(cost).price(*used) == nano


@pytest.mark.parametrize(
    ("text", "shown"),
    [("12.5", "12.50"), ("0.000000001", "0.000000001"), ("7", "7.00"), ("0.120", "0.12")],
)
def test_money_keeps_its_digits(text, shown):
    """What is shown is what was stated."""
    assert shown_money(nano_of(text)) == shown


def test_requests_at_once_share_the_time():
    """Two requests that overlap for a second pay half of it each; alone, a request pays all."""
    time = SharedTime()
    first = time.begin(0)
    second = time.begin(2 * NANO)
    assert time.end(first, 3 * NANO) == 2.5 * NANO
    assert time.end(second, 7 * NANO) == 4.5 * NANO
    again = time.begin(100 * NANO)
    assert time.end(again, 101 * NANO) == NANO


def test_all_shares_together_are_at_most_the_time_that_passed():
    """However requests begin and end, their shares add up to the busy time, but for rounding."""
    draw, time, now, busy = random.Random(7), SharedTime(), 0, 0
    running, shares = [], []
    for _ in range(5000):
        step = draw.randrange(10**7)
        busy += step if running else 0
        now += step
        if running and draw.random() < 0.5:
            shares.append(time.end(running.pop(draw.randrange(len(running))), now))
        else:
            running.append(time.begin(now))
    shares += [time.end(item, now) for item in running]
    assert busy - len(shares) * 20 <= sum(shares) <= busy
