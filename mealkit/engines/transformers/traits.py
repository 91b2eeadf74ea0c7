"""The traits of the transformers engine: its memory."""

from mealkit.engines.transformers.memory import MEMORY
from mealkit.recipe.traits import EngineTraits

TRAITS = EngineTraits(memory=MEMORY, runs_kit_code=False)
