"""What a JSON Schema lets an answer say next, token by token, by llguidance.

Refuses schemas with what llguidance does not enforce: an answer that has ended fulfils all of its
schema. JSON is written in one way only (``json.dumps``' separators), so that no answer is spent on
blanks.
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

# These hold whatever the schema itself says in ``x-guidance``.
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
    """Makes constraints for one model; may be used from several threads at once."""

    def __init__(self, model: TokenModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._tokenizer: LLTokenizer | None = None

    def constraint(self, schema: Mapping[str, Any], where: str) -> "GrammarConstraint":
        """Return what makes an answer fulfil a schema.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, not all of the schema can be enforced.
        """
        check_schema_size([schema], where)
        check_patterns(schema, where)
        grammar = LLMatcher.grammar_from_json_schema(_rule(schema))
        return self._constraint(grammar, where)

    def grammar(self, lark: str, where: str) -> "GrammarConstraint":
        """Return what makes an answer follow a grammar.

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
        # What cannot even begin is found before the request waits for its turn.
        constraint.allowed()
        return constraint

    def _tokens(self) -> LLTokenizer:
        # Not before it is needed: it takes a second and some memory for a large vocabulary.
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
    """What one answer may say."""

    def __init__(self, matcher: LLMatcher, vocabulary_size: int, where: str) -> None:
        self._matcher = matcher
        self._vocabulary_size = vocabulary_size
        self._where = where

    def copy(self) -> "GrammarConstraint":
        """Return one for another answer, which has come as far; compiling a schema takes longer."""
        matcher = self._matcher.deep_copy()
        return GrammarConstraint(matcher, self._vocabulary_size, self._where)

    def allowed(self) -> NDArray[np.bool_]:
        """Return the tokens that may come next, one flag for each.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the schema is more than llguidance can follow.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        flags = np.unpackbits(bits, count=self._vocabulary_size, bitorder="little")
        return flags.view(np.bool_)

    def accept(self, token_id: int) -> None:
        """Note that a token has come.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the schema is more than llguidance can follow.
        """
        self._matcher.consume_token(token_id)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise _not_enforced(self._matcher.get_error(), self._where)


class _Vocabulary:
    """A model's vocabulary in llguidance's form."""

    # After this byte, which UTF-8 has not, llguidance takes a token for a special one
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
        """Split a text that must come next; llguidance takes only the result's tokens as allowed.

        Where the model's own tokenizer adds something (a blank before the first word), the longest
        tokens that fit are taken one after the other.
        """
        if not isinstance(text, str):  # llguidance asks whether bytes would do
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
    """Return the grammar of calls as Hermes models write them, or of an answer without any.

    Args:
        schemas: the arguments of each function that may be called.
        parallel: whether several may be called.
        other: what the answer must fulfil if it calls none; None: it must call one.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, a schema asks too much.
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
    # After the first line stands the state of the parser.
    message = f"the schema cannot be enforced: {reason.partition(chr(10))[0]}"
    return failure("REQUEST_UNSUPPORTED", message, where=where)


def _rule(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": _OPTIONS})
