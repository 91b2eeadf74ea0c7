"""Drift: how far data is from the profile of the data that a kit was made for.

The population stability index (PSI) compares the shares of groups: below 0.1 nothing has changed
much, above 0.25 much has (Siddiqi, Credit Risk Scorecards, 2006). The Kolmogorov-Smirnov statistic
is the largest difference between two distribution functions. Both come from histograms with the
standard library; the tests compare them with scipy on the values.
"""

import math
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from pydantic import JsonValue

from mealkit.contract.field_values import value_at
from mealkit.contract.observation import InputObserver, Observed, tells_languages
from mealkit.contract.text_language import Identify
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.data_profile import DataProfile, FieldProfile, Histogram

SOME_DRIFT, MUCH_DRIFT = 0.1, 0.25
# PSI is of about ten groups; of more, chance alone would be drift in a thousand values.
_GROUPS = 10
# With fewer values, PSI is mostly chance.
_LEAST_VALUES = 100

# The groups of all requests of a window: some 30 MB at most.
_MOST_GROUPS = 200_000

_Counts = Sequence[float]
_Groups = tuple[tuple[Observed, int], ...]
"""The groups of one request's values, and how many values each has."""


@dataclass(frozen=True, slots=True)
class FieldDrift:
    """How far one measure of an input is from the profile."""

    name: str
    """The input."""
    measure: str
    """characters, tokens, token_ids, numbers, languages, missing or unknown_tokens."""
    psi: float | None
    """The population stability index; None for a share."""
    ks: float | None
    """The Kolmogorov-Smirnov statistic; None for languages and shares."""
    share: float | None = None
    """Of missing values and unknown tokens: the share now."""
    profile_share: float | None = None
    """The share in the profile."""

    def as_json(self) -> dict[str, Any]:
        """Return the drift as JSON."""
        return asdict(self)


def psi(profile: _Counts, now: _Counts) -> float:
    """Return the population stability index of two histograms with the same groups.

    Neighbouring groups are joined until each has about a tenth of the profile. Half a value is
    added to each group, so that an empty one does not make the index infinite.
    """
    return _index(_joined(profile, now))


def ks(profile: _Counts, now: _Counts) -> float:
    """Return the Kolmogorov-Smirnov statistic of two histograms with the same groups."""
    total, total_now = sum(profile) or 1, sum(now) or 1
    both = zip(accumulate(profile), accumulate(now), strict=True)
    return max((abs(one / total - two / total_now) for one, two in both), default=0.0)


def drift_between(profile: DataProfile, now: DataProfile) -> tuple[FieldDrift, ...]:
    """Return the drift of each measure that both profiles have; few values have no drift."""
    return tuple(
        drift
        for name, field in profile.inputs.items()
        if (other := now.inputs.get(name)) is not None
        for drift in _of_field(name, field, other)
    )


def _of_field(name: str, field: FieldProfile, now: FieldProfile) -> Iterable[FieldDrift]:
    for measure in ("characters", "tokens", "token_ids", "numbers"):
        before: Histogram | None = getattr(field, measure)
        after: Histogram | None = getattr(now, measure)
        if before is None or after is None or before.edges != after.edges:
            continue
        if min(before.total, after.total) >= _LEAST_VALUES:
            index = psi(before.counts, after.counts)
            yield FieldDrift(name, measure, index, ks(before.counts, after.counts))
    if min(sum(field.languages.values()), sum(now.languages.values())) >= _LEAST_VALUES:
        yield FieldDrift(name, "languages", _psi_by_name(field.languages, now.languages), None)
    yield FieldDrift(name, "missing", None, None, _missing(now), _missing(field))
    if field.unknown_tokens is not None and now.unknown_tokens is not None:
        shares = (now.unknown_tokens, field.unknown_tokens)
        yield FieldDrift(name, "unknown_tokens", None, None, *shares)


