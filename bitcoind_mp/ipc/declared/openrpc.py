"""`rpc.discover`'s answer: an OpenRPC 1.3 document (spec.open-rpc.org) made from signatures and docstrings."""

from collections.abc import Iterable
from typing import Any

import msgspec

from bitcoind_mp.interfaces.init import Hello

from .help import usage
from .signature import Method, Parameter
from .values import callback_interface

_REFERENCE = "#/components/schemas/{name}"


def document(hello: Hello, methods: Iterable[Method]) -> dict[str, Any]:
    """The document for a server's methods."""
    components: dict[str, Any] = {}
    return {
        "openrpc": "1.3.2",
        "info": {"title": f"bitcoind-mp {hello.role}", "version": hello.version, "x-protocol": hello.protocol},
        "methods": [_method(method, components) for method in methods],
        "components": {"schemas": components},
    }


def _method(method: Method, components: dict[str, Any]) -> dict[str, Any]:
    declaration = method.declaration
    entry: dict[str, Any] = {
        "name": method.name,
        "summary": method.doc.summary,
        "description": method.doc.description,
        "paramStructure": "either",
        "params": [_parameter(parameter, method, components) for parameter in method.parameters],
        "x-changes": declaration.changes,
    }
    if method.is_command:
        entry["tags"] = [{"name": declaration.topic}]
        entry["x-usage"] = usage(method)
        if declaration.options:
            entry["x-options"] = declaration.options
    if declaration.notification:
        entry["x-notification"] = True
    else:
        entry["result"] = {
            "name": "result",
            "description": method.doc.returns,
            "schema": _schema(method.returns, components),
        }
    return entry


def _parameter(parameter: Parameter, method: Method, components: dict[str, Any]) -> dict[str, Any]:
    if method.is_command:
        schema: dict[str, Any] = {"type": list(parameter.kinds)} if len(parameter.kinds) > 1 else {}
        if len(parameter.kinds) == 1:
            schema = {"type": parameter.kinds[0]}
    elif (interface := callback_interface(parameter.annotation)) is not None:
        schema = {"type": "integer", "description": f"the number of a {interface.__name__} served on this connection"}
    else:
        schema = _schema(parameter.annotation, components)
    entry: dict[str, Any] = {
        "name": parameter.name,
        "description": parameter.description,
        "required": parameter.required,
        "schema": schema,
    }
    if parameter.aliases:
        entry["x-aliases"] = list(parameter.aliases)
    if parameter.secret:
        entry["x-secret"] = True
    return entry


def _schema(annotation: Any, components: dict[str, Any]) -> dict[str, Any]:
    try:
        (schema,), found = msgspec.json.schema_components([annotation], ref_template=_REFERENCE)
    except TypeError:
        return {}
    components.update(found)
    return schema
