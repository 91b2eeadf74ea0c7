"""jinja2's sandbox with a budget: compiles and renders untrusted templates.

Compiling a template evaluates nothing. Rendering charges every loop, call, operator, filter,
attribute and piece of output before it runs. Templates can use only values with a known cost:
texts, numbers, lists, mappings, and jinja2's own helpers.
"""

from collections.abc import Iterator, Mapping
from types import MethodType
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import _GroupTuple
from jinja2.runtime import (
    BlockReference,
    Context,
    LoopContext,
    Macro,
    TemplateReference,
    Undefined,
)
from jinja2.sandbox import safe_range
from jinja2.utils import Cycler, Joiner, Namespace, missing

from mealkit.templating import operators
from mealkit.templating.compiler import ChargedCode, charge_bodies
from mealkit.templating.filters import bounded_filters, bounded_tests
from mealkit.templating.meter import CostMeter, charged_to, counted, spend, spend_first
from mealkit.templating.parsing import BoundedParser, TemplateRefusedError
from mealkit.templating.string_methods import METHODS, Method, charge_copy
from mealkit.templating.weight import weigh

_CALL = 150
_ATTRIBUTE = 40
_LOOP = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"}
    | {"previtem", "nextitem", "cycle", "changed"}
)
# The attributes of jinja2's own helpers that templates may use; None: all of their items.
_HELPERS: Mapping[type, frozenset[str] | None] = {
    LoopContext: _LOOP,
    Cycler: frozenset({"next", "current", "reset"}),
    Macro: frozenset({"name", "arguments", "catch_kwargs", "catch_varargs", "caller"}),
    BlockReference: frozenset({"super"}),
    _GroupTuple: frozenset({"grouper", "list"}),
    Joiner: frozenset(),
    TemplateReference: None,
    Namespace: None,
}
_CALLABLE = (Macro, LoopContext, BlockReference, Joiner, Undefined)


class BoundedEnvironment(BoundedParser):
    """An environment for untrusted templates; `BoundedTemplate` renders them."""

    code_generator_class = ChargedCode
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    joined = staticmethod(operators.joined)
    compared = staticmethod(operators.compared)
    part_of = staticmethod(operators.part_of)
    mapping = staticmethod(operators.mapping)
    spend = staticmethod(spend)
    spend_first = staticmethod(spend_first)

    def __init__(self, **options: Any) -> None:
        super().__init__(
            optimized=False, autoescape=False, finalize=operators.written, cache_size=0, **options
        )
        self.filters: dict[str, Any] = {**bounded_filters(), "attr": self._charged_attribute}
        self.tests: dict[str, Any] = bounded_tests()
        self.globals = {
            "range": _range,
            "dict": _dict,
            "namespace": _namespace,
            "cycler": _cycler,
            "joiner": Joiner,
        }
        self._functions = list(self.globals.values())

    def allow(self, name: str, function: Any) -> None:
        """Allow templates to call a function, which must charge for itself."""
        self.globals[name] = function
        self._functions.append(function)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """Return the result of a binary operator."""
        return operators.combined(operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return ``obj.attribute``: an attribute, or else an item."""
        spend(_ATTRIBUTE)
        found = self._attribute(obj, attribute)
        return self._item(obj, attribute) if found is missing else found

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return ``obj[argument]``: an item, or else an attribute."""
        spend(_ATTRIBUTE)
        operators.charge_key(argument)
        try:
            return obj[argument]
        except (TypeError, LookupError, AttributeError):
            found = self._attribute(obj, argument) if isinstance(argument, str) else missing
        return self.undefined(obj=obj, name=argument) if found is missing else found

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function that templates may call.

        Raises:
            SecurityError: templates may not call it.
        """
        spend(_CALL)
        if type(obj) is Method:
            kwargs.pop("_loop_vars", None)
            kwargs.pop("_block_vars", None)
            return obj(*args, **kwargs)
        if callable(obj) and not self._is_known(obj):
            raise SecurityError("a template may not call this function")
        if isinstance(obj, MethodType):
            # loop.changed compares its arguments.
            spend(weigh(*args).size_bytes // 8)
        made = context.call(obj, *args, **kwargs)
        if isinstance(made, str):
            charge_copy(made)
        return made

    def _is_known(self, function: Any) -> bool:
        if isinstance(function, MethodType):
            return type(function.__self__) in _HELPERS
        return isinstance(function, _CALLABLE) or any(
            function is known for known in self._functions
        )

    def _attribute(self, obj: Any, name: str) -> Any:
        """Return an attribute, an undefined value with the reason, or ``missing``."""
        kind = type(obj)
        methods = METHODS.get(kind)
        if methods is not None:
            if name in methods:
                method = getattr(obj, name)
                # str.format reads attributes unchecked; jinja2's goes through this environment.
                function = self.wrap_str_format(method) or method
                return Method(obj, function, methods[name])
        elif kind in _HELPERS:
            allowed = _HELPERS[kind]
            if not name.startswith("_") and (allowed is None or name in allowed):
                return getattr(obj, name, missing)
        elif isinstance(obj, Undefined):
            return getattr(obj, name)
        return self.unsafe_undefined(obj, name) if hasattr(kind, name) else missing

    def _item(self, obj: Any, name: str) -> Any:
        try:
            return obj[name]
        except (TypeError, LookupError, AttributeError):
            return self.undefined(obj=obj, name=name)

    def _charged_attribute(self, obj: Any, name: Any) -> Any:
        """Return the result of the filter ``attr``: an attribute, never an item."""
        spend(_CALL)
        found = self._attribute(obj, str(name)) if isinstance(name, str) else missing
        return self.undefined(obj=obj, name=name) if found is missing else found


class BoundedTemplate:
    """A compiled template; several threads may render it concurrently."""

    def __init__(self, environment: BoundedEnvironment, tree: nodes.Template) -> None:
        """Compile the tree of a template that this environment has parsed; this changes the tree.

        Raises:
            TemplateRefusedError: the template cannot be compiled.
        """
        for node in tree.find_all(nodes.EvalContextModifier):
            raise TemplateRefusedError("it switches autoescape", node.lineno)
        self._charge = charge_bodies(tree)
        try:
            code = environment.compile(tree)
        except TemplateSyntaxError as error:
            raise TemplateRefusedError(error.message or "", error.lineno) from None
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            raise TemplateRefusedError(f"Python cannot compile it: {error}") from None
        self._template = Template.from_code(environment, code, environment.globals, None)

    def render(self, values: Mapping[str, Any], meter: CostMeter) -> str:
        """Render the template.

        Raises:
            TooCostlyError: the rendering exceeds the budget.
            Exception: any error that a template can raise.
        """
        with charged_to(meter):
            meter.spend(*self._charge)
            context = self._template.new_context(dict(values))
            return "".join(self._template.root_render_func(context))


def _range(*bounds: Any) -> range:
    spend(_CALL * 2)
    return safe_range(*bounds)


def _dict(*given: Any, **members: Any) -> dict[Any, Any]:
    return dict(*map(_pairs, given), **members)


def _namespace(*given: Any, **members: Any) -> Namespace:
    spend(_CALL * 2)
    return Namespace(*map(_pairs, given), **members)


def _cycler(*items: Any) -> Cycler:
    spend(_CALL)
    return Cycler(*items)


def _pairs(given: Any) -> Any:
    """Charge for the items that a mapping is built from."""
    spend(_CALL)
    if isinstance(given, Mapping):
        spend(len(given) * 4, len(given) * 100)
        return given
    pairs = list(counted(given)) if isinstance(given, Iterator) else given
    spend(weigh(pairs).size_bytes // 8)
    return pairs
