"""The wallet's descriptors: which scripts are ours, and which descriptor and index each comes from.

Scripts are derived ahead of use (the look-ahead, ``-keypool``) and cached in the ledger, so that finding an owner is
one dictionary look-up. What doesn't belong: private keys (``keystore.py``), SQL (``tables.py``).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from btclib.exceptions import BTClibValueError
from btclib_wallet.bip32.bip32 import fingerprint as key_fingerprint
from btclib_wallet.descriptors import (
    AddrDescriptor,
    Descriptor,
    KeyExpression,
    Provider,
    RawDescriptor,
    infer_descriptor,
    parse,
)

from bitcoind_mp.signing.descriptor_keys import plain_keys
from bitcoind_mp.wallet.coins import OutputType, Owner
from bitcoind_mp.wallet.storage.tables import DescriptorRow, DescriptorTable

from .addresses import key_scripts
from .descriptor_text import output_type

#: Scripts at some indexes of a descriptor, as they are derived.
Derived = tuple[int, list[bytes]]


@dataclass
class WalletDescriptor(DescriptorRow):
    """One descriptor of the wallet's (``WalletDescriptor``, Core's ``src/wallet/walletutil.h``).

    ``text`` is the public descriptor as it came, with its checksum, hardened steps on the extended public key and
    all; ``normalized`` the same with the extended key at the last hardened step, which is what `listdescriptors`
    prints. The range is ``[range_start, range_end)``, all of it derived; ``next_index`` is the first that was not
    handed out. ``created``: no payment to it is older (seconds since 1970).
    """

    network: str = "regtest"

    @cached_property
    def source(self) -> Descriptor:
        """``text``, parsed: the keys that secrets belong to."""
        return parse(self.text, self.network)

    @cached_property
    def parsed(self) -> Descriptor:
        """``normalized``, parsed: scripts, key expressions, PSBT updates, satisfaction."""
        return parse(self.normalized, self.network)

    @cached_property
    def is_ranged(self) -> bool:
        """Whether it describes a range of scripts."""
        return self.parsed.is_ranged

    @cached_property
    def output_type(self) -> OutputType | None:
        """The address type of its scripts, None for one without (pk, multi, combo)."""
        return output_type(self.parsed)

    @cached_property
    def is_solvable(self) -> bool:
        """False for ``addr()`` and ``raw()``, which say nothing about how to spend."""
        return not isinstance(self.parsed, AddrDescriptor | RawDescriptor)

    @cached_property
    def hardened_wildcard(self) -> bool:
        """Whether each script takes the private key (``/*h``)."""
        return any(key.wildcard for key in plain_keys(self.parsed))

    @cached_property
    def joint_keys(self) -> list[KeyExpression]:
        """Those that several others make together (MuSig2), and whose addresses take no private key."""
        return [] if self.hardened_wildcard else [key for key in self.parsed.key_expressions if key.is_aggregate]

    def scripts(self, index: int, prv_keys: Mapping[str, str] | None = None) -> list[bytes]:
        """The scriptPubKeys at that index (several for ``combo()``).

        Raises `BTClibValueError` where a hardened step lacks its private key."""
        return [found.script for found in self.parsed.script_pub_keys(index, prv_keys)]

    def concrete(self, index: int, script: bytes, prv_keys: Mapping[str, str] | None = None) -> str:
        """The descriptor of that one script, with its checksum."""
        return infer_descriptor(script, self.parsed.provider(index, prv_keys), self.network)

    def derive(self, start: int, end: int, prv_keys: Mapping[str, str] | None = None) -> Iterator[Derived]:
        """The scripts of ``[start, end)``, one index at a time: about 0.12 ms each."""
        for index in range(start, end):
            yield index, self.scripts(index, prv_keys)


class DescriptorSet:
    """All descriptors of one wallet, with the cache of their scripts."""

    def __init__(self, table: DescriptorTable, network: str, keypool: int) -> None:
        self._table = table
        self._network = network
        self._keypool = keypool
        self._by_number: dict[int, WalletDescriptor] = {}
        self._active: dict[tuple[OutputType, bool], int] = {}
        self._owners: dict[bytes, Owner] = {}
        self._more_owners: dict[bytes, list[Owner]] = {}
        self.reload()

    def reload(self) -> None:
        """Read what the ledger holds."""
        self._by_number = {
            row.number: WalletDescriptor(**vars(row), network=self._network) for row in self._table.all()
        }
        self._active = self._table.active()
        self._owners = {}
        self._more_owners = {}
        same: dict[int, int] = {}  # one number for all rows that have it: of thousands it is a quarter of a megabyte
        for number, index, script in self._table.scripts():
            self._own(script, Owner(number, same.setdefault(index, index)))

    def _own(self, script: bytes, owner: Owner) -> None:
        first = self._owners.setdefault(script, owner)
        if first != owner and owner not in (more := self._more_owners.setdefault(script, [])):
            more.append(owner)

    def get(self, number: int) -> WalletDescriptor:
        """By its number. Raises KeyError."""
        return self._by_number[number]

    def find(self, text: str) -> WalletDescriptor | None:
        """By its public text; the two ways to write a hardened step are one."""
        wanted = _canonical(text)
        return next((found for found in self if _canonical(found.text) == wanted), None)

    def __iter__(self) -> Iterator[WalletDescriptor]:
        return iter(list(self._by_number.values()))

    def __len__(self) -> int:
        return len(self._by_number)

    @property
    def owned_scripts(self) -> Mapping[bytes, Owner]:
        """Every script of ours with its first owner: what blocks are searched for."""
        return self._owners

    def owner(self, script: bytes) -> Owner | None:
        """Whose that scriptPubKey is, None for a stranger's."""
        return self._owners.get(script)

    def owners(self, script: bytes) -> list[Owner]:
        """All that describe it."""
        first = self._owners.get(script)
        return [] if first is None else [first, *self._more_owners.get(script, [])]

    def provider(self, owner: Owner) -> Provider:
        """The keys, scripts and trees behind the scripts at that descriptor's index, locked or not."""
        found = self.get(owner.descriptor)
        if not found.hardened_wildcard:
            return found.parsed.provider(owner.index)
        merged = Provider()
        for text in self._table.concrete_at(owner.descriptor, owner.index).values():
            merged = merged.merged(parse(text, self._network).provider())
        return merged

    def aggregates(self, owner: Owner) -> dict[bytes, list[bytes]]:
        """The aggregate keys (MuSig2) behind that descriptor's index, and what each is made of, in that order."""
        at = owner.index, self._network
        return {key.aggregate(*at): key.participant_keys(*at) for key in self.get(owner.descriptor).joint_keys}

    def concrete(self, owner: Owner, script: bytes) -> str:
        """The descriptor of that one script of ours, with its checksum (what `listunspent` prints as ``desc``)."""
        found = self.get(owner.descriptor)
        if not found.hardened_wildcard:
            return infer_descriptor(script, found.parsed.provider(owner.index), self._network)
        return self._table.concrete_at(owner.descriptor, owner.index)[script]

    def cached(self, owner: Owner) -> list[bytes]:
        """The scripts derived for that descriptor and index."""
        return self._table.scripts_at(owner.descriptor, owner.index)

    def owners_of_key(self, pubkey: bytes, fingerprint: bytes, path: Sequence[int]) -> list[Owner]:
        """Whose public key (SEC) that is, whichever origin the wallet knows of it: found by the scripts that pay to it
        alone; among several keys of a script by its origin in a PSBT, checked by deriving it."""
        found = [owner for script in key_scripts(pubkey) for owner in self.owners(script)]
        for descriptor in self:
            for key in plain_keys(descriptor.parsed):
                index = _index_of(key, fingerprint, path)
                if index is None or not descriptor.range_start <= index < descriptor.range_end:
                    continue
                with suppress(BTClibValueError):
                    if key.sec(index, self._network)[-32:] == pubkey[-32:]:
                        found.append(Owner(descriptor.number, index))
        return list(dict.fromkeys(found))

    # --- which are active ------------------------------------------------------------------------------------

    def active(self, type: OutputType, internal: bool) -> WalletDescriptor | None:
        """The one that new addresses of that type come from."""
        number = self._active.get((type, internal))
        return None if number is None else self._by_number[number]

    def all_active(self, internal: bool | None = None) -> list[WalletDescriptor]:
        """Every one that addresses come from, each once."""
        numbers = dict.fromkeys(n for (_, inside), n in self._active.items() if internal in (None, inside))
        return [self._by_number[number] for number in numbers]

    def is_internal(self, number: int) -> bool | None:
        """Whether an active one gives change addresses; None for one that isn't active."""
        return next((internal for (_, internal), n in self._active.items() if n == number), None)

    def set_active(self, found: WalletDescriptor, type: OutputType, internal: bool) -> None:
        """New addresses come from this one, and it stops giving the other kind. In a ledger transaction."""
        if self._active.get((type, not internal)) == found.number:
            self.set_inactive(found, type, not internal)
        self._table.set_active(type, internal, found.number)
        self._active[type, internal] = found.number

    def set_inactive(self, found: WalletDescriptor, type: OutputType, internal: bool) -> None:
        """No new addresses come from it any more. In a ledger transaction."""
        if self._active.get((type, internal)) == found.number:
            self._table.set_active(type, internal, None)
            del self._active[type, internal]

    # --- growing --------------------------------------------------------------------------------------------

    def add(self, text: str, normalized: str, created: int, start: int, next_index: int) -> WalletDescriptor:
        """Add one, no script of it derived yet: follow with `extend`. In a ledger transaction."""
        row = self._table.add(text, normalized, created, start, start, next_index)
        found = WalletDescriptor(**vars(row), network=self._network)
        self._by_number[found.number] = found
        return found

    def extend(
        self, found: WalletDescriptor, derived: Iterable[Derived], prv_keys: Mapping[str, str] | None = None
    ) -> None:
        """Keep derived scripts, next to those it has, and make the range theirs too. In a ledger transaction.

        Of a descriptor whose every script takes the private key, what is public of each is kept beside it."""
        rows = []
        concrete = []
        for index, scripts in derived:
            found.range_start = min(found.range_start, index)
            found.range_end = max(found.range_end, index + 1)
            for script in scripts:
                rows.append((found.number, index, script))
                self._own(script, Owner(found.number, index))
                if found.hardened_wildcard:
                    concrete.append((found.number, index, script, found.concrete(index, script, prv_keys)))
        self._table.add_scripts(rows)
        self._table.add_concrete(concrete)
        self._table.update(found)

    def save(self, found: WalletDescriptor) -> None:
        """Write its counters and times. In a ledger transaction."""
        self._table.update(found)

    def wanted_end(self, found: WalletDescriptor, size: int = 0) -> int:
        """How far it should be derived: ``size`` (default: the keypool) past what was handed out (``TopUp``)."""
        if not found.is_ranged:
            return 1
        return max(found.next_index + (size or self._keypool), found.range_end)

    def top_up(self, found: WalletDescriptor, size: int = 0, prv_keys: Mapping[str, str] | None = None) -> bool:
        """Derive as far as wanted; False where that takes a private key that isn't at hand. In a transaction."""
        end = self.wanted_end(found, size)
        if end <= found.range_end:
            return True
        try:
            self.extend(found, found.derive(found.range_end, end, prv_keys), prv_keys)
        except BTClibValueError:
            return False
        return True


def _index_of(key: KeyExpression, fingerprint: bytes, path: Sequence[int]) -> int | None:
    """At which index of its range a key has that origin, None for at none. One that isn't ranged is compared itself."""
    if key.wildcard is None:
        return 0
    if key.origin is not None:
        master, steps = key.origin.master_fingerprint, [*key.origin.der_path, *key.der_path]
    else:
        master, steps = key_fingerprint(key.xkey), [*key.der_path]
    if master != fingerprint or [*path[:-1]] != steps or not path:
        return None
    return path[-1] - key.wildcard


def _canonical(text: str) -> str:
    return text.partition("#")[0].replace("'", "h")