class DriftWindow:
    """The last requests of a gateway, compared with the profile. Only groups are kept.

    Requests with many different values take more memory, so fewer of them are kept. Threads may use
    it at the same time.
    """

    def __init__(
        self, contract: DataContract, profile: DataProfile, identify: Identify | None
    ) -> None:
        self._profile = {
            name: profile.inputs[name] for name in contract.inputs if name in profile.inputs
        }
        self._observers = {
            name: InputObserver(
                name,
                field.numbers.edges if field.numbers else (),
                identify if tells_languages(contract, name) else None,
            )
            for name, field in self._profile.items()
        }
        self._last: dict[str, deque[_Groups]] = {name: deque() for name in self._profile}
        self._kept = dict.fromkeys(self._profile, 0)
        self._counts: dict[str, Counter[Observed]] = {name: Counter() for name in self._profile}
        self._size = contract.drift_window
        self._most = _MOST_GROUPS // (len(self._profile) or 1)
        self._guard = threading.Lock()

    def add(self, values: Mapping[str, JsonValue]) -> None:
        """Count a request; the oldest one is forgotten when the window is full."""
        for name, observer in self._observers.items():
            value = value_at(values, name)
            if value is None:
                continue
            seen = Counter(observer.observed(value))
            with self._guard:
                self._count(name, seen)

    def _count(self, name: str, seen: Counter[Observed]) -> None:
        counts, last = self._counts[name], self._last[name]
        counts.update(seen)
        last.append(tuple(seen.items()))
        self._kept[name] += len(seen)
        while len(last) > self._size or self._kept[name] > self._most:
            oldest = last.popleft()
            counts.subtract(dict(oldest))
            self._kept[name] -= len(oldest)

    def drift(self) -> dict[str, float]:
        """Return the largest PSI of each input's measures; inputs with few values are left out."""
        with self._guard:
            found = {name: self._largest(name, field) for name, field in self._profile.items()}
        return {name: value for name, value in found.items() if value is not None}

    def _largest(self, name: str, field: FieldProfile) -> float | None:
        counts = self._counts[name]
        found = []
        for measure in ("characters", "numbers"):
            before: Histogram | None = getattr(field, measure)
            if before is not None:
                now = [counts[measure, group] for group in range(len(before.counts))]
                if min(sum(now), before.total) >= _LEAST_VALUES:
                    found.append(psi(before.counts, now))
        if field.languages:
            spoken = {
                str(group): count for (kind, group), count in counts.items() if kind == "languages"
            }
            if min(sum(spoken.values()), sum(field.languages.values())) >= _LEAST_VALUES:
                found.append(_psi_by_name(field.languages, spoken))
        return max(found, default=None)


def _psi_by_name(profile: Mapping[str, int], now: Mapping[str, int]) -> float:
    """Return the index of named groups; those that the profile lacks are one group."""
    names = [name for name in profile if name != "other"]
    others = sum(count for name, count in now.items() if name not in profile or name == "other")
    before = [*(profile[name] for name in names), profile.get("other", 0)]
    return _index(zip(before, [*(now.get(name, 0) for name in names), others], strict=True))


def _index(groups: Iterable[tuple[float, float]]) -> float:
    pairs = [(one + 0.5, two + 0.5) for one, two in groups]
    total, total_now = (sum(counts) for counts in zip(*pairs, strict=True)) if pairs else (1, 1)
    shares = [(one / total, two / total_now) for one, two in pairs]
    return sum((after - before) * math.log(after / before) for before, after in shares)


def _missing(field: FieldProfile) -> float:
    return field.missing / ((field.missing + field.values) or 1)


def _joined(profile: _Counts, now: _Counts) -> list[tuple[float, float]]:
    """Join neighbouring groups until each has a tenth of the profile; the last may have less."""
    enough = sum(profile) / _GROUPS
    groups: list[tuple[float, float]] = []
    one = two = 0.0
    for before, after in zip(profile, now, strict=True):
        one, two = one + before, two + after
        if one >= enough and one > 0:
            groups.append((one, two))
            one = two = 0.0
    return [*groups, (one, two)] if one or two else groups
