"""How a method that another process or a person may call is declared, in one place: its own signature.

Two kinds (docs/architecture.md): a *command* has Bitcoin Core's name, parameters, results and error codes
and is what people call; an *interface method* has a dotted name (``chain.find_block``) and is what our
processes call. Both are declared by a decorator; the parameters come from the signature and the help from
the docstring. What binds a request's parameters to them, and makes ``help``, ``rpc.discover`` and the table
of commands from them, is ``ipc/``.

A command is a method, plain or ``async``, of a class that gets what it needs by constructor::

    class BlockchainCommands:
        def __init__(self, chain: ChainState) -> None: ...

        @command("blockchain")
        def getblockhash(self, height: int) -> str:
            '''Returns hash of block in best-block-chain at height provided.

            Args:
                height: The height index

            Returns:
                The block hash
            '''

Parameter annotations are the JSON types ``str``, ``int``, ``float``, ``bool``, ``list[...]``, ``dict[str, Any]``,
a union of them, ``Any``, or one of the ``Annotated`` types below (`Amount`, `Hash`, `HexBytes`, `Int32`, `Secret`). A
parameter without a default is required, or may be left out for the sake of a required one after it where it may be
None; a JSON null stands for "not given". A parameter annotated `Call` is not a parameter of the command: the
dispatcher puts the call's own facts there.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Protocol, TypeVar

from .amounts import MAX_MONEY, satoshis
from .errors import RpcCode, RpcError

F = TypeVar("F", bound=Callable[..., Any])

#: The attribute a decorated function carries.
DECLARATION = "__bitcoind_mp_call__"


@dataclass(frozen=True)
class Declaration:
    """What a decorator recorded about a function.

    ``topic`` is the section of Core's ``help`` (``blockchain``, ``wallet``, …), empty for interface methods.
    ``options`` names the ``dict`` parameter whose members may also be given by name at the top level of a
    named call (Core's ``OBJ_NAMED_PARAMS``). ``aliases`` maps an older or other parameter name to today's.
    ``changes`` says that a retry could do it twice: a client never retries it by itself. ``waits`` says that
    it may take as long as it likes, waiting or working bit by bit: a server that closes doesn't wait for it.
    ``notification`` says that it crosses without an answer.
    """

    name: str
    topic: str = ""
    options: str = ""
    aliases: dict[str, str] = field(default_factory=dict)
    changes: bool = True
    hidden: bool = False
    notification: bool = False
    waits: bool = False


def command(
    topic: str,
    *,
    name: str = "",
    options: str = "",
    aliases: dict[str, str] | None = None,
    changes: bool = False,
    hidden: bool = False,
    waits: bool = False,
) -> Callable[[F], F]:
    """Declare a command; see the module's docstring. ``changes=True`` where it alters anything; ``waits``: see
    `Declaration`."""

    def mark(function: F) -> F:
        declaration = Declaration(
            name or function.__name__, topic, options, aliases or {}, changes, hidden, waits=waits
        )
        setattr(function, DECLARATION, declaration)
        return function

    return mark


def interface_method(name: str, *, changes: bool = False, notification: bool = False) -> Callable[[F], F]:
    """Declare a method of an interface class under its dotted name on the wire.

    With ``notification`` the caller doesn't wait for it to be done and never learns what became of it; it returns
    once the connection has taken it, and raises `Disconnected` where there is none any more.
    """

    def mark(function: F) -> F:
        setattr(function, DECLARATION, Declaration(name, changes=changes, notification=notification))
        return function

    return mark


class Served(Protocol):
    """A call that is being served, as `commit_point` and `pause_point` need it."""

    def commit(self) -> None:
        """It is about to take effect."""

    def pause(self) -> None:
        """It has taken effect as far as it got. Raises CancelledError where it was cancelled meanwhile."""


#: Set for each call that is being served.
SERVED_CALL: ContextVar[Served | None] = ContextVar("served_call", default=None)


def commit_point() -> None:
    """Say that the call being served is about to take effect: from here it runs to its end, even when the caller
    disconnects or cancels. Before this it may be cancelled at any ``await``. Outside of a call it does nothing."""
    served = SERVED_CALL.get()
    if served is not None:
        served.commit()


def pause_point() -> None:
    """Say that what the call being served has done so far stands, and that it may end here: raises
    `asyncio.CancelledError` where it was cancelled since its `commit_point`, and may be cancelled from here on."""
    served = SERVED_CALL.get()
    if served is not None:
        served.pause()


@dataclass(frozen=True)
class Call:
    """The facts of one call that aren't parameters.

    ``wallet`` is the request's ``"wallet"`` member: the wallet a person chose with ``-rpcwallet`` or ``use``
    (None: not given). ``progress`` tells the caller how a long call is getting on, as text.
    """

    method: str
    wallet: str | None = None
    connection: int = 0
    progress: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Parse:
    """A parameter that has a meaning beyond its JSON type: ``convert(value, name)`` gives what the handler gets.

    ``json_type`` is what the value must be on the wire: ``string``, ``number``, ``number or string``.
    """

    convert: Callable[[Any, str], Any]
    json_type: str
    word: str = ""


class SecretMarker:
    """Marks a parameter that must never reach a log."""


def parse_amount(value: Any, name: str) -> int:
    """A BTC amount to satoshis, with Core's errors (``AmountFromValue``, ``src/rpc/util.cpp``)."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise RpcError(RpcCode.TYPE_ERROR, "Amount is not a number or string")
    try:
        amount = satoshis(value)
    except ValueError:
        raise RpcError(RpcCode.TYPE_ERROR, "Invalid amount") from None
    if not 0 <= amount <= MAX_MONEY:
        raise RpcError(RpcCode.TYPE_ERROR, "Amount out of range")
    return amount


def parse_hash(value: Any, name: str) -> bytes:
    """64 hexadecimal digits to 32 bytes in the order they are printed (``ParseHashV``)."""
    if len(value) != 64:
        raise RpcError(RpcCode.INVALID_PARAMETER, f"{name} must be of length 64 (not {len(value)}, for '{value}')")
    if not all(character in "0123456789abcdefABCDEF" for character in value):
        raise RpcError(RpcCode.INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{value}')")
    return bytes.fromhex(value)


def parse_hex(value: Any, name: str) -> bytes:
    """Hexadecimal to bytes (``ParseHexV``)."""
    if not value or len(value) % 2 or not all(character in "0123456789abcdefABCDEF" for character in value):
        raise RpcError(RpcCode.INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{value}')")
    return bytes.fromhex(value)


def parse_int32(value: Any, name: str) -> int:
    """A whole number of 32 bits, as most of Core's counts, heights and depths are (``UniValue::getInt<int>``)."""
    if not isinstance(value, int) or not -(1 << 31) <= value < 1 << 31:
        raise RpcError(RpcCode.MISC_ERROR, "JSON integer out of range")
    return value


#: A count, height or depth: a JSON number that fits into 32 bits, with its sign.
Int32 = Annotated[int, Parse(parse_int32, "number", "integer")]
#: An amount in BTC on the wire, in satoshis for the handler.
Amount = Annotated[int, Parse(parse_amount, "number or string", "amount")]
#: A block hash or txid: 64 hex digits on the wire, 32 bytes *in display order* for the handler.
Hash = Annotated[bytes, Parse(parse_hash, "string", "hash")]
#: Any hexadecimal string, bytes for the handler.
HexBytes = Annotated[bytes, Parse(parse_hex, "string", "hex")]
#: A passphrase or private key: a string that never reaches a log.
Secret = Annotated[str, SecretMarker()]
