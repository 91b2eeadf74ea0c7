"""Types in which a path stands for a file."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PosixPath
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from mealkit.engines.python.config import FileLimits
from mealkit.engines.python.file_types import incoming, outgoing, outgoing_untyped, with_files
from mealkit.engines.python.request_files import RequestFiles


class Part(BaseModel):
    """A model with a path, and one without."""

    image: Path
    name: str = "n"


@dataclass
class Pair:
    """A dataclass with anything in it."""

    one: Any
    two: int = 2


class Named(BaseModel):
    """A model whose fields have other names outside."""

    inside: Any = Field(serialization_alias="outside")


class Plain(BaseModel):
    """Nothing to change."""

    name: str


class Tree(BaseModel):
    """A model that holds itself."""

    children: list["Tree"] = []


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Path, "eA=="),
        (PosixPath, "eA=="),
        (list[Path], ["eA=="]),
        (dict[str, Path], {"a": "eA=="}),
        (tuple[int, Path], [1, "eA=="]),
        (Path | None, "eA=="),
        (Optional[Path], "eA=="),  # noqa: UP045
        (Annotated[Path, Field(description="d")], "eA=="),
        (Sequence[Path], ["eA=="]),
        (Part, {"image": "eA=="}),
        (list[Part | None], [None, {"image": "eA=="}]),
    ],
    ids=range(11),
)
def test_every_path_of_a_type_becomes_a_file(annotation, value):
    """A text goes in, a file with its bytes comes out."""
    with closing(
        RequestFiles(FileLimits((), fetch_private=False, fetch_seconds=5, max_file_bytes=10))
    ) as files:
        found = TypeAdapter(with_files(annotation, incoming("input.x"))).validate_python(
            value, context=files
        )
        paths = _paths(found)
        assert [path.read_bytes() for path in paths] == [b"x"]


def _paths(value):
    match value:
        case Path():
            return [value]
        case BaseModel():
            return _paths([getattr(value, name) for name in type(value).model_fields])
        case dict():
            return _paths(list(value.values()))
        case list() | tuple():
            return [path for item in value for path in _paths(item)]
        case _:
            return []


@pytest.mark.parametrize("annotation", [int, str, list[int], Literal["a"], Plain, Tree, dict])
def test_a_type_without_paths_stays_itself(annotation):
    """Nothing is made anew."""
    assert with_files(annotation, incoming("input.x")) is annotation or (
        with_files(annotation, incoming("input.x")) == annotation
    )


def test_a_model_keeps_what_its_author_wrote():
    """Its name and its other fields are there, and an instance of the author's goes out."""
    changed = with_files(Part, outgoing(10))
    assert (changed.__name__, issubclass(changed, Part)) == ("Part", True)
    assert with_files(list[Plain], outgoing(10)) == list[Plain]


def test_a_file_goes_out_as_a_data_url(tmp_path):
    """Only a path is one."""
    path = tmp_path / "x.txt"
    path.write_bytes(b"x")
    kind = TypeAdapter(with_files(Part, outgoing(10)))
    given = kind.validate_python(Part(image=path))
    assert kind.dump_python(given)["image"] == "data:text/plain;base64,eA=="
    with pytest.raises(ValidationError, match="expected a path"):
        TypeAdapter(outgoing(10)).validate_python("x.txt")


URL = "data:text/plain;base64,eA=="


@pytest.mark.parametrize(
    ("annotation", "make", "expected"),
    [
        (Any, lambda path: path, URL),
        (dict, lambda path: {"a": {"b": path}}, {"a": {"b": URL}}),
        (list, lambda path: [(path, 1)], [[URL, 1]]),
        (dict[str, Any] | None, lambda path: {"a": {path}}, {"a": [URL]}),
        (Any, lambda path: (item for item in [path]), [URL]),
        (Any, lambda path: [Pair(path), Pair(1)], [{"one": URL, "two": 2}, {"one": 1, "two": 2}]),
        (Any, lambda path: Named(inside=[path]), {"outside": [URL]}),
        (Any, lambda _path: Named(inside=1), {"outside": 1}),
        (Named, lambda path: Named(inside={"a": path}), {"outside": {"a": URL}}),
        (Any, lambda _path: {"a": [1, "b", None]}, {"a": [1, "b", None]}),
        (tuple, lambda _path: (1, 2), [1, 2]),
    ],
    ids=range(11),
)
def test_a_path_in_a_type_that_says_nothing_about_it_goes_out_as_a_file(
    tmp_path, annotation, make, expected
):
    """At any depth, also in objects; what has no paths stays as it is."""
    path = tmp_path / "x.txt"
    path.write_bytes(b"x")
    kind = TypeAdapter(with_files(annotation, outgoing(10), outgoing_untyped(10)))
    given = kind.validate_python(make(path))
    assert kind.dump_python(given, mode="json", by_alias=True, warnings="error") == expected
    assert "path" not in str(kind.json_schema(mode="serialization"))


def test_the_schema_says_what_a_text_means():
    """A caller reads that a file is a text with a format."""
    assert TypeAdapter(incoming("x")).json_schema()["format"] == "data-url"
    assert TypeAdapter(outgoing(1)).json_schema(mode="serialization")["type"] == "string"
