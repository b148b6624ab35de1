"""Whether two processes may talk: protocol and chain, and who must change where they don't agree."""

from typing import Any

import msgspec

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.init import Hello


def read_hello(params: Any) -> Hello:
    """The Hello in `init.handshake`'s params. Raises RpcError INVALID_PARAMS."""
    value = params.get("hello") if isinstance(params, dict) else params[0] if params else None
    try:
        return msgspec.convert(value, Hello)
    except msgspec.ValidationError as error:
        raise RpcError(RpcCode.INVALID_PARAMS, f"hello: {error}") from None


def check(ours: Hello, theirs: Hello) -> None:
    """Refuse a peer that would misunderstand us, or be misunderstood.

    Raises:
        RpcError: INVALID_REQUEST, with a message that says which side must change.
    """
    if theirs.protocol != ours.protocol:
        old, new = (theirs, ours) if theirs.protocol < ours.protocol else (ours, theirs)
        raise RpcError(
            RpcCode.INVALID_REQUEST,
            f"The {old.role} (version {old.version}) speaks protocol {old.protocol}, the {new.role} (version "
            f"{new.version}) protocol {new.protocol}: upgrade the {old.role} and restart it.",
        )
    if theirs.chain != ours.chain:
        raise RpcError(
            RpcCode.INVALID_REQUEST,
            f"This {ours.role} is on chain {ours.chain}, the {theirs.role} on {theirs.chain}: start the {theirs.role} "
            f"with -chain={ours.chain}, or connect it to a {ours.role} of {theirs.chain}.",
        )
