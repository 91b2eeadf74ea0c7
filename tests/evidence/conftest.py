"""What a real message means, checked the same way for every table of messages."""

import pytest

from mealkit.errors import CATALOGUE
from mealkit.evidence.recognition import Evidence, recognise


@pytest.fixture
def means():
    """Check the problem that a message means, between other lines of a log."""

    def check(text, meant):
        code, measured, required, part = meant
        found = recognise(Evidence(f"INFO loading\n{text}\nbye", exit_code=1))
        assert found is not None
        assert found.code == code
        assert (found.measured, (found.required or "")[: len(required or "")] or None) == (
            measured,
            required,
        )
        assert part in f"{found.message}\n{found.hint}\n{found.required}"
        assert found.owner is CATALOGUE[code].owner
        assert "\n| bye" in found.message

    return check
