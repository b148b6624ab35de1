"""What the mempool and the miner need of the chain, and no more.

`ChainState` of ``node/chain/state.py`` has all of this; tests have a small fake.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from btclib.consensus import ConsensusParams
from btclib.tx import Tx
from btclib.tx.coin import Coin
from btclib.tx.tx_out import TxOut

#: An output's name: the transaction's id in the order it is printed, and its index.
OutPoint = tuple[bytes, int]


class BlockView(Protocol):
    """A block of the header tree. ``median_time`` is this block's own median time past; ``failed``: it is invalid, or
    somebody says so."""

    @property
    def hash(self) -> bytes: ...
    @property
    def height(self) -> int: ...
    @property
    def time(self) -> int: ...
    @property
    def median_time(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def header(self) -> bytes: ...
    @property
    def version(self) -> int: ...
    @property
    def failed(self) -> bool: ...


class Clock(Protocol):
    """The node's mockable clock, in seconds since 1970."""

    def now(self) -> int: ...


class Coins(Protocol):
    """The coins at the tip. ``available`` is False during the initial download, when none are kept."""

    @property
    def available(self) -> bool: ...
    def get(self, outpoint: OutPoint, /) -> Coin | None: ...


class Contents(Protocol):
    """A block's transactions, taken apart when asked for, the coinbase first."""

    @property
    def transactions(self) -> list[Tx]: ...


class Handle(Protocol):
    """A subscription to the chain."""

    def close(self) -> None: ...


class Params(Protocol):
    """The network: Core's name for it (main, regtest, …), and its consensus rules."""

    @property
    def name(self) -> str: ...
    @property
    def consensus(self) -> ConsensusParams: ...


class ChainView(Protocol):
    """The best chain as the mempool sees it."""

    @property
    def tip(self) -> BlockView: ...
    @property
    def best_header(self) -> BlockView: ...
    @property
    def coins(self) -> Coins: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def params(self) -> Params: ...
    @property
    def initial_block_download(self) -> bool: ...
    def by_height(self, height: int, /) -> BlockView | None: ...
    def by_hash(self, hash: bytes, /) -> BlockView | None: ...
    def subscribe(self, listener: Any, /) -> Handle: ...


#: The kernel's script check (``kernel.verify_scripts``) of one whole transaction, also given serialised with its
#: witnesses, against the outputs it spends, in input order: None if every input is valid, else the index of the first
#: that isn't. Blocking; called on a worker thread.
ScriptVerifier = Callable[[Tx, bytes, Sequence[TxOut]], int | None]
