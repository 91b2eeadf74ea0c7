"""Fit: how fast data files are compared with a kit's data contract, on one core."""

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Row, Table, memory
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.measured import take_turns

_DOCUMENT_CHARACTERS = 960
_BUDGET_BYTES_PER_SECOND = 100e6
_LONG_BYTES, _SHORT_BYTES = 128 * 1024 * 1024, 8 * 1024 * 1024
_SCHEMA = "schema: {schema: {type: string, minLength: 1, maxLength: 5000}}"
_LENGTH = "length: {minimum_characters: 1, maximum_characters: 5000}"
_QUALITY = (
    "quality: {undecodable: 0.01, repeated: 0.5, mojibake: 0.01, broken_hyphenation: 0.2, "
    "ocr_noise: 0.1}"
)
_TEXT = """the of and to in is that for it was on are as with his they at be this from have or by
one had not but what all were when we there can an your which their said if do will each about"""

_PLAIN = "schema and length"
_CASES = {
    _PLAIN: (f"{_SCHEMA}, {_LENGTH}", _LONG_BYTES),
    "schema, length and all of quality": (f"{_SCHEMA}, {_LENGTH}, {_QUALITY}", _LONG_BYTES),
    "languages": ("languages: {allowed: [en]}", _SHORT_BYTES),
    "tokens": ("length: {maximum_tokens: 5000}", _SHORT_BYTES),
}
"""What is checked of each text, and how many bytes of data are read for it."""


def fits(lab: Lab) -> Iterator[Table]:
    """Measure documents of 1 KiB in JSONL, by the rules that are checked."""
    home = Path(lab.scratch) / "fit"
    files = {size: _data(home.with_name(f"fit-{size}.jsonl"), size) for size in _sizes()}
    one = _data(home.with_name("fit-1.jsonl"), 1)
    kits = {
        name: _kit(home.with_name(f"fit-kit-{number}"), rules)
        for number, (name, (rules, _)) in enumerate(_CASES.items())
    }
    for name, kit in kits.items():
        lab.tell(f"{name}: the kit's inputs are fetched")
        lab.mealkit(home, "fit", one, "--kit", kit)
    contenders = {
        name: lambda _, name=name: lab.mealkit(
            home, "fit", files[_CASES[name][1]], "--kit", kits[name]
        )
        for name in _CASES
    }
    starts = {
        f"{name}, one row": lambda _, name=name: lab.mealkit(home, "fit", one, "--kit", kits[name])
        for name in _CASES
    }
    field = take_turns({**contenders, **starts}, lab.runs, lab.tell)
    rows = []
    for name, (_, size) in _CASES.items():
        seconds = [
            run.cpu_seconds - start.cpu_seconds
            for run, start in zip(field.runs[name], field.runs[f"{name}, one row"], strict=True)
        ]
        rate = size / sorted(seconds)[len(seconds) // 2]
        is_budget = name == _PLAIN
        rows.append(
            Row(
                name,
                f"{rate / 1e6:.0f} MB/s" if rate >= 10e6 else f"{rate / 1e6:.1f} MB/s",
                budget=f">= {_BUDGET_BYTES_PER_SECOND / 1e6:.0f} MB/s" if is_budget else "",
                met=rate >= _BUDGET_BYTES_PER_SECOND if is_budget else None,
                samples={name: seconds},
            )
        )
    rows += memory("peak memory", field.peak_bytes(_PLAIN))
    yield Table(
        "Fit", rows, ["processor time of one core, without the time to start and open a kit"]
    )


def _sizes() -> set[int]:
    return {size for _, size in _CASES.values()}


def _data(path: Path, size: int) -> Path:
    """Write documents of 1 KiB, at least one."""
    generator = random.Random(1)
    texts = []
    for number in range(512):
        sentences: list[str] = []
        while sum(map(len, sentences)) < _DOCUMENT_CHARACTERS:
            words = generator.choices(_TEXT.split(), k=generator.randint(6, 18))
            sentences.append(f"{' '.join(words).capitalize()}.")
        texts.append(f"{number} {' '.join(sentences)}")
    with path.open("w") as stream:
        written = number = 0
        while written < size:
            text = texts[number % len(texts)]
            written += stream.write(json.dumps({"id": number, "input": f"{number} {text}"}) + "\n")
            number += 1
    return path


def _kit(folder: Path, rules: str) -> Path:
    """Copy a kit whose tokenizer is small, with a data contract of these rules."""
    shutil.copytree(REPOSITORY / "kits" / "sbert-minilm", folder)
    text = re.sub(r"(?ms)^data:.*?(?=^\S|\Z)", "", (folder / "kit.yaml").read_text())
    (folder / "kit.yaml").write_text(f"{text}\ndata:\n  inputs: {{input: {{{rules}}}}}\n")
    return folder
