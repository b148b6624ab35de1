"""Where new addresses come from: the active descriptors, one index after the other, none given twice; and how many are
derived ahead of use (the keypool).

What doesn't belong: labels of addresses that others gave us, spending.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from btclib.exceptions import BTClibValueError

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.wallet.coins import OutputType, Owner
from bitcoind_mp.wallet.storage.ledger import Ledger

from .book import RECEIVE, AddressBook
from .descriptors import DescriptorSet, WalletDescriptor

#: Indexes of each descriptor that are derived without a pause: some 50 ms for all of them.
_AT_ONCE = 50
_RAN_OUT = "Error: Keypool ran out, please call keypoolrefill first"


@dataclass
class Reservation:
    """A change address kept back until its transaction is committed (``ReserveDestination``).

    `Wallet.commit` keeps it; `AddressSource.release` gives it back, so that the next one gets it.
    """

    owner: Owner
    type: OutputType
    script: bytes
    address: str


class AddressSource:
    """New addresses of one wallet."""

    def __init__(
        self,
        ledger: Ledger,
        descriptors: DescriptorSet,
        book: AddressBook,
        chain: str,
        mapping: Callable[[WalletDescriptor], Mapping[str, str] | None],
    ) -> None:
        self._ledger = ledger
        self._descriptors = descriptors
        self._book = book
        self._chain = chain
        self._mapping = mapping

    def receiving(self, type: OutputType, label: str) -> str:
        """The next receiving address, labelled, on disk when this returns. Raises `RpcError` (-12)."""
        with self._ledger.transaction():
            found = self._active(type, internal=False)
            script = self._next(found)
            self._descriptors.save(found)
            self._book.record(script, label, RECEIVE)
        return self._address(script)

    def change(self, type: OutputType) -> Reservation:
        """The next change address, kept back in memory. Raises `RpcError` (-12)."""
        found = self._active(type, internal=True)
        with self._ledger.transaction():
            index = found.next_index
            script = self._next(found)
        return Reservation(Owner(found.number, index), type, script, self._address(script))

    def _active(self, type: OutputType, internal: bool) -> WalletDescriptor:
        found = self._descriptors.active(type, internal)
        if found is None:
            raise RpcError(RpcCode.WALLET_KEYPOOL_RAN_OUT, f"Error: No {type} addresses available.")
        return found

    def _next(self, found: WalletDescriptor) -> bytes:
        if not self._descriptors.top_up(found, prv_keys=self._mapping(found)) and found.next_index >= found.range_end:
            raise RpcError(RpcCode.WALLET_KEYPOOL_RAN_OUT, _RAN_OUT)
        (script,) = self._descriptors.cached(Owner(found.number, found.next_index))
        self._check(found, script)
        found.next_index += 1
        return script

    def _check(self, found: WalletDescriptor, script: bytes) -> None:
        """Derive it anew: money sent to an address that a bad disk has changed would be lost."""
        try:
            good = script in found.scripts(found.next_index, self._mapping(found))
        except BTClibValueError:  # locked, and a hardened step
            return
        if not good:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                f"{self._ledger.path} is corrupt (an address is not what it was). Restore it from a backup.",
            )

    def keep(self, reservation: Reservation) -> None:
        """It is handed out: never to be given again."""
        with self._ledger.transaction():
            self._descriptors.save(self._descriptors.get(reservation.owner.descriptor))

    def release(self, reservation: Reservation) -> None:
        """It is not used. The next one gets it, unless another was given since."""
        found = self._descriptors.get(reservation.owner.descriptor)
        if found.next_index == reservation.owner.index + 1:
            found.next_index -= 1

    def change_types(self) -> set[OutputType]:
        """The types that have an active internal descriptor."""
        return {type for type in OutputType if self._descriptors.active(type, True) is not None}

    def can_give(self, internal: bool = False) -> bool:
        """Whether new addresses can be had at all (``CanGetAddresses``)."""
        return bool(self._descriptors.all_active(internal))

    def size(self, internal: bool | None = None) -> int:
        """How many addresses are derived ahead of use."""
        return sum(found.range_end - found.next_index for found in self._descriptors.all_active(internal))

    def top_up(self, size: int = 0) -> bool:
        """Derive the look-ahead of every active descriptor, ``size`` (default: the keypool) of each; False where a
        passphrase is missing for it."""
        with self._ledger.transaction():
            return all(
                [
                    self._descriptors.top_up(found, size, self._mapping(found))
                    for found in self._descriptors.all_active()
                ]
            )

    def top_up_in_steps(self, size: int) -> Iterator[bool]:
        """`top_up` a piece at a time; between two, for others to get their turns, whether the first had all it needs: a
        keypool of a million takes minutes."""
        ahead = [found.range_end - found.next_index for found in self._descriptors.all_active()]
        for piece in range(min(ahead, default=size) + _AT_ONCE, size, _AT_ONCE):
            yield self.top_up(piece)
        self.top_up(size)

    def _address(self, script: bytes) -> str:
        address = encode_address(script, self._chain)
        if address is None:
            raise RpcError(
                RpcCode.WALLET_KEYPOOL_RAN_OUT, "Error: Cannot extract destination from the generated scriptpubkey"
            )
        return address
