"""The traits of the llama-cpp engine: its memory."""

from mealkit.engines.llama_cpp.memory import MEMORY
from mealkit.recipe.traits import EngineTraits

TRAITS = EngineTraits(memory=MEMORY, runs_kit_code=False)
