"""Generates the code of a template: evaluates nothing, and charges for the body of every loop."""

from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame

from mealkit.templating.weight import text_bytes

_NODE = 15
_SHARE = 32


class ChargedCode(CodeGenerator):
    """Writes code that calls the environment for every step that can take long.

    It is used without jinja2's optimizer. The only other place that would evaluate constants, the
    output, does so only for plain text.
    """

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)

    def visit_ExprStmt(self, node: nodes.ExprStmt, _frame: Frame) -> None:  # noqa: N802
        """Write a charge from `charge_bodies`; templates cannot contain such a statement."""
        work, memory_bytes = node.node.value  # type: ignore[attr-defined]
        self.writeline(f"environment.spend({work}, {memory_bytes})", node)

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: FBT001, FBT002, N802
        """Write ``a(b)``, or the charge that `charge_bodies` added before a condition."""
        if isinstance(node.node, nodes.EnvironmentAttribute):
            self.write(f"environment.{node.node.name}({node.args[0].value})")  # type: ignore[attr-defined]
        else:
            super().visit_Call(node, frame, forward_caller=forward_caller)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """Write ``a ~ b``."""
        self.write("environment.joined(")
        self._write_tuple(node.nodes, frame)
        self.write(")")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
        """Write ``a < b``."""
        self.write("environment.compared(")
        self._write_tuple([node.expr, *(item.expr for item in node.ops)], frame)
        self.write(f", {tuple(item.op for item in node.ops)!r})")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        """Write ``a[b]`` and ``a[b:c]``."""
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.part_of(")
        self.visit(node.node, frame)
        for bound in (node.arg.start, node.arg.stop, node.arg.step):
            self.write(", ")
            if bound is None:
                self.write("None")
            else:
                self.visit(bound, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        """Write ``{a: b}``."""
        self.write("environment.mapping((")
        for item in node.items:
            self._write_tuple([item.key, item.value], frame)
            self.write(", ")
        self.write("))")

    def _write_tuple(self, items: list[nodes.Expr], frame: Frame) -> None:
        self.write("(")
        for item in items:
            self.visit(item, frame)
            self.write(", ")
        self.write(")")


def charge_bodies(node: nodes.Node) -> tuple[int, int]:
    """Add a charge before every body that can run repeatedly; return the cost of the rest."""
    match node:
        case nodes.TemplateData():
            size = text_bytes(node.data)
            return _NODE + size // _SHARE, size
        case nodes.For():
            inner = _sum([node.target, *([node.test] if node.test else []), *node.body])
            node.body.insert(0, _charge(inner, node))
            if node.test:
                node.test = _charged_test(node.test, inner)
            return _sum([node.iter, *node.else_])
        case nodes.Macro():
            node.body.insert(0, _charge(_sum([*node.args, *node.defaults, *node.body]), node))
            return _NODE, 0
        case nodes.CallBlock():
            node.body.insert(0, _charge(_sum([*node.args, *node.defaults, *node.body]), node))
            return _sum([node.call])
        case nodes.Block():
            node.body.insert(0, _charge(_sum(node.body), node))
            return _NODE, 0
        case _:
            return _sum(list(node.iter_child_nodes()))


def _sum(parts: list[nodes.Node]) -> tuple[int, int]:
    charges = [charge_bodies(part) for part in parts]
    return _NODE + sum(work for work, _ in charges), sum(memory for _, memory in charges)


def _charge(charge: tuple[int, int], node: nodes.Node) -> nodes.ExprStmt:
    return nodes.ExprStmt(nodes.Const(charge), lineno=node.lineno)


def _charged_test(test: nodes.Node, charge: tuple[int, int]) -> nodes.And:
    """Charge for a loop's condition, which also runs for items that the body never gets."""
    call = nodes.Call(
        nodes.EnvironmentAttribute("spend_first"),
        [nodes.Const(charge[0])],
        [],
        None,
        None,
        lineno=test.lineno,
    )
    return nodes.And(call, test, lineno=test.lineno)
