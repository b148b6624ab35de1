"""The wallet's descriptors: which scripts are ours, and which descriptor and index each comes from.

Scripts are derived ahead of use (the look-ahead, ``-keypool``) and cached in the ledger, so that finding an owner is
one dictionary look-up. What doesn't belong: private keys (``keystore.py``), SQL (``ledger.py``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from btclib_wallet.descriptors import Descriptor

from .coins import OutputType, Owner


@dataclass
class WalletDescriptor:
    """One descriptor of the wallet's (``WalletDescriptor``, Core's ``src/wallet/walletutil.h``).

    ``text`` is the public descriptor as it came, with its checksum, hardened steps on the extended public key and
    all; ``normalized`` the same with the extended key at the last hardened step (what `listdescriptors` prints), equal to
    ``text`` where the private key it takes is unknown. The range is ``[range_start, range_end)``; ``next_index`` is the
    first that was not handed out. ``created``: no payment to it is older (seconds since 1970).
    """

    number: int
    text: str
    normalized: str
    created: int
    range_start: int
    range_end: int
    next_index: int
    network: str

    @cached_property
    def parsed(self) -> Descriptor:
        """``normalized``, parsed: scripts, key expressions, PSBT updates, satisfaction."""
        raise NotImplementedError

    @cached_property
    def is_ranged(self) -> bool:
        raise NotImplementedError

    @cached_property
    def output_type(self) -> OutputType | None:
        """The address type of its scripts, None for one without (multi, raw, combo)."""
        raise NotImplementedError

    @cached_property
    def is_solvable(self) -> bool:
        """False for ``addr()`` and ``raw()``, which say nothing about how to spend."""
        raise NotImplementedError

    def scripts(self, index: int) -> list[bytes]:
        """The scriptPubKeys at that index (several for ``combo()``)."""
        raise NotImplementedError

    def concrete(self, index: int) -> str:
        """The descriptor of that index alone, with its checksum (what `listunspent` prints as ``desc``)."""
        raise NotImplementedError


class DescriptorSet:
    """All descriptors of one wallet, with the cache of their scripts."""

    def get(self, number: int) -> WalletDescriptor: ...

    def __iter__(self) -> Iterator[WalletDescriptor]: ...

    def owner(self, script: bytes) -> Owner | None:
        """Whose that scriptPubKey is, None for a stranger's."""
        raise NotImplementedError

    def owners(self, script: bytes) -> list[Owner]:
        """All that describe it."""
        raise NotImplementedError

    def owner_of_key(self, pubkey: bytes, fingerprint: bytes, path: Iterable[int]) -> Owner | None:
        """Whose key that is, by its origin in a PSBT, checked by deriving it."""
        raise NotImplementedError

    def active(self, type: OutputType, internal: bool) -> WalletDescriptor | None:
        """The one that new addresses of that type come from."""
        raise NotImplementedError
