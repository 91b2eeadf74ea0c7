"""Implements a ``GenerationWorker`` on top of a model that returns logits.

Raises RequestError for requests that do not fit into the context, and for features that the model,
template or configuration does not support. Runs one request at a time, in order of arrival, so that
other requests cannot change an answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.untrusted import read_file
from mealkit.worker.generation.chat_template import ChatTemplate
from mealkit.worker.generation.decoding import Assignment, Constraint, written
from mealkit.worker.generation.grammar import CallGrammar, GrammarConstraint, Schemas
from mealkit.worker.generation.logits_model import InterruptibleModel, TokenModel
from mealkit.worker.generation.pinned_values import GenerationConfig
from mealkit.worker.generation.token_choice import Logits
from mealkit.worker.generation.tool_calls import CLOSING_TAG, with_calls
from mealkit.worker.generation_values import (
    ChatInput,
    CompletionInput,
    GenerationEvent,
    Message,
    Sampling,
    Started,
    Tools,
)
from mealkit.worker.interface import IsCancelled, WorkerConfig
from mealkit.worker.measuring import TOLD_TOKENS, large_text, require_fitting, room_for_answer
from mealkit.worker.request_queue import RequestQueue

_MAX_TEMPLATE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Plan:
    """A checked request."""

    prompt: Sequence[int]
    sampling: Sampling
    alternatives: int | None
    constraints: Sequence[Constraint | None]
    """One constraint for each answer."""
    functions: Sequence[str] = ()
    """The functions that an answer may call."""


class Generator:
    """A ``GenerationWorker`` over one model; may be used from several threads at once."""

    def __init__(self, model: TokenModel, config: WorkerConfig) -> None:
        """Check the configuration against the model, and read the chat template.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
            EngineError: ``WEIGHTS_MISSING`` or ``ENGINE_START``.
        """
        checked = GenerationConfig.of(config)
        if checked.max_length > model.context_tokens:
            limit = model.context_tokens
            message = f"max_length is {checked.max_length}, the model's limit is {limit}"
            raise failure("ENGINE_START", message, where="hyperparameters.max_length")
        self._model = model
        self._config = checked
        self._template = _template_of(model, checked)
        self._schemas = Schemas(model)
        self._queue = RequestQueue()

    def chat(self, request: ChatInput, is_cancelled: IsCancelled) -> Iterator[GenerationEvent]:
        """Answer a conversation.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` with the tokens and the limit, ``REQUEST_INVALID``
                or ``REQUEST_UNSUPPORTED``.
            EngineError: the engine, or the kit's template, failed.
        """
        template = self._chat_template()
        tools = request.tools if request.tools and request.tools.choice != "none" else None
        if tools:
            self._check_tools(template)
        definitions = tools.definitions if tools else None
        text = template.render(request.messages, definitions, request.end)
        prompt = self._tokens(text, "messages", rendered=True, most=self._config.max_length)
        sampling = request.sampling
        if tools and not tools.parallel:
            sampling = replace(sampling, stop=(*sampling.stop, CLOSING_TAG))
        plan = _Plan(
            prompt,
            sampling,
            request.alternatives,
            self._constraints(request, tools),
            [_name_of(item) for item in tools.definitions] if tools else (),
        )
        return self._answers(self._checked(plan, "messages"), is_cancelled)

    def complete(
        self, request: CompletionInput, is_cancelled: IsCancelled
    ) -> Iterator[GenerationEvent]:
        """Continue a text.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` with the tokens and the limit, or
                ``REQUEST_INVALID``.
            EngineError: the engine failed.
        """
        rendered, most = not request.adds_special_tokens, self._config.max_length
        prompt = self._tokens(request.prompt, "prompt", rendered=rendered, most=most)
        plan = _Plan(prompt, request.sampling, request.alternatives, [None] * request.count)
        return self._answers(self._checked(plan, "prompt"), is_cancelled)

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens of a text, as for ``complete``.

        Raises:
            RequestError: ``REQUEST_TOO_LONG``, the text has more tokens than this method returns.
        """
        return self._tokens(text, "prompt", rendered=False, most=self._most_told)

    def tokenize_chat(self, messages: Sequence[Message]) -> Sequence[int]:
        """Return the tokens of a conversation, as for ``chat`` without tools.

        Raises:
            RequestError: the chat template rejects the messages, or the model has none;
                ``REQUEST_TOO_LONG``, there are more tokens than this method returns.
            EngineError: the template fails.
        """
        text = self._chat_template().render(messages)
        return self._tokens(text, "messages", rendered=True, most=self._most_told)

    @property
    def _most_told(self) -> int:
        return max(self._config.max_length, TOLD_TOKENS)

    def _tokens(self, text: str, where: str, *, rendered: bool, most: int) -> Sequence[int]:
        tokenize = partial(self._model.tokenize, rendered=rendered)
        require_fitting(text, most, tokenize, "the prompt", where)
        with large_text(len(text)):
            return tokenize(text)

    def _answers(self, plan: _Plan, is_cancelled: IsCancelled) -> Iterator[GenerationEvent]:
        with self._queue:
            for index, constraint in enumerate(plan.constraints):
                if is_cancelled():
                    return
                assignment = Assignment(
                    plan.prompt, plan.sampling, index, plan.alternatives, constraint, is_cancelled
                )
                logits = self._read(plan.prompt, is_cancelled)
                if logits is None:
                    return
                if index == 0:
                    yield Started(len(plan.prompt))
                events = written(self._model, assignment, logits)
                if plan.functions:
                    yield from with_calls(events, plan.functions)
                else:
                    yield from events

    def _read(self, prompt: Sequence[int], is_cancelled: IsCancelled) -> Logits | None:
        if isinstance(self._model, InterruptibleModel):
            return self._model.begin_unless(prompt, is_cancelled)
        return self._model.begin(prompt)

    def _checked(self, plan: _Plan, where: str) -> _Plan:
        """Return the plan with at most the tokens that the context has left."""
        count, wanted = len(plan.prompt), plan.sampling.max_tokens
        if not count:
            raise failure("REQUEST_INVALID", "the prompt has no tokens", where=where)
        most = room_for_answer(count, wanted, self._config.max_length, where)
        size = self._model.vocabulary_size
        for token_id in plan.sampling.logit_bias:
            if not 0 <= token_id < size:
                message = f"logit_bias names the token {token_id}, the model has {size}"
                raise failure("REQUEST_INVALID", message, where="logit_bias")
        return replace(plan, sampling=replace(plan.sampling, max_tokens=most))

    def _chat_template(self) -> ChatTemplate:
        if self._template is None:
            raise _unsupported("the kit has no chat template", "messages")
        return self._template

    def _check_tools(self, template: ChatTemplate) -> None:
        if self._config.tool_calls == "none":
            raise _unsupported("hyperparameters.tool_calls of this kit is none", "tools")
        if not template.takes_tools:
            raise _unsupported("the chat template does not support tools", "tools")

    def _constraints(
        self, request: ChatInput, tools: Tools | None
    ) -> Sequence[GrammarConstraint | None]:
        first = self._constraint(request, tools)
        return [first, *((first.copy() if first else None) for _ in range(request.count - 1))]

    def _constraint(self, request: ChatInput, tools: Tools | None) -> GrammarConstraint | None:
        if not tools:
            if request.schema is None:
                return None
            return self._schemas.constraint(request.schema, "response_format")
        called = {
            _name_of(item): item["function"]
            for item in tools.definitions
            if tools.named in (None, _name_of(item))
        }
        if tools.choice == "required":
            return self._schemas.grammar(_calls(called, tools).required(), "tools")
        if request.schema is not None:
            grammar = _calls(called, tools).or_matching(request.schema)
            return self._schemas.grammar(grammar, "tools")
        if not any(function.get("strict") for function in called.values()):
            return None
        # Only what is strict has to match its schema: a loose one may not be enforceable.
        strict = {
            name: function if function.get("strict") else {} for name, function in called.items()
        }
        text = _calls(strict, tools).after_text()
        return self._schemas.grammar(text, "tools", has_text=True)


def _template_of(model: TokenModel, config: GenerationConfig) -> ChatTemplate | None:
    match config.chat_template:
        case "none":
            return None
        case "model":
            where, source = "the weights", model.chat_template
            if source is None:
                message = "the weights contain no chat template"
                hint = "set hyperparameters.chat_template to none, or to a file below /models"
                raise failure("ENGINE_START", message, hint=hint)
        case name:
            path = config.model_root / name
            where = str(path)
            try:
                source = read_file(path, _MAX_TEMPLATE_BYTES).decode()
            except (OSError, ValueError) as error:
                message = f"the chat template {name} cannot be read: {error}"
                raise failure("WEIGHTS_MISSING", message, where=where) from error
    return ChatTemplate(source, model.special_tokens, where)


def _calls(functions: Mapping[str, Mapping[str, Any]], tools: Tools) -> CallGrammar:
    schemas = {name: function.get("parameters") for name, function in functions.items()}
    return CallGrammar(schemas, tools.parallel)


def _name_of(definition: Any) -> str:
    name: str = definition["function"]["name"]
    return name


def _unsupported(message: str, where: str) -> MealkitError:
    return failure("REQUEST_UNSUPPORTED", message, where=where)
