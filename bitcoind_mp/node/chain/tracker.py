"""Applies what the kernel did to what the loop knows: the header tree, the coins view, and then the listeners.

Lives in the loop. The events come in the order they happened, each in a loop step of its own.
"""

import logging
from collections.abc import Callable

from btclib.tx.coin import Coin

from bitcoind_mp.node.kernel_values import (
    Connected,
    Disconnected,
    Failed,
    Indexed,
    Invalidated,
    Reconsidered,
    Refused,
    TipChanged,
    Warned,
)

from .blockfiles import BlockFiles
from .coins import CoinsView
from .contents import BlockContents
from .header import BlockNode
from .headers import HeaderTree
from .progress import InitialDownload
from .store import Rebased, Stored, StoreEvent
from .values import BlockUnavailable, Listener, Subscription

log = logging.getLogger("bitcoind_mp.chain")

_DOWNLOAD_OVERLAY = 4 << 20
"""During the initial download, this many bytes of blocks may be in the coins view's overlay; then it is dropped."""


class Tracker:
    """The chain as of the last event.

    Args:
        fail: called once with the kernel's last words when it can't go on.
    """

    def __init__(
        self,
        tree: HeaderTree,
        coins: CoinsView,
        files: BlockFiles,
        download: InitialDownload,
        fail: Callable[[str], None],
    ) -> None:
        self.tree = tree
        self.coins = coins
        self.warnings: dict[int, str] = {}
        self.connected_bytes = 0
        """Bytes of blocks connected since the coins view's base."""
        self.stored_bytes = 0
        """Bytes of blocks stored since the start."""
        self._files = files
        self._download = download
        self._fail = fail
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Subscription:
        self._listeners.append(listener)

        def cancel() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return Subscription(cancel)

    def apply(self, event: StoreEvent) -> None:
        """Take one event. One that can't be taken ends the node: it would be at odds with its kernel from then on."""
        try:
            self._apply(event)
        except Exception as error:
            log.exception("The chain could not be followed")
            self._fail(f"{type(event).__name__} could not be followed: {error}")

    def _apply(self, event: StoreEvent) -> None:
        match event:
            case Indexed(headers):
                for hash, header in headers:
                    self._index(hash, header)
            case Stored(hash, tx_count, size):
                self._store(self._node(hash), tx_count, size)
            case Connected(hash, header, tx_count, raw):
                self._index(hash, header)
                self._store(self._node(hash), tx_count, len(raw) if raw is not None else 0)
                self._connect(self._node(hash), raw)
            case Disconnected(hash, spent, invalid):
                self._disconnect(self._node(hash), spent, invalid)
            case TipChanged(hash):
                self._tell("tip_changed", self._node(hash))
            case Refused(hash, header):
                node = self._index(hash, header)
                if node is not None:
                    self.tree.invalidate(node)
            case Invalidated(hash):
                self.tree.invalidate(self._node(hash))
            case Reconsidered(hash):
                self.tree.reconsider(self._node(hash))
            case Rebased(coins):
                self.coins.rebase(coins)
                self.connected_bytes = 0
            case Warned(kind, text):
                self._warn(kind, text)
            case Failed(text):
                self._fail(text)

    def contents(self, node: BlockNode, raw: bytes | None) -> BlockContents:
        """The block's contents, read from the files if they are asked for."""
        return BlockContents(raw if raw is not None else lambda: self._read(node))

    def _connect(self, node: BlockNode, raw: bytes | None) -> None:
        contents = self.contents(node, raw)
        self.tree.connected(node)
        self._download.tip_moved(node)
        if self.coins.available:
            self.connected_bytes += len(contents.raw)
            if self._download.active and self.connected_bytes > _DOWNLOAD_OVERLAY:
                log.info("Following the chain without a view of the coins until it is caught up")
                self.coins.suspend()
        self.coins.connect(node.height, contents)
        self._tell("block_connected", node, contents)

    def _disconnect(self, node: BlockNode, spent: list[list[Coin]] | None, invalid: bool) -> None:
        contents = self.contents(node, None)
        self.tree.disconnected(node)
        node.failed = node.failed or invalid
        self._download.tip_moved(self.tree.tip)
        if spent is None:
            self.coins.suspend()
        else:
            self.coins.disconnect(contents, spent)
        self._tell("block_disconnected", node, contents)

    def _store(self, node: BlockNode, tx_count: int, size: int) -> None:
        if not node.has_data:
            self.tree.received(node, tx_count)
            node.position = self._files.locate(node.hash)
            self.stored_bytes += size

    def _index(self, hash: bytes, header: bytes) -> BlockNode | None:
        known = self.tree.by_hash(hash)
        if known is not None:
            return known
        node = self.tree.add(header, hash)
        if node is not None:
            self._tell("header_added", node)
        return node

    def _node(self, hash: bytes) -> BlockNode:
        node = self.tree.by_hash(hash)
        assert node is not None, f"the kernel told of block {hash.hex()} before its header"
        return node

    def _read(self, node: BlockNode) -> bytes:
        raw = self._files.read(node.hash, node.position)
        if raw is None:
            raise BlockUnavailable(f"Block {node.hash.hex()} is not on disk")
        return raw

    def _warn(self, kind: int, text: str | None) -> None:
        if text is None:
            self.warnings.pop(kind, None)
        else:
            log.warning("%s", text)
            self.warnings[kind] = text
        self._tell("warned")

    def _tell(self, what: str, *arguments: object) -> None:
        for listener in list(self._listeners):
            try:
                getattr(listener, what)(*arguments)
            except Exception:  # one listener's fault must not hide a block from the others
                log.exception("%s failed in %s", type(listener).__name__, what)
