"""The image of the front: what is said when it cannot be made."""

import pytest

from mealkit.errors import DeploymentError
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.front_image import front_image
from mealkit.progress import SILENT


def test_a_missing_mirror_is_a_problem_with_a_hint(tmp_path, monkeypatch):
    """The front's own problem comes first, and says what to set; the cause follows."""
    monkeypatch.setenv("MEALKIT_DEBIAN_MIRROR", f"file://{tmp_path}/none")
    with pytest.raises(DeploymentError) as error:
        front_image(Home(tmp_path / "home"), SILENT)
    first, *causes = error.value.problems
    assert first.code == "FRONT_IMAGE"
    assert "MEALKIT_DEBIAN_MIRROR" in first.hint
    assert causes
