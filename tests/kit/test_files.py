"""The paper's own code is read with the kit, file by file, from its folder and nowhere else."""

import pytest

from mealkit.errors import KitError
from mealkit.kit.load import load_kit


def _with_code(good: str, code: str) -> str:
    return good.replace("  requirements:", f"  code: {code}\n  requirements:")


def test_code_is_read_by_name_and_pattern(write_kit, good):
    """Each file once, by its path in the kit's folder."""
    folder = write_kit(_with_code(good, '[handler.py, "lib/*.py", "lib/**/*.py"]'))
    (folder / "lib" / "deep").mkdir(parents=True)
    for name in ("handler.py", "lib/a.py", "lib/deep/b.py", "lib/notes.txt"):
        (folder / name).write_text(f"# {name}\n")
    assert load_kit(folder).code == {
        name: f"# {name}\n" for name in ("handler.py", "lib/a.py", "lib/deep/b.py")
    }


@pytest.mark.parametrize(
    ("code", "data", "message"),
    [
        ("[other.py]", b"", "runtime.code[0]: other.py does not exist"),
        ('["a**.py"]', b"", "runtime.code[0]: a**.py is not a pattern"),
        ("[handler.py]", b"\xff", "handler.py is not UTF-8"),
        ("[handler.py]", b"\0", "handler.py contains a NUL character"),
        ("[handler.py]", b"x" * (1024 * 1024 + 1), "handler.py is larger than"),
        ("[../handler.py]", b"", "is not a path inside a folder"),
    ],
)
def test_code_that_cannot_be_taken_is_refused(write_kit, good, code, data, message):
    """Missing files, patterns that are none, and what is not text, each with its line."""
    folder = write_kit(_with_code(good, code))
    (folder / "handler.py").write_bytes(data)
    with pytest.raises(KitError) as caught:
        load_kit(folder)
    (found,) = caught.value.problems
    assert message in found.message
    assert found.where is not None
    assert "kit.yaml:" in found.where


def test_a_link_out_of_the_folder_is_refused(write_kit, good, tmp_path):
    """A kit cannot bring what does not lie in its folder."""
    folder = write_kit(_with_code(good, '["lib/*.py"]'))
    (tmp_path / "secret.py").write_text("secret\n")
    (folder / "lib").mkdir()
    (folder / "lib" / "secret.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(KitError, match="KIT_PATH_OUTSIDE"):
        load_kit(folder)
