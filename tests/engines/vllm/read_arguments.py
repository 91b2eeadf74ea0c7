"""Read vLLM's own definitions out of its wheel, without running any of it.

``python tests/engines/vllm/read_arguments.py vllm-0.33.0-*.whl > tests/engines/vllm/definitions/0.33.0.json``

Flags come from ``add_argument`` calls and the fields of the configuration classes, as
vllm/engine/arg_utils.py (get_kwargs) makes parsers of them; request fields from the protocol
classes; routes from their decorators; messages from the statements that write them.
"""

import ast
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENGINE = "vllm/engine/arg_utils.py"
# Where the class or function stands differs between versions: it is looked for below the folder.
SERVER_FOLDER = "vllm/entrypoints/"
REQUESTS = {
    "ChatCompletionRequest": "vllm/entrypoints/openai/",
    "CompletionRequest": "vllm/entrypoints/openai/",
    "StreamOptions": "vllm/entrypoints/",
    "ResponseFormat": "vllm/entrypoints/",
    "EmbeddingCompletionRequest": "vllm/entrypoints/pooling/",
    "TokenizeCompletionRequest": "vllm/entrypoints/serve/",
    "TokenizeChatRequest": "vllm/entrypoints/serve/",
    "TokenizeResponse": "vllm/entrypoints/serve/",
    "ErrorInfo": "vllm/entrypoints/",
    "UsageInfo": "vllm/entrypoints/",
    "PoolerConfig": "vllm/config/",
}
# What the engine and its server say, by a phrase of it, and the folder to look in.
MESSAGES = {
    "too many tokens": ("vllm/renderers/", "input tokens, which exceeds"),
    "too many characters": ("vllm/renderers/", "is the upper bound for"),
    "too much asked": ("vllm/renderers/", "Please request fewer output tokens"),
    "input too long": ("vllm/entrypoints/serve/", "exceeds model's maximum"),
    "no free memory": ("vllm/v1/worker/", "is less than desired GPU memory utilization"),
    "context too long": ("vllm/v1/core/", "To serve at least one request"),
    "longest context": ("vllm/v1/core/", "the estimated maximum model length"),
    "no cache": ("vllm/v1/core/", "No available memory for the cache blocks"),
    "core failed": ("vllm/v1/engine/", "Engine core initialization failed"),
    "core dead": ("vllm/v1/engine/", "EngineCore encountered an issue"),
    # From 0.33 on callers get another sentence than the log.
    "dead, for callers": (
        "vllm/v1/engine/",
        "The server had an error",
        "EngineCore encountered an issue",
    ),
    "stopping": ("vllm/entrypoints/launchers/", "stopping engine client mode"),
    "worker died": ("vllm/v1/executor/", "died unexpectedly"),
    "version and model": ("vllm/entrypoints/", "server version %s, serving model"),
    "starting": ("vllm/entrypoints/", "Starting vLLM server on"),
    "unknown model": ("vllm/entrypoints/", "does not exist"),
}


