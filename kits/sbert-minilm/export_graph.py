"""Export all-MiniLM-L6-v2 to an ONNX graph that refers to the pinned model.safetensors.

The graph carries no weights: every float parameter is a byte range of the publisher's file. Refuses
weights with another digest than the pinned one, and parameters that the file does not hold.

Run it where torch, transformers, onnx and onnxscript are installed; it is not needed to build the
kit, because its output, graph/model.onnx, is part of the kit::

    python export_graph.py FOLDER_WITH_THE_MODEL [OUTPUT]
"""

import hashlib
import json
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxscript
import torch
import transformers

WEIGHTS_NAME = "model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OUTPUT_NAME = "last_hidden_state"


@dataclass(frozen=True, slots=True)
class Range:
    """Where one tensor lies in the safetensors file."""

    dtype: str
    shape: tuple[int, ...]
    offset_bytes: int
    length_bytes: int


def main(arguments: list[str]) -> int:
    """Export, point the parameters into the weights, write, and print what identifies the result.

    Raises:
        SystemExit: the weights are not the pinned ones, or a parameter is not in them.
    """
    folder = Path(arguments[0])
    target = Path(arguments[1]) if arguments[1:] else Path(__file__).parent / "graph/model.onnx"
    with (folder / WEIGHTS_NAME).open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise SystemExit(f"{WEIGHTS_NAME} has sha256 {found}, expected {WEIGHTS_SHA256}")
    graph = export(folder)
    strip(graph)
    referred = refer(graph, ranges(folder / WEIGHTS_NAME))
    write(graph, target)
    for module in (torch, transformers, onnx, onnxscript):
        print(f"{module.__name__} {module.__version__}")
    print(f"{referred} parameters refer to {WEIGHTS_NAME}")
    print(f"{target.stat().st_size} bytes")
    print(f"sha256:{hashlib.sha256(target.read_bytes()).hexdigest()}")
    return 0


def export(folder: Path) -> onnx.ModelProto:
    """Trace the encoder with a free batch size and length, parameters under their own names."""
    model = transformers.AutoModel.from_pretrained(
        folder, add_pooling_layer=False, attn_implementation="eager", dtype=torch.float32
    ).eval()
    # Distinct tensors: the exporter merges aliased examples into one input without a word.
    examples = {
        "input_ids": torch.tensor([[101, 2023, 2003, 102], [101, 2178, 102, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "token_type_ids": torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1]]),
    }
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=512)}
    with torch.no_grad():
        program = torch.onnx.export(
            model,
            kwargs=examples,
            dynamo=True,
            # Optimising folds and renames parameters, which could then not refer to the file.
            optimize=False,
            external_data=False,
            input_names=list(examples),
            output_names=[OUTPUT_NAME],
            dynamic_shapes=dict.fromkeys(examples, free),
            verbose=False,
        )
    return program.model_proto


def strip(model: onnx.ModelProto) -> None:
    """Drop what does not compute: doc strings, stack traces and inferred intermediate shapes."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    model.doc_string = model.graph.doc_string = ""
    model.producer_version = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""


def ranges(weights: Path) -> dict[str, Range]:
    """Read where each tensor lies.

    Format: 8 bytes little-endian length, a JSON header of that length, then the data
    (https://huggingface.co/docs/safetensors).
    """
    with weights.open("rb") as stream:
        (header_bytes,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(header_bytes))
    header.pop("__metadata__", None)
    start = 8 + header_bytes
    return {
        name: Range(
            entry["dtype"],
            tuple(entry["shape"]),
            start + entry["data_offsets"][0],
            entry["data_offsets"][1] - entry["data_offsets"][0],
        )
        for name, entry in header.items()
    }


def refer(model: onnx.ModelProto, tensors: dict[str, Range]) -> int:
    """Replace the data of every float parameter by a reference into the weights; return how many.

    Raises:
        SystemExit: a parameter is not in the weights under its name, type and shape.
    """
    count = 0
    for initializer in model.graph.initializer:
        if initializer.data_type != onnx.TensorProto.FLOAT or not initializer.dims:
            continue
        found = tensors.get(initializer.name)
        if not found or (found.dtype, found.shape) != ("F32", tuple(initializer.dims)):
            raise SystemExit(f"{initializer.name} {tuple(initializer.dims)} is not in the weights")
        initializer.ClearField("raw_data")
        del initializer.external_data[:]
        initializer.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (
            ("location", WEIGHTS_NAME),
            ("offset", found.offset_bytes),
            ("length", found.length_bytes),
        ):
            initializer.external_data.add(key=key, value=str(value))
        count += 1
    return count


def write(model: onnx.ModelProto, target: Path) -> None:
    """Write the graph with one spelling: fields in order, maps sorted; never half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    partial.write_bytes(model.SerializeToString(deterministic=True))
    partial.replace(target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
