"""A declared method's parameters, read once from its signature and docstring.

Everything that is said about a method elsewhere (binding, help, ``rpc.discover``, the manifest) comes from the
`Method` made here. No call passes through this module.
"""

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

from bitcoind_mp.interfaces.command import DECLARATION, Call, Declaration, Parse, SecretMarker
from bitcoind_mp.interfaces.repeated import RepeatedMembers

from .docstring import Docstring, parse_docstring

#: Python types of decoded JSON -> the JSON type's name as UniValue writes it (Core's ``uvTypeName``)
JSON_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    dict: "object",
    RepeatedMembers: "object",
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    Decimal: "number",
}
_NUMBERS = (int, Decimal, float)
_WORDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": _NUMBERS,
    "boolean": (bool,),
    "array": (list,),
    "object": (dict, RepeatedMembers),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter. ``kinds`` are JSON type names (``string``, ``number``, ``boolean``, ``array``, ``object``), empty
    for any; ``accepts`` the same as types of decoded values (empty: not checked). ``several`` says that more than
    one type is allowed, where Core checks only on use. ``element`` is an array's elements' annotation, or None.
    ``shown`` is the type in the words of help, where the docstring says it, as it must of one that may be anything here
    because the command checks it itself."""

    name: str
    annotation: Any
    required: bool
    default: Any
    kinds: tuple[str, ...]
    accepts: frozenset[type]
    number: str = ""
    several: bool = False
    parse: Parse | None = None
    element: "Parameter | None" = None
    secret: bool = False
    aliases: tuple[str, ...] = ()
    named_only: tuple["Parameter", ...] = ()
    description: str = ""
    shown: str = ""

    @property
    def names(self) -> str:
        """The name and its aliases as Core writes them: ``verbosity|verbose``."""
        return "|".join((self.name, *self.aliases))


@dataclass(frozen=True)
class Method:
    """A declared method: its declaration, parameters in order, and what its docstring says.

    ``call_index`` is the position among the function's arguments where the `Call` goes, -1 for none."""

    declaration: Declaration
    parameters: tuple[Parameter, ...]
    returns: Any
    doc: Docstring
    call_index: int = -1

    @property
    def name(self) -> str:
        return self.declaration.name

    @property
    def is_command(self) -> bool:
        return bool(self.declaration.topic)


@cache
def declared(kind: type) -> dict[str, Method]:
    """attribute -> Method of each declared method of a class. An implementation inherits its interface's
    declaration and its signature, which is what crosses."""
    found: dict[str, Method] = {}
    for attribute in dir(kind):
        function, declaration = _declaration(kind, attribute)
        if declaration is not None:
            found[attribute] = read_method(function, declaration)
    return found


def _declaration(kind: type, attribute: str) -> tuple[Any, Declaration | None]:
    for base in kind.__mro__:
        function = vars(base).get(attribute)
        declaration = getattr(function, DECLARATION, None)
        if isinstance(declaration, Declaration):
            return function, declaration
    return None, None