class Wheel:
    """The Python files of a wheel, parsed when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.archive = zipfile.ZipFile(path)
        self.names = self.archive.namelist()
        self._trees: dict[str, ast.Module] = {}

    def tree(self, name: str) -> ast.Module:
        """Parse a file, once."""
        if name not in self._trees:
            self._trees[name] = ast.parse(self.archive.read(name))
        return self._trees[name]

    def under(self, prefix: str) -> Iterator[str]:
        """Yield the Python files below a folder."""
        return (name for name in self.names if name.startswith(prefix) and name.endswith(".py"))

    def defining(self, name: str, prefix: str) -> str:
        """Return the file below a folder that defines a class or function."""
        for file in sorted(self.under(prefix)):
            for node in self.tree(file).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                    return file
        raise SystemExit(f"nothing below {prefix} defines {name}")


class Definitions:
    """The classes and named literals of vLLM's configuration."""

    def __init__(self, wheel: Wheel) -> None:
        self.classes: dict[str, ast.ClassDef] = {}
        self.aliases: dict[str, ast.expr] = {}
        files = [
            *wheel.under("vllm/config/"),
            "vllm/model_executor/layers/quantization/__init__.py",
            "vllm/model_executor/model_loader/__init__.py",
            "vllm/tool_parsers/tool_strict_level.py",
            *wheel.under("vllm/renderers/"),
            *(name for name in wheel.under(SERVER_FOLDER) if "protocol" in name),
            wheel.defining("make_arg_parser", SERVER_FOLDER),
            ENGINE,
        ]
        for name in (name for name in files if name in wheel.names):
            for node in wheel.tree(name).body:
                if isinstance(node, ast.ClassDef):
                    self.classes.setdefault(node.name, node)
                elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                    if isinstance(target, ast.Name):
                        self.aliases.setdefault(target.id, node.value)

    def fields(self, name: str) -> dict[str, tuple[ast.expr, ast.expr | None]]:
        """Return a class's fields, inherited ones too: annotation and default."""
        found: dict[str, tuple[ast.expr, ast.expr | None]] = {}
        node = self.classes[name]
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in self.classes:
                found |= self.fields(base.id)
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                found[item.target.id] = (item.annotation, item.value)
        return found

    def leaves(self, annotation: ast.expr) -> set[str]:
        """Take a type apart: ``bool``, ``None``, ``'a literal'``, ``list[...]``, ``SomeClass``."""
        match annotation:
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.leaves(left) | self.leaves(right)
            case ast.Constant(value=str(text)):  # a type in quotes
                return self.leaves(ast.parse(text, mode="eval").body)
            case ast.Constant(value=value):
                return {repr(value)}
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
                return self.leaves(first)
            case ast.Subscript(value=ast.Name(id="Literal"), slice=options):
                items = options.elts if isinstance(options, ast.Tuple) else [options]
                return set().union(*(self._option(item) for item in items))
            case ast.Name(id=name) if name in self.aliases and name not in self.classes:
                return self.leaves(self.aliases[name])
            case _:
                return {ast.unparse(annotation)}

    def _option(self, item: ast.expr) -> set[str]:
        # Literal["auto", SomeOtherLiteral]
        return {repr(item.value)} if isinstance(item, ast.Constant) else self.leaves(item)

    def default(self, value: ast.expr | None) -> Any:
        """Return a default that can be read from the source; text in <> for any other."""
        if isinstance(value, ast.Call) and ast.unparse(value.func) in {"Field", "field"}:
            named = {word.arg: word.value for word in value.keywords}
            value = named.get("default", value.args[0] if value.args else None)
            value = value or named.get("default_factory")
        if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
            owner = self.classes.get(value.value.id)
            if owner and value.attr in self.fields(value.value.id):
                return self.default(self.fields(value.value.id)[value.attr][1])
        if isinstance(value, ast.Name):
            for node in ast.walk(ast.Module([*self.classes.values()], [])):
                if (
                    isinstance(node, ast.AnnAssign)
                    and ast.unparse(node.target) == value.id
                    and node.value
                ):
                    return self.default(node.value)
        try:
            return None if value is None else ast.literal_eval(value)
        except ValueError:
            return f"<{ast.unparse(value)}>" if value else None


def flag(definitions: Definitions, owner: str, field: str) -> dict[str, Any]:
    """Say how a field of a configuration class is parsed, as vLLM's get_kwargs does."""
    annotation, value = definitions.fields(owner)[field]
    leaves = definitions.leaves(annotation)
    plain = leaves - {"None"}
    literals = sorted(ast.literal_eval(leaf) for leaf in plain if leaf[0] in "'\"")
    found: dict[str, Any] = {"default": definitions.default(value), "from": f"{owner}.{field}"}
    if any(leaf in definitions.classes and leaf.endswith("Config") for leaf in plain):
        found["kind"] = "json"
    elif plain == {"bool", "str"}:
        found["kind"] = "optional text"
    elif "bool" in plain:
        found["kind"] = "switch"
    elif literals:
        found |= {"kind": "text" if "str" in plain else "choice", "choices": literals}
    elif any(re.match(r"(list|tuple|set)\b", leaf) for leaf in plain):
        found["kind"] = "list"
    elif "int" in plain:
        found["kind"] = "integer"
    elif "float" in plain:
        found["kind"] = "number"
    elif any(leaf.startswith("dict") for leaf in plain):
        found["kind"] = "json"
    else:
        found["kind"] = "text"
    return found


