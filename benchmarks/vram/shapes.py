"""Reads the table of model shapes, and compares it with the publishers' parameter counts."""

import csv
from dataclasses import dataclass
from pathlib import Path

from mealkit.memory.shape import Experts, Shape

TABLE = Path(__file__).parent / "data" / "model_shapes.csv"


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the table: its shape without weights, and what its files hold besides matrices."""

    name: str
    names: tuple[str, ...]
    shape: Shape
    tied: bool
    qkv_bias: bool
    qk_norm: bool
    merged_qkv: bool
    final_norms: int
    published_parameters: int | None
    head_in_file: frozenset[str]
    source: str

    @property
    def other_parameters(self) -> int:
        """Numbers outside matrices: norms, biases, routers."""
        shape = self.shape
        heads = shape.heads + 2 * shape.kv_heads
        layer = 2 * shape.hidden_size
        layer += heads * shape.head_dimension if self.qkv_bias else 0
        layer += 2 * shape.head_dimension if self.qk_norm else 0
        if shape.experts:
            layer += shape.hidden_size * shape.experts.count
            layer += shape.hidden_size if shape.experts.shared_intermediate_size else 0
        return shape.layers * layer + self.final_norms * shape.hidden_size

    @property
    def matrix_parameters(self) -> int:
        """Numbers in the matrices of the layers: those that are quantised."""
        return sum(item.parameters * item.count for item in self.shape.matrices() if item.quantised)

    @property
    def parameters(self) -> int:
        """Numbers in the model, tied ones once."""
        tables = self.shape.vocabulary * self.shape.hidden_size * (1 if self.tied else 2)
        return self.matrix_parameters + self.other_parameters + tables


def read_models(path: Path = TABLE) -> dict[str, Model]:
    """Return the models by each of their names."""
    with path.open(newline="", encoding="utf-8") as file:
        models = [_model(row) for row in csv.DictReader(file)]
    return {name: model for model in models for name in (model.name, *model.names)}


def _model(row: dict[str, str]) -> Model:
    def number(name: str) -> int:
        return int(row[name] or 0)

    experts = None
    if row["experts"]:
        experts = Experts(
            number("experts"),
            number("experts_active"),
            number("expert_intermediate"),
            number("shared_intermediate"),
        )
    shape = Shape(
        bytes_by_dtype={},
        layers=number("layers"),
        hidden_size=number("hidden"),
        intermediate_size=number("intermediate"),
        heads=number("heads"),
        kv_heads=number("kv_heads"),
        head_dimension=number("head_dimension"),
        vocabulary=number("vocabulary"),
        max_positions=number("max_positions"),
        gated=row["gated"] == "yes",
        experts=experts,
    )
    return Model(
        name=row["model"],
        names=tuple(filter(None, row["names"].split("|"))),
        shape=shape,
        tied=row["tied"] == "yes",
        qkv_bias=row["qkv_bias"] == "yes",
        qk_norm=row["qk_norm"] == "yes",
        merged_qkv=row["merged_qkv"] == "yes",
        final_norms=2 if row["norms"] == "falcon" else 1,
        published_parameters=number("parameters") or None,
        head_in_file=frozenset(filter(None, row["head_in_file"].split("|"))),
        source=row["source"],
    )
