"""Constrains the tokens of an answer to a JSON Schema or a grammar, with llguidance.

Raises RequestError for schemas that llguidance does not fully enforce, so that a complete answer
always matches its schema. The JSON has a fixed format (the separators of ``json.dumps``), so that
answers do not waste tokens on spaces.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from mealkit.errors import MealkitError, failure
from mealkit.worker.generation.logits_model import TokenModel
from mealkit.worker.generation.names_once import NamesOnce
from mealkit.worker.generation.patterns import check_patterns
from mealkit.worker.generation.schema_keywords import enforceable
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
        found = _checked(schema, where)
        return self._constraint(
            LLMatcher.grammar_from_json_schema(_rule(found)), where, NamesOnce()
        )

    def grammar(self, lark: str, where: str, *, has_text: bool = False) -> "GrammarConstraint":
        """Return a constraint that makes an answer match a grammar.

        ``has_text``: the grammar also allows text that is not JSON.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, not all of the grammar can be enforced.
        """
        names = None if has_text else NamesOnce()
        return self._constraint(LLMatcher.grammar_from_lark(lark), where, names)

    def _constraint(self, grammar: str, where: str, names: NamesOnce | None) -> "GrammarConstraint":
        limits = LLParserLimits(verbose_errors=False, max_lexer_states=_MAX_LEXER_STATES)
        matcher = LLMatcher(self._tokens(), grammar, log_level=0, limits=limits)
        if warnings := matcher.get_grammar_warnings():
            raise _not_enforced(warnings[0], where)
        constraint = GrammarConstraint(matcher, self._model, where, names)
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

    def __init__(
        self, matcher: LLMatcher, model: TokenModel, where: str, names: NamesOnce | None
    ) -> None:
        """Begin; ``names`` is the place in the JSON text, None if the answer is not only JSON."""
        self._matcher = matcher
        self._model = model
        self._where = where
        self._names = names

    def copy(self) -> "GrammarConstraint":
        """Return a copy in the same state; this is faster than compiling the schema again."""
        matcher = self._matcher.deep_copy()
        return GrammarConstraint(matcher, self._model, self._where, self._names)

    def allowed(self) -> NDArray[np.bool_]:
        """Return the tokens that may come next, one flag for each.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the schema exceeds llguidance's limits.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        flags = np.unpackbits(bits, count=self._model.vocabulary_size, bitorder="little")
        return flags.view(np.bool_)

    def repeats_name(self, token_id: int) -> bool:
        """Return whether an allowed token would give a JSON object the same name twice."""
        return self._names is not None and self._names.after(self._model.piece(token_id)) is None

    def accept(self, token_id: int) -> None:
        """Advance by one token.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the schema exceeds llguidance's limits.
        """
        self._matcher.consume_token(token_id)
        self._check()
        if self._names is not None:
            self._names = self._names.after(self._model.piece(token_id))

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
        tokens = self._model.tokenize(text, rendered=True)
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


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """The grammar of an answer that may call functions, in Hermes' format."""

    schemas: Mapping[str, Mapping[str, Any] | None]
    """The arguments of each function that may be called; None for any object."""
    parallel: bool
    """Whether one answer may call several functions."""

    def required(self) -> str:
        """Return the grammar of an answer that is a call.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, a schema cannot be enforced.
        """
        return "\n".join(["start: calls", *self._calls({})])

    def or_matching(self, schema: Mapping[str, Any]) -> str:
        """Return the grammar of an answer that is a call, or matches a schema.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, a schema cannot be enforced.
        """
        calls = self._calls(schema)
        other = f"other: %json {_rule(_checked(schema, 'response_format'))}"
        return "\n".join(["start: calls | other", *calls, other])

    def after_text(self) -> str:
        """Return the grammar of any text, in which a call follows its schema from its tag on.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, a schema cannot be enforced.
        """
        rules = ["start: (opened call_end)* TEXT", 'opened[lazy]: TEXT "<tool_call>"']
        rules.append("TEXT: /(.|\\n)*/")
        return "\n".join([*rules, *self._calls({})])

    def _calls(self, other: Mapping[str, Any]) -> list[str]:
        given = {name: _arguments(name, schema) for name, schema in self.schemas.items()}
        check_schema_size([*given.values(), other], "tools")
        places = {name: f"#/$defs/{index}" for index, name in enumerate(given)}
        options = [
            {
                "type": "object",
                "properties": {"name": {"const": name}, "arguments": {"$ref": places[name]}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for name in given
        ]
        definitions = {
            places[name].rpartition("/")[2]: _checked(schema, "tools", places[name])
            for name, schema in given.items()
        }
        return [
            f"calls: call{' (TWO call)*' if self.parallel else ''}",
            'TWO: "\\n"',
            'call: "<tool_call>" call_end',
            'call_end: "\\n" body "\\n</tool_call>"',
            f"body: %json {_rule({'anyOf': options, '$defs': definitions})}",
        ]


def _arguments(name: str, schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the schema of a function's arguments, which are always an object.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, the schema allows no object.
    """
    kind = (schema or {}).get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else [kind]):
        message = f"the parameters of {name} are of type {kind!r:.100}, expected object"
        raise failure("REQUEST_UNSUPPORTED", message, where="tools")
    return {**(schema or {}), "type": "object"}


def _checked(schema: Mapping[str, Any], where: str, root: str = "#") -> Mapping[str, Any]:
    try:
        found = enforceable(schema)
        check_patterns(found, where)
        return found if root == "#" else enforceable(found, root)
    except RecursionError as error:
        message = "the schema cannot be enforced: it is nested too deeply"
        raise failure("REQUEST_UNSUPPORTED", message, where=where) from error


def _not_enforced(reason: str, where: str) -> MealkitError:
    if "oneOf" in reason:
        message = "the schema cannot be enforced: an answer may match several parts of a oneOf"
        hint = "write anyOf, or give all parts one required property with a const that differs"
        return failure("REQUEST_UNSUPPORTED", message, where=where, hint=hint)
    # The lines after the first one are the state of the parser.
    message = f"the schema cannot be enforced: {reason.partition(chr(10))[0]}"
    hint = f"leave the keyword or format out of the schema in {where}"
    return failure("REQUEST_UNSUPPORTED", message, where=where, hint=hint)


def _rule(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": _OPTIONS})
