"""Reads the results that a model's repository states: one form for its card and its result files.

Formats: `model-index` at the top of README.md
(huggingface/hub-docs, modelcard.md) and `.eval_results/*.yaml` (huggingface/hub-docs,
eval_results.yaml). No I/O; anything that is not a result is skipped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.importing.proposal import LeftOut
from mealkit.importing.quoting import short
from mealkit.importing.repository import Repository
from mealkit.kit.document import read_document

RESULTS_FOLDER = ".eval_results/"
MOST_RESULTS = 2000
"""The most results of a repository that are read."""
_CARD = "README.md"
_MOST_CHARACTERS = 256 * 1024
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """A result, in its publisher's words."""

    file: str
    """The file that states it."""
    dataset: str
    metric: str
    """The metric's identifier; empty: the file states none."""
    metric_name: str
    """The metric's name for people, or how it averages; may be empty."""
    value: Any
    details: tuple[str, ...]
    """The task, the part of the data, the date and the source, for people."""


def published_results(repository: Repository) -> tuple[list[PublishedResult], list[LeftOut]]:
    """Return the results that a repository states, and which files could not be read."""
    found, left_out = list[PublishedResult](), list[LeftOut]()
    files = [name for name in sorted(repository.texts) if name.startswith(RESULTS_FOLDER)]
    for name in files:
        text = repository.texts[name]
        document = read_document(text, name)[0] if len(text) <= _MOST_CHARACTERS else None
        if document is None or not isinstance(document.data, list):
            left_out.append(_unread(name))
            continue
        found += (item for entry in document.data for item in _of_file(name, _map(entry)))
    card = repository.card
    found += _of_card(card.get("model-index"))
    if not card and "model-index:" in repository.texts.get(_CARD, "")[: 16 * _MOST_CHARACTERS]:
        left_out.append(_unread(f"model-index of {_CARD}"))
    if len(found) > MOST_RESULTS:
        why = f"the repository states more than {MOST_RESULTS}"
        what = f"{len(found) - MOST_RESULTS} results"
        left_out.append(LeftOut(what, why, "write the claims that matter into claims"))
    return found[:MOST_RESULTS], left_out


def _unread(name: str) -> LeftOut:
    why = "it is too large, or not valid YAML of the form that the Hub reads"
    return LeftOut(name, why, "write the claims that matter into claims")


def _of_file(name: str, entry: Mapping[str, Any]) -> Iterator[PublishedResult]:
    """Yield the results of an entry; older files have several metrics in one."""
    data, source = _map(entry.get("dataset")), _map(entry.get("source"))
    task = _text(data.get("task_id"))
    details = _details(
        ("task", task),
        ("revision", data.get("revision")),
        ("date", entry.get("date")),
        ("notes", entry.get("notes")),
        ("from", source.get("name")),
        ("see", source.get("url")),
        ("by", source.get("user") or source.get("org")),
        ("verify token (not checked)", "yes" if entry.get("verifyToken") else None),
    )
    dataset = _text(data.get("id"))
    for item in _maps(entry.get("metrics")):
        named = _text(item.get("metric_id"))
        yield PublishedResult(name, dataset, named, "", item.get("value"), details)
    if "value" in entry:
        yield PublishedResult(name, dataset, "", task, entry["value"], details)


def _of_card(index: Any) -> Iterator[PublishedResult]:
    for model in _maps(index):
        for result in _maps(model.get("results")):
            data = _map(result.get("dataset"))
            dataset = _text(data.get("name")) or _text(data.get("type"))
            for metric in _maps(result.get("metrics")):
                yield _of_metric(metric, dataset, result, data)


def _of_metric(
    metric: Mapping[str, Any], dataset: str, result: Mapping[str, Any], data: Mapping[str, Any]
) -> PublishedResult:
    task, source = _map(result.get("task")), _map(result.get("source"))
    details = _details(
        ("task", task.get("name") or task.get("type")),
        ("data", data.get("type")),
        ("config", data.get("config")),
        ("split", data.get("split")),
        ("revision", data.get("revision")),
        ("metric", metric.get("name")),
        ("metric's config", metric.get("config")),
        ("from", source.get("name")),
        ("see", source.get("url")),
        ("verify token (not checked)", "yes" if metric.get("verifyToken") else None),
    )
    average = _text(_map(metric.get("args")).get("average"))
    kind = _text(metric.get("type"))
    name = f"{kind} {average}" if average else _text(metric.get("name"))
    return PublishedResult(_CARD, dataset, kind, name, metric.get("value"), details)


def _details(*pairs: tuple[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name}: {_text(value)}" for name, value in pairs if _text(value))


def _maps(value: Any) -> Sequence[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """Return a text on one line and shortened; empty for anything but a text or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return short(str(value)[: 4 * _MOST_SHOWN])[:_MOST_SHOWN].strip()
