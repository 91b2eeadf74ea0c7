"""The traits of the onnx engine: its memory."""

from mealkit.engines.onnx.memory import MEMORY
from mealkit.recipe.traits import EngineTraits

TRAITS = EngineTraits(memory=MEMORY, runs_kit_code=False)
