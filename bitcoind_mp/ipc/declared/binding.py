"""A request's params to a command's arguments, with Bitcoin Core's rules and words.

``RPCHelpMan::HandleRequest`` and ``RPCArg::MatchesType`` (``src/rpc/util.cpp``), ``transformNamedArguments``
(``src/rpc/server.cpp``), number ranges as UniValue's ``getInt`` and ``get_real`` have them.
"""

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.repeated import RepeatedMembers

from .signature import JSON_NAMES, Method, Parameter

Convert = Callable[[Any, str], Any]
_INT64 = range(-(2**63), 2**63)


class Binder:
    """Binds params for one command. ``usage`` gives the text that a wrong number of them is answered with."""

    def __init__(self, method: Method, usage: Callable[[], str]) -> None:
        self._parameters = method.parameters
        self._usage = usage
        self._converters = [converter(parameter) for parameter in method.parameters]
        self._defaults = [parameter.default for parameter in method.parameters]
        self._most = len(self._parameters)
        self._least = max((i + 1 for i, p in enumerate(self._parameters) if p.required), default=0)

    def bind(self, params: list[Any] | dict[str, Any] | None) -> list[Any]:
        """The arguments in order, defaults filled in.

        Raises:
            RpcError: MISC_ERROR with the help text (wrong number), TYPE_ERROR, INVALID_PARAMETER.
        """
        if not params and not self._least and not isinstance(params, dict):
            return self._defaults
        given = self.positional(params) if isinstance(params, dict) else params or ()
        if not self._least <= len(given) <= self._most:
            raise RpcError(RpcCode.MISC_ERROR, self._usage())
        self._check_types(given)
        arguments = self._defaults.copy()
        for index, value in enumerate(given):
            if value is not None:
                convert = self._converters[index]
                arguments[index] = value if convert is None else convert(value, self._parameters[index].name)
        return arguments

    def _check_types(self, given: Any) -> None:
        wrong: dict[str, str] = {}
        for index, value in enumerate(given):
            parameter = self._parameters[index]
            accepts = parameter.accepts
            if accepts and type(value) not in accepts and (value is not None or parameter.required):
                if parameter.several:
                    raise RpcError(RpcCode.TYPE_ERROR, mismatch(value, parameter))
                wrong[f"Position {index + 1} ({parameter.names})"] = mismatch(value, parameter)
        if wrong:
            raise RpcError(RpcCode.TYPE_ERROR, f"Wrong type passed:\n{json.dumps(wrong, indent=4)}")

    def positional(self, params: dict[str, Any]) -> list[Any]:
        """Named params in order of position, None in the holes between them (Core's ``transformNamedArguments``)."""
        if isinstance(params, RepeatedMembers):
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Parameter {params.repeated} specified multiple times")
        given = dict(params)
        bound: list[Any] = []
        holes = leading = 0
        first = ""
        for parameter in self._parameters:
            options = self._options(parameter, given)
            found = next((name for name in (parameter.name, *parameter.aliases) if name in given), None)
            if found is None and not options:
                holes += 1
                leading = holes if not bound else leading
                continue
            if found is not None and options:
                raise RpcError(
                    RpcCode.INVALID_PARAMETER, f"Parameter {found} conflicts with parameter {next(iter(options))}"
                )
            bound.extend([None] * holes)
            holes = 0
            first = first or parameter.names
            bound.append(options if found is None else given.pop(found))
        if isinstance(given.get("args"), list):
            bound = self._after_positional(given.pop("args"), bound, leading, first)
        if given:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Unknown named parameter {next(iter(given))}")
        return bound

    def _options(self, parameter: Parameter, given: dict[str, Any]) -> dict[str, Any]:
        """Take out of ``given`` what belongs into this parameter, an options object, by its members' names."""
        names = [name for inner in parameter.named_only for name in (inner.name, *inner.aliases)]
        return {name: given.pop(name) for name in names if name in given}

    @staticmethod
    def _after_positional(positional: list[Any], bound: list[Any], leading: int, first: str) -> list[Any]:
        if leading < len(positional) and first:
            raise RpcError(
                RpcCode.INVALID_PARAMETER, f"Parameter {first} specified twice both as positional and named argument"
            )
        return positional + bound[len(positional) :]


def mismatch(value: Any, parameter: Parameter) -> str:
    """Core's words for a value of the wrong JSON type."""
    expected = "bool" if parameter.kinds[0] == "boolean" else parameter.kinds[0]
    return f"JSON value of type {JSON_NAMES[type(value)]} is not of expected type {expected}"


def converter(parameter: Parameter) -> Convert | None:
    """What turns a decoded value of the right type into what the handler gets; None where it is that already."""
    if parameter.parse is not None:
        return parameter.parse.convert
    if parameter.element is not None:
        return _elements(parameter.element, parameter.several)
    if parameter.number == "integer":
        return _integer
    return _real if parameter.number == "real" else None


def _integer(value: Any, name: str) -> Any:
    """A JSON number as a signed 64-bit integer (``getInt<int64_t>``); another type is let through (a union)."""
    if type(value) is int:
        if value in _INT64:
            return value
    elif type(value) not in (Decimal, float):
        return value
    raise RpcError(RpcCode.MISC_ERROR, "JSON integer out of range")


def _real(value: Any, name: str) -> Any:
    if type(value) not in (int, Decimal, float):
        return value
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RpcError(RpcCode.MISC_ERROR, "JSON double out of range")
    return number


def _elements(element: Parameter, several: bool) -> Convert | None:
    """Check and convert an array's elements, as ``get_str`` and its like do where Core reads them."""
    convert = converter(element)
    if not element.accepts and convert is None:
        return None

    def elements(value: Any, name: str) -> Any:
        if type(value) is not list and several:
            return value
        for item in value:
            if element.accepts and type(item) not in element.accepts:
                raise RpcError(RpcCode.TYPE_ERROR, mismatch(item, element))
        return value if convert is None else [convert(item, name) for item in value]

    return elements
