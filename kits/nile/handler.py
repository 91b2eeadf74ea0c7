"""The local level model of the Nile's flow, by the Kalman filter (Durbin and Koopman, 2012).

What is observed is a level plus noise, and the level is a random walk. Both variances are estimated
by maximum likelihood, so that nothing but the measurements is put in (sections 2.2 to 2.10).
"""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

_FIRST_YEAR = 1871
_PRECISION = 1e-9


@dataclass(frozen=True)
class Model:
    """What was estimated: the variances of noise and level, and the diffuse log-likelihood."""

    observation_variance: float
    level_variance: float
    log_likelihood: float


@dataclass(frozen=True)
class Forecast:
    """What the years before a year say of it, in 10^8 cubic metres.

    Nothing comes before the first year, so it has no forecast. ``level`` is the filtered level: it
    also counts the year itself, and is missing where nothing was measured.
    """

    year: int
    forecast: float | None
    standard_error: float | None
    level: float | None
    model: Model


@dataclass(frozen=True)
class _State:
    """The level before a measurement: its mean, and its variance over the noise's."""

    mean: float
    variance: float

    def after(self, measured: float) -> "_State":
        """Return the level with one more measurement, before it moves on."""
        gain = self.variance / (self.variance + 1)
        return _State(self.mean + gain * (measured - self.mean), gain)


class Nile:
    """The model of one series."""

    def load(self, models: Path) -> None:
        """Read the measurements and estimate the variances."""
        with (models / "nile.csv").open(encoding="utf-8") as file:
            rows = [(int(row["year"]), float(row["volume"])) for row in csv.DictReader(file)]
        self.volumes = dict(rows)
        series = [volume for _, volume in rows]
        self.ratio = math.exp(_maximum(lambda log: likelihood(series, math.exp(log))[0]))
        found, noise = likelihood(series, self.ratio)
        self.model = Model(noise, noise * self.ratio, found)
        years = range(_FIRST_YEAR, _FIRST_YEAR + len(series) + 1)
        self.states = dict(zip(years, states(series, self.ratio), strict=True))

    def predict(
        self,
        year: Annotated[
            int,
            Field(
                ge=_FIRST_YEAR,
                le=2100,
                strict=False,  # a number as a text is one, too: CSV knows nothing else
                description="The year to forecast, from the years before it.",
                examples=[1971],
            ),
        ],
    ) -> Forecast:
        """Return the forecast of a year's flow."""
        if year == _FIRST_YEAR:
            return Forecast(year, None, None, self.volumes[year], self.model)
        last = max(self.states)
        state = self.states[min(year, last)]
        # The level moves on each year, and nothing is known of where.
        variance = state.variance + self.ratio * max(0, year - last)
        error = math.sqrt((variance + 1) * self.model.observation_variance)
        measured = self.volumes.get(year)
        level = None if measured is None else state.after(measured).mean
        return Forecast(year, state.mean, error, level, self.model)


def states(series: list[float], ratio: float) -> list[_State]:
    """Return the level before each measurement and after the last one.

    The first measurement is all that is known of the level at first (diffuse initialisation), so
    the first entry is only a place for it.
    """
    found = [_State(series[0], math.inf), _State(series[0], 1 + ratio)]
    for measured in series[1:]:
        after = found[-1].after(measured)
        found.append(_State(after.mean, after.variance + ratio))
    return found


def likelihood(series: list[float], ratio: float) -> tuple[float, float]:
    """Return the concentrated diffuse log-likelihood of a ratio of variances, and the noise's."""
    before = states(series, ratio)[1:-1]
    errors = [measured - state.mean for measured, state in zip(series[1:], before, strict=True)]
    scales = [state.variance + 1 for state in before]
    count = len(errors)
    noise = sum(error**2 / scale for error, scale in zip(errors, scales, strict=True)) / count
    logs = sum(map(math.log, scales))
    return -0.5 * (count * (math.log(2 * math.pi * noise) + 1) + logs), noise


def _maximum(function: Callable[[float], float]) -> float:
    """Return where a function with one maximum has it, by golden-section search."""
    low, high = -10.0, 5.0
    section = (math.sqrt(5) - 1) / 2
    while high - low > _PRECISION:
        left, right = high - section * (high - low), low + section * (high - low)
        if function(left) > function(right):
            high = right
        else:
            low = left
    return (low + high) / 2
