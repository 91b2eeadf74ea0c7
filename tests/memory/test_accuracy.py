"""The estimator against published measurements: the goals that were set for it."""

import statistics

import pytest

from benchmarks.vram.__main__ import main
from benchmarks.vram.measure import measure, peer_errors, percentile95
from benchmarks.vram.peers import PEERS
from benchmarks.vram.rows import PEAK, read_rows
from benchmarks.vram.shapes import read_models
from benchmarks.vram.weights import format_of

MODELS = {model.name: model for model in read_models().values()}


@pytest.fixture(scope="module")
def peak():
    """The rows that measured peak memory."""
    found, _ = measure(read_rows(), read_models())
    return [item for item in found if item.case.row.kind == PEAK]


def test_every_complete_measurement_is_estimated():
    """One row is a part of a total, of a model that the log does not name."""
    found, left_out = measure(read_rows(), read_models())
    assert len(found) == 204
    assert len(left_out) == 1


def test_the_median_is_within_3_percent_and_19_of_20_within_10(peak):
    """Over all rows, and over the rows of every engine and precision."""
    groups = {"all": peak}
    for item in peak:
        groups.setdefault((item.case.row.engine, item.case.form), []).append(item)
    for name, items in groups.items():
        errors = [abs(item.error) for item in items]
        assert statistics.median(errors) <= 0.03, name
        assert percentile95(errors) <= 0.10, name


def test_no_upper_bound_lies_below_what_was_measured(peak):
    """Not one."""
    assert [item.case.row for item in peak if item.below] == []


def test_upper_bounds_are_of_use(peak):
    """An interval that holds everything by being wide says nothing."""
    widths = [
        (item.found.high_bytes - item.found.low_bytes) / item.found.likely_bytes for item in peak
    ]
    assert statistics.median(widths) <= 0.12


@pytest.mark.parametrize("name", PEERS)
def test_no_peer_s_formula_comes_near(name, peak):
    """Context, prompt and format of the weights are what they leave out."""
    ours = statistics.median(abs(item.error) for item in peak)
    assert statistics.median(peer_errors(peak, name)) > 10 * ours


@pytest.mark.parametrize("name", MODELS)
def test_a_shape_gives_its_publisher_s_parameter_count(name):
    """To the last digit, where the publisher states one: a wrong field would not survive that."""
    model = MODELS[name]
    assert model.published_parameters in (None, model.parameters)


@pytest.mark.parametrize(
    ("text", "method", "bits"),
    [
        ("BF16", "none", 16),
        ("FP8", "fp8", 8),
        ("GPTQ-Int4", "gptq", 4),
        ("GPTQ-Int8", "gptq", 8),
        ("Int8", "gptq", 8),
        ("AWQ", "awq", 4),
        ("AWQ-GEMM w4 g128", "awq", 4),
        ("GPTQ-4bit (group size not stated)", "gptq", 4),
    ],
)
def test_precisions(text, method, bits):
    """As the sources write them."""
    form = format_of(text)
    assert form is not None
    assert (form.method, form.bits) == (method, bits)


def test_the_report_is_printed(monkeypatch, capsys):
    """With the peers beside, and each family left out once."""
    monkeypatch.setattr("sys.argv", ["vram", "--each"])
    assert main() == 0
    out = capsys.readouterr().out
    for word in ("| KAITO |", "| Qwen2.5 |", "**all**", "not a total"):
        assert word in out
