"""Constrains the tokens of an answer to a JSON Schema or a grammar, with llguidance.

Raises RequestError for schemas that llguidance does not fully enforce, so that a complete answer
always matches its schema. The JSON has a fixed format (the separators of ``json.dumps``), so that
answers do not waste tokens on spaces.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from mealkit.errors import MealkitError, failure
from mealkit.worker.generation.logits_model import TokenModel
from mealkit.worker.generation.patterns import check_patterns
from mealkit.worker.schema_limits import check_schema_size

# These apply whatever ``x-guidance`` in the schema sets.
_OPTIONS = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "lenient": False,
    "coerce_one_of": False,
}


# A state takes up to two kilobytes.
_MAX_LEXER_STATES = 50_000


class Schemas:
    """Creates constraints for one model; may be used from several threads."""

    def __init__(self, model: TokenModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._tokenizer: LLTokenizer | None = None

    def constraint(self, schema: Mapping[str, Any], where: str) -> "GrammarConstraint":
        """Return a constraint that makes an answer match a schema.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, not all of the schema can be enforced.
        """
        check_schema_size([schema], where)
        check_patterns(schema, where)
        grammar = LLMatcher.grammar_from_json_schema(_rule(schema))
        return self._constraint(grammar, where)

    def grammar(self, lark: str, where: str) -> "GrammarConstraint":
        """Return a constraint that makes an answer match a grammar.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, not all of the grammar can be enforced.
        """
        return self._constraint(LLMatcher.grammar_from_lark(lark), where)

    def _constraint(self, grammar: str, where: str) -> "GrammarConstraint":
        limits = LLParserLimits(verbose_errors=False, max_lexer_states=_MAX_LEXER_STATES)
        matcher = LLMatcher(self._tokens(), grammar, log_level=0, limits=limits)
        if warnings := matcher.get_grammar_warnings():
            raise _not_enforced(warnings[0], where)
        constraint = GrammarConstraint(matcher, self._model.vocabulary_size, where)
        # Unusable grammars are found before the request waits in the queue.
        constraint.allowed()
        return constraint

    def _tokens(self) -> LLTokenizer:
        # Created on first use: it takes a second and some memory for a large vocabulary.
        with self._lock:
            if self._tokenizer is None:
                vocabulary = _Vocabulary(self._model)
                self._tokenizer = LLTokenizer(
                    TokenizerWrapper(vocabulary),
                    n_vocab=self._model.vocabulary_size,
                    eos_token=sorted(self._model.end_ids),
                )
            return self._tokenizer


class GrammarConstraint:
    """The constraint of one answer."""

    def __init__(self, matcher: LLMatcher, vocabulary_size: int, where: str) -> None:
        self._matcher = matcher
        self._vocabulary_size = vocabulary_size
        self._where = where

    def copy(self) -> "GrammarConstraint":
        """Return a copy in the same state; this is faster than compiling the schema again."""
        matcher = self._matcher.deep_copy()
        return GrammarConstraint(matcher, self._vocabulary_size, self._where)

    def allowed(self) -> NDArray[np.bool_]:
        """Return the tokens that may come next, one flag for each.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the schema exceeds llguidance's limits.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        flags = np.unpackbits(bits, count=self._vocabulary_size, bitorder="little")
        return flags.view(np.bool_)

    def accept(self, token_id: int) -> None:
        """Advance by one token.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the schema exceeds llguidance's limits.
        """
        self._matcher.consume_token(token_id)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise _not_enforced(self._matcher.get_error(), self._where)


class _Vocabulary:
    """A model's vocabulary in llguidance's form."""

    # With this prefix, a byte that UTF-8 does not use, llguidance treats a token as special
    # (llguidance/docs/special_tokens.md).
    _SPECIAL = b"\xff"

    def __init__(self, model: TokenModel) -> None:
        self._model = model
        pieces = [model.piece(token_id) for token_id in range(model.vocabulary_size)]
        self.tokens = [
            piece or self._SPECIAL + b"<%d>" % token_id for token_id, piece in enumerate(pieces)
        ]
        self.special_token_ids = [token_id for token_id, piece in enumerate(pieces) if not piece]
        self.eos_token_id = min(model.end_ids)
        self.bos_token_id = None
        self._by_bytes = {piece: token_id for token_id, piece in reversed([*enumerate(pieces)])}
        self._longest = max(map(len, pieces))

    def __call__(self, text: str) -> Sequence[int]:
        """Tokenize a required text; llguidance then allows only these tokens.

        If the model's tokenizer adds something (such as a space before the first word), the longest
        matching tokens are used instead, one after the other.
        """
        if not isinstance(text, str):  # llguidance tries bytes first
            raise TypeError(type(text).__name__)
        content = text.encode()
        tokens = self._model.tokenize(text, special=True)
        if b"".join(map(self._model.piece, tokens)) == content:
            return tokens
        found: list[int] = []
        while content:
            length = next(
                (
                    length
                    for length in range(min(self._longest, len(content)), 0, -1)
                    if content[:length] in self._by_bytes
                ),
                None,
            )
            if length is None:
                return found
            found.append(self._by_bytes[content[:length]])
            content = content[length:]
        return found


def tool_grammar(
    schemas: Mapping[str, Mapping[str, Any]], *, parallel: bool, other: Mapping[str, Any] | None
) -> str:
    """Return the grammar of tool calls in Hermes' format, or of an answer without calls.

    Args:
        schemas: the arguments of each function that may be called.
        parallel: whether one answer may call several functions.
        other: the schema or grammar of an answer without calls; None if a call is required.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, a schema cannot be enforced.
    """
    check_schema_size([*schemas.values(), other or {}], "tools")
    for schema in (*schemas.values(), other or {}):
        check_patterns(schema, "tools")
    options = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, "arguments": schema},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for name, schema in schemas.items()
    ]
    rules = [
        "start: calls" if other is None else "start: calls | other",
        f"calls: call{' (TWO call)*' if parallel else ''}",
        'TWO: "\\n"',
        'call: "<tool_call>\\n" body "\\n</tool_call>"',
        f"body: %json {_rule({'anyOf': options})}",
    ]
    if other is not None:
        rules.append(f"other: %json {_rule(other)}")
    return "\n".join(rules)


def _not_enforced(reason: str, where: str) -> MealkitError:
    # The lines after the first one are the state of the parser.
    message = f"the schema cannot be enforced: {reason.partition(chr(10))[0]}"
    return failure("REQUEST_UNSUPPORTED", message, where=where)


def _rule(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": _OPTIONS})