def engine_flags(wheel: Wheel, definitions: Definitions) -> dict[str, dict[str, Any]]:
    """Read the calls of add_argument in EngineArgs and AsyncEngineArgs."""
    flags: dict[str, dict[str, Any]] = {}
    for owner in ("EngineArgs", "AsyncEngineArgs"):
        method = next(
            item
            for item in definitions.classes[owner].body
            if isinstance(item, ast.FunctionDef) and item.name == "add_cli_args"
        )
        variables: dict[str, tuple[str, str | None]] = {}
        for node in (item for item in ast.walk(method) if isinstance(item, ast.Assign)):
            target = node.targets[0]
            match node.value:
                case ast.Call(func=ast.Name(id="get_kwargs"), args=[ast.Name(id=name)]):
                    variables[ast.unparse(target)] = (name, None)
                case ast.Subscript(
                    value=ast.Call(func=ast.Name(id="get_kwargs"), args=[ast.Name(id=name)]),
                    slice=ast.Constant(value=field),
                ):
                    variables[ast.unparse(target)] = (name, field)
        for node in (item for item in ast.walk(method) if isinstance(item, ast.Assign)):
            # moe_backend_kwargs = kernel_kwargs["moe_backend"]
            match node.value:
                case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=field)):
                    if name in variables and isinstance(node.targets[0], ast.Name):
                        variables[node.targets[0].id] = (variables[name][0], field)
        for call in (item for item in ast.walk(method) if isinstance(item, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
                found = _argument(call, variables, definitions)
                flags |= {name.value: found for name in call.args}  # type: ignore[attr-defined]
    return flags


def _argument(
    call: ast.Call, variables: dict[str, tuple[str, str | None]], definitions: Definitions
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    explicit = {word.arg: word.value for word in call.keywords if word.arg}
    for word in call.keywords:
        if word.arg is None:
            found |= _spread(word.value, variables, definitions)
    action = ast.unparse(explicit["action"]) if "action" in explicit else ""
    if action == "'store_true'":
        found |= {"kind": "on", "default": False}
    elif action == "argparse.BooleanOptionalAction":
        found["kind"] = "switch"
    elif "choices" in explicit:
        try:
            found |= {"kind": "choice", "choices": ast.literal_eval(explicit["choices"])}
        except ValueError:
            found["kind"] = "text"
    elif "type" in explicit:
        kinds = {"int": "integer", "str": "text", "float": "number"}
        found["kind"] = kinds.get(ast.unparse(explicit["type"]), "text")
    if "default" in explicit:
        found["default"] = definitions.default(explicit["default"])
    return {"kind": "text", "default": None} | found


def _spread(
    value: ast.expr, variables: dict[str, tuple[str, str | None]], definitions: Definitions
) -> dict[str, Any]:
    match value:
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=field)):
            return flag(definitions, variables[name][0], str(field))
        case ast.Name(id=name):
            owner, field = variables[name]
            return flag(definitions, owner, str(field))
        case ast.Dict(keys=keys, values=values):
            found: dict[str, Any] = {}
            for key, item in zip(keys, values, strict=True):
                if key is None:
                    found |= _spread(item, variables, definitions)
                elif ast.unparse(key) == "'default'":
                    found["default"] = definitions.default(item)
            return found
        case _:
            raise SystemExit(f"cannot read {ast.unparse(value)}")


def server_flags(wheel: Wheel, definitions: Definitions) -> dict[str, dict[str, Any]]:
    """Read the fields of FrontendArgs, and what make_arg_parser adds."""
    flags = {
        f"--{field.replace('_', '-')}": flag(definitions, "FrontendArgs", field)
        for field in definitions.fields("FrontendArgs")
    }
    for name in ("allowed_origins", "allowed_methods", "allowed_headers"):
        # Special case in FrontendArgs._customize_cli_kwargs
        flags[f"--{name.replace('_', '-')}"]["kind"] = "json"
    parser = next(
        node
        for node in wheel.tree(wheel.defining("make_arg_parser", SERVER_FOLDER)).body
        if isinstance(node, ast.FunctionDef) and node.name == "make_arg_parser"
    )
    for call in (item for item in ast.walk(parser) if isinstance(item, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
            found = _argument(call, {}, definitions)
            flags |= {name.value: found for name in call.args}  # type: ignore[attr-defined]
    return flags


def requests(definitions: Definitions) -> dict[str, dict[str, list[str]]]:
    """Return the fields of the protocol classes and the types that each takes."""
    return {
        name: {
            field: sorted(definitions.leaves(annotation))
            for field, (annotation, _) in definitions.fields(name).items()
            if not field.startswith("_") and "ClassVar" not in ast.unparse(annotation)
        }
        for name in REQUESTS
    }


def routes(wheel: Wheel) -> list[str]:
    """Return ``METHOD /path`` of every route that a decorator of a router names."""
    found = set()
    for name in wheel.under("vllm/entrypoints/"):
        for node in ast.walk(wheel.tree(name)):
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                for mark in node.decorator_list:
                    match mark:
                        case ast.Call(
                            func=ast.Attribute(value=ast.Name(id="router"), attr=method),
                            args=[ast.Constant(value=str(path)), *_],
                        ):
                            found.add(f"{method.upper()} {path}")
            # metrics_route = Mount("/metrics", ...)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Mount":
                found.add(f"GET {ast.literal_eval(node.args[0])}")
    return sorted(found)


def messages(wheel: Wheel) -> dict[str, str]:
    """Return what is written by the statements that hold the phrases; ``{...}`` where values go."""
    found = {}
    for key, (folder, *phrases) in MESSAGES.items():
        nodes = (
            node for name in sorted(wheel.under(folder)) for node in ast.walk(wheel.tree(name))
        )
        texts = [text for text in map(_text, nodes) if text and len(text) < 2000]
        said = [[text for text in texts if phrase in text] for phrase in phrases]
        matching = next(filter(None, said), None)
        if matching is None:
            raise SystemExit(f"nothing below {folder} says {phrases}")
        found[key] = max(matching, key=len)
    return found


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(
                str(part.value)
                if isinstance(part, ast.Constant)
                else "{" + ast.unparse(part.value) + "}"  # type: ignore[attr-defined]
                for part in values
            )
        case _:
            return ""


def environment(wheel: Wheel) -> list[str]:
    """Return the names of the variables that vllm/envs.py reads."""
    for node in ast.walk(wheel.tree("vllm/envs.py")):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "environment_variables":
            assert isinstance(node.value, ast.Dict)
            return sorted(ast.literal_eval(key) for key in node.value.keys if key)
    raise SystemExit("vllm/envs.py has no environment_variables")


def metrics(wheel: Wheel) -> list[str]:
    """Return the names of the metrics, as they are given to prometheus_client."""
    found = set()
    for name in (*wheel.under("vllm/v1/metrics/"), "vllm/v1/spec_decode/metrics.py"):
        for node in ast.walk(wheel.tree(name)):
            text = _text(node)
            if re.fullmatch(r"vllm:[a-z0-9_]+", text):
                found.add(text)
    return sorted(found)


def tool_parsers(wheel: Wheel) -> list[str]:
    """Return the names that --tool-call-parser knows."""
    for node in wheel.tree("vllm/tool_parsers/__init__.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("_TO_REGISTER"):
            assert isinstance(node.value, ast.Dict)
            return sorted(ast.literal_eval(key) for key in node.value.keys if key)
    raise SystemExit("vllm/tool_parsers has no table")


def attention_backends(wheel: Wheel) -> list[str]:
    """Return the names that --attention-backend knows: the members of an enumeration."""
    for node in wheel.tree("vllm/v1/attention/backends/registry.py").body:
        if isinstance(node, ast.ClassDef) and node.name == "AttentionBackendEnum":
            return sorted(
                item.targets[0].id
                for item in node.body
                if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name)
            )
    raise SystemExit("vllm has no AttentionBackendEnum")


def main(path: Path) -> None:
    """Print everything as JSON."""
    wheel = Wheel(path)
    definitions = Definitions(wheel)
    flags = engine_flags(wheel, definitions) | server_flags(wheel, definitions)
    found = {
        "version": path.name.split("-")[1],
        "wheel": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "flags": {name: dict(sorted(flags[name].items())) for name in sorted(flags)},
        "requests": requests(definitions),
        "routes": routes(wheel),
        "messages": messages(wheel),
        "environment": environment(wheel),
        "metrics": metrics(wheel),
        "tool_parsers": tool_parsers(wheel),
        "attention_backends": attention_backends(wheel),
    }
    sys.stdout.write(_lines(found))


def _lines(found: dict[str, Any]) -> str:
    """Write JSON with one line per item, so that versions can be compared line by line."""
    parts = []
    for key, value in found.items():
        if isinstance(value, dict):
            items = [f"  {_json(name)}: {_json(item)}" for name, item in value.items()]
            text = "{\n" + ",\n".join(items) + "\n }"
        elif isinstance(value, list):
            text = "[\n" + ",\n".join(f"  {_json(item)}" for item in value) + "\n ]"
        else:
            text = _json(value)
        parts.append(f" {_json(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
