"""Checks the types of fields in manifests and configs (image-spec v1.1).

Returns the faults as sentences.
"""

from collections.abc import Callable
from typing import Any

Check = Callable[[Any], bool]


def manifest_faults(form: dict[str, Any], media_type: str) -> list[str]:
    """Return the faults in a manifest's own fields; descriptors are checked elsewhere."""
    faults = []
    if form.get("schemaVersion") != 2:
        faults.append(f"the manifest's schemaVersion is {form.get('schemaVersion')!r}, not 2")
    if form.get("mediaType", media_type) != media_type:
        faults.append(f"the manifest's mediaType is {form['mediaType']}, expected {media_type}")
    if not _is_text_map(form.get("annotations", {})):
        faults.append("the manifest's annotations are not texts by name")
    return faults


def config_faults(form: dict[str, Any]) -> list[str]:
    """Return the faults of a config; additional fields are allowed."""
    faults = [
        f"the config's {name} is {form.get(name)!r}, not a name"
        for name in ("architecture", "os")
        if not isinstance(form.get(name), str) or not form[name]
    ]
    if form["rootfs"].get("type") != "layers":
        faults.append(f"the config's rootfs.type is {form['rootfs'].get('type')!r}, not 'layers'")
    history = form.get("history")
    if history:
        layers = sum(not item.get("empty_layer") for item in history)
        if layers != len(form["rootfs"]["diff_ids"]):
            faults.append(f"the history has {layers} layers")
    run = form.get("config") or {}
    if not isinstance(run, dict):
        return [*faults, "the config's config is not an object"]
    return faults + [
        f"the config's {name} has the wrong type: {run[name]!r}"
        for name, check in _RUN_FIELDS.items()
        if run.get(name) is not None and not check(run[name])
    ]


def type_faults(form: dict[str, Any]) -> list[str]:
    """Return the fields of a config whose type differs from what every reader of images expects.

    These are fewer than `config_faults`: images of other tools may lack a name, or have a variable
    without a value, and still run.
    """
    faults = [
        f"the config's {name} is not a text"
        for name in ("architecture", "os", "variant", "created", "author")
        if form.get(name) is not None and not _is_plain(form[name])
    ]
    run = form.get("config") or {}
    if not isinstance(run, dict):
        return [*faults, "the config's config is not an object"]
    return faults + [
        f"the config's {name} has the wrong type"
        for name, check in _RUN_TYPES.items()
        if run.get(name) is not None and not check(run[name])
    ]


def _is_plain(value: Any) -> bool:
    """Return whether a value is a text that a process can receive: without NUL."""
    return isinstance(value, str) and "\0" not in value


def _are_plain(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_plain, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_environment(value: Any) -> bool:
    return _is_texts(value) and all("=" in item[1:] for item in value)


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_set(value: Any) -> bool:
    return isinstance(value, dict) and all(item in ({}, None) for item in value.values())


_RUN_FIELDS: dict[str, Check] = {
    "User": _is_text,
    "ExposedPorts": _is_set,
    "Env": _is_environment,
    "Entrypoint": _is_texts,
    "Cmd": _is_texts,
    "Volumes": _is_set,
    "WorkingDir": _is_text,
    "Labels": _is_text_map,
    "StopSignal": _is_text,
}
_RUN_TYPES: dict[str, Check] = {
    "User": _is_plain,
    "ExposedPorts": lambda value: isinstance(value, dict),
    "Env": _are_plain,
    "Entrypoint": _are_plain,
    "Cmd": _are_plain,
    "Volumes": lambda value: isinstance(value, dict),
    "WorkingDir": _is_plain,
    "Labels": _is_text_map,
    "StopSignal": _is_plain,
}
