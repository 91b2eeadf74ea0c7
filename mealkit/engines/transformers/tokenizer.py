"""Converts a tokenizer from a model's older files, such as vocab.txt or tokenizer.model.

Raises EngineError for files that transformers cannot convert. Imports the engine, so only modules
that are imported in ``load`` may import this module.
"""

from pathlib import Path

from tokenizers import Tokenizer

from mealkit.engines.transformers.torch_problems import engine_problems
from mealkit.errors import failure
from mealkit.worker.tokenizer.tokenizer_file import TOKENIZER_FILE


def converted(root: Path) -> Tokenizer:
    """Return transformers' conversion of a folder without a tokenizer.json.

    Raises:
        EngineError: ``ENGINE_START``, the files cannot be converted.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415 - for the few models that need it

    where = str(root)
    with engine_problems("ENGINE_START", "while it read the tokenizer", where):
        found = AutoTokenizer.from_pretrained(
            where, use_fast=True, local_files_only=True, trust_remote_code=False
        )
    if not getattr(found, "is_fast", False):
        message = f"{TOKENIZER_FILE} is missing, and the older files cannot be converted to one"
        hint = f"name a {TOKENIZER_FILE} in model.weights"
        raise failure("ENGINE_START", message, where=where, hint=hint)
    tokenizer: Tokenizer = found.backend_tokenizer
    return tokenizer
