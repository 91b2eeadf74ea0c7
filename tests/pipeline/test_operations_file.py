"""Files of operations for a deployment."""

import pytest

from mealkit.errors import KitError
from mealkit.pipeline.run.operations_file import read_operations


@pytest.mark.parametrize(
    "text",
    [
        'ops:\n  cost: {gpu_hour: "2.50"}\n',
        'cost:\n  gpu_hour: "2.50"\n',
        '{"cost": {"gpu_hour": "2.50"}}',
    ],
    ids=range(3),
)
def test_a_file_states_sections(tmp_path, text):
    """YAML and JSON are read, with the section ops around it or without."""
    file = tmp_path / "ops.yaml"
    file.write_text(text)
    ops = read_operations(file)
    assert (ops.cost.gpu_hour, ops.model_fields_set) == ("2.50", {"cost"})


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("ops:\n  cost: {gpu_hour: 2.5}\n", 2, "ops.cost.gpu_hour"),
        ("cost:\n  gpu_hours: '2.50'\n", 2, "gpu_hours"),
        ("# nothing\n", 1, "none of the sections"),
        ("ops: {}\n", 1, "none of the sections"),
        ("ops: [\n", 2, ""),
    ],
    ids=range(5),
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path, text, line, words):
    """Each problem names the line of the file."""
    file = tmp_path / "ops.yaml"
    file.write_text(text)
    with pytest.raises(KitError) as caught:
        read_operations(file)
    first = caught.value.problems[0]
    assert first.code == "SETTINGS_INVALID"
    assert words in first.message
    assert first.where.startswith(f"{file}:{line}")


def test_a_missing_file_is_refused(tmp_path):
    """A file that is not there is a problem, not a run without budgets."""
    with pytest.raises(KitError, match="cannot be read"):
        read_operations(tmp_path / "ops.yaml")