def read_method(function: Callable[..., Any], declaration: Declaration) -> Method:
    """The method that ``function`` (unbound, with ``self``) declares.

    Raises:
        TypeError: a parameter has no annotation, or one that has no JSON.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    doc = parse_docstring(inspect.getdoc(function) or "")
    parameters: list[Parameter] = []
    call_index = -1
    named = list(inspect.signature(function).parameters.values())[1:]
    for index, parameter in enumerate(named):
        annotation = hints.get(parameter.name)
        if annotation is Call:
            call_index = index
            continue
        if annotation is None or parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise TypeError(f"{declaration.name}: parameter {parameter.name} needs an annotation and a name")
        parameters.append(_read_parameter(parameter, annotation, declaration, doc))
    return Method(declaration, tuple(parameters), hints.get("return", Any), doc, call_index)


def _read_parameter(
    parameter: inspect.Parameter, annotation: Any, declaration: Declaration, doc: Docstring
) -> Parameter:
    name = parameter.name.rstrip("_")
    required = parameter.default is inspect.Parameter.empty and not (declaration.topic and _may_be_none(annotation))
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    aliases = tuple(alias for alias, target in declaration.aliases.items() if target in (name, parameter.name))
    described = describe(name, annotation, command=bool(declaration.topic))
    return Parameter(
        name=name,
        annotation=annotation,
        required=required,
        default=default,
        kinds=described.kinds,
        accepts=described.accepts,
        number=described.number,
        several=described.several,
        parse=described.parse,
        element=described.element,
        secret=described.secret,
        aliases=aliases,
        named_only=_named_only(annotation) if declaration.options == parameter.name else (),
        description=doc.arguments.get(parameter.name, doc.arguments.get(name, "")),
        shown=doc.types.get(parameter.name, doc.types.get(name, "")),
    )


def describe(name: str, annotation: Any, *, command: bool = True) -> Parameter:
    """What an annotation says, as a required parameter of that name."""
    parse, secret = None, False
    while typing.get_origin(annotation) is typing.Annotated:
        annotation, *extras = typing.get_args(annotation)
        parse = next((extra for extra in extras if isinstance(extra, Parse)), parse)
        secret = secret or any(isinstance(extra, SecretMarker) for extra in extras)
    branches = _branches(annotation)
    if parse is None and len(branches) == 1 and typing.get_origin(branches[0]) is typing.Annotated:
        inner = describe(name, branches[0], command=command)
        return replace(inner, secret=secret or inner.secret)
    if parse is not None:
        kinds = tuple(word for word in parse.json_type.split(" or ") if word in _WORDS)
        accepts = _WORDS[kinds[0]] if len(kinds) == 1 else ()
        return Parameter(name, annotation, True, None, kinds, frozenset(accepts), parse=parse, secret=secret)
    described = [_kind(name, branch, command) for branch in branches]
    if any(kind is None for kind in described):
        return Parameter(name, annotation, True, None, (), frozenset(), secret=secret)
    kinds = tuple(dict.fromkeys(kind for kind in described if kind))
    return Parameter(
        name,
        annotation,
        True,
        None,
        kinds,
        frozenset(accepted for kind in kinds for accepted in _WORDS[kind]),
        number="integer" if int in branches else "real" if float in branches or Decimal in branches else "",
        several=len(kinds) > 1,
        element=_element(name, branches, command),
        secret=secret,
    )


def _may_be_none(annotation: Any) -> bool:
    """Whether null is among its values: of a command's parameter without a default, that it is optional though a
    required one follows (``prioritisetransaction``)."""
    return type(None) in typing.get_args(annotation)


def _branches(annotation: Any) -> list[Any]:
    """The members of a union but None, in order; of anything else itself."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [
            inner for branch in typing.get_args(annotation) for inner in _branches(branch) if inner is not type(None)
        ]
    return [annotation]


def _kind(name: str, branch: Any, command: bool) -> str | None:
    """The JSON type's name for one annotation, None for any."""
    origin = typing.get_origin(branch) or branch
    if origin is typing.Annotated:
        return _kind(name, typing.get_args(branch)[0], command)
    if origin is typing.Literal:
        return _kind(name, type(typing.get_args(branch)[0]), command)
    if origin is Any or origin is object:
        return None
    for kind, matches in (
        ("boolean", (bool,)),
        ("string", (str,)),
        ("number", _NUMBERS),
        ("array", (list, tuple)),
        ("object", (dict,)),
    ):
        if isinstance(origin, type) and issubclass(origin, matches):
            return kind
    if command and not typing.is_typeddict(origin):
        raise TypeError(f"{name}: {branch!r} is not the type of a command's parameter")
    return "object"


def _element(name: str, branches: list[Any], command: bool) -> Parameter | None:
    lists = [branch for branch in branches if typing.get_origin(branch) is list]
    return describe(name, typing.get_args(lists[0])[0], command=command) if command and lists else None


def _named_only(annotation: Any) -> tuple[Parameter, ...]:
    """An options parameter's members, where its annotation is a TypedDict that names them, and says what they mean."""
    for branch in _branches(annotation):
        if typing.is_typeddict(branch):
            hints = typing.get_type_hints(branch, include_extras=True)
            doc = parse_docstring(inspect.getdoc(branch) or "")
            return tuple(
                replace(
                    describe(key, _unwrapped(hint)),
                    required=False,
                    description=doc.arguments.get(key, ""),
                    shown=doc.types.get(key, ""),
                )
                for key, hint in hints.items()
            )
    return ()


def _unwrapped(hint: Any) -> Any:
    """Without NotRequired or Required around it."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) in (typing.NotRequired, typing.Required) else hint
