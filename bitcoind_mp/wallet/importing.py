"""Adding descriptors to a wallet: the rules of `importdescriptors` and of new wallets' own.

The rules are Core's (``ProcessDescriptorImport``, ``src/wallet/rpc/backup.cpp``). What doesn't belong: reading the
request's JSON, scanning blocks for what was added.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from btclib_wallet.descriptors import parse

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import KeySet
from bitcoind_mp.signing.descriptor_keys import TextSecrets, plain_keys, public_half
from bitcoind_mp.signing.seeds import new_master_key, standard_descriptors

from .addressing.addresses import has_address
from .addressing.book import RECEIVE
from .addressing.descriptor_text import ReadDescriptor, output_type, read, unsafe_delays
from .addressing.descriptors import Derived, WalletDescriptor
from .coins import OutputType
from .wallet import Wallet

#: Derive so many scripts before others get a turn.
_DERIVE_AT_ONCE = 50


@dataclass(frozen=True)
class ImportRequest:
    """One element of `importdescriptors`. ``timestamp`` in seconds; ``range`` is first and last index."""

    desc: str
    timestamp: int
    active: bool = False
    range: tuple[int, int] | None = None
    next_index: int | None = None
    internal: bool | None = None
    label: str | None = None


async def import_descriptor(
    wallet: Wallet, request: ImportRequest, scan_from: int, warnings: list[str] | None = None
) -> list[str]:
    """Add what the request describes; warnings. One transaction, which also notes that blocks from the time
    ``scan_from`` on are to be scanned.

    ``warnings`` are added to as they arise: where it raises, they are those that came before.

    Raises:
        RpcError: in Core's words; nothing was added.
    """
    warnings = [] if warnings is None else warnings
    described = read(request.desc, wallet.options.chain, require_checksum=True)
    start, end, next_index = _span(wallet, request, described, warnings)
    _check(wallet, request, described)
    plans = []
    for number, one in enumerate(described):
        internal = bool(request.internal) if len(described) != 2 else number == 1
        if one.normalized is None:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "Cannot expand descriptor. Probably because of hardened derivations without private keys provided",
            )
        warnings += unsafe_delays(one.text)
        if wallet.private_keys_enabled and not one.secrets:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "Cannot import descriptor without private keys to a wallet with private keys enabled",
            )
        warnings += _missing_keys(wallet, one)
        span = _Span(start, end, next_index)
        plans.append((one, internal, span, await _derive(wallet, one, span, request.desc)))
    with wallet.ledger.transaction():
        for one, internal, span, derived in plans:
            found = _add(wallet, one, request.timestamp, span, derived)
            _label(wallet, found, request, internal)
            warnings += _activate(wallet, found, one, request.active, internal)
        wallet.progress.note_rescan(scan_from)
        wallet.history.find_new_outputs()
    wallet.changed()
    return warnings


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    next_index: int


def _span(
    wallet: Wallet, request: ImportRequest, described: list[ReadDescriptor], warnings: list[str]
) -> tuple[int, int, int]:
    """First index, the one after the last, and the next to be handed out."""
    if not described[0].parsed.is_ranged:
        if request.range is not None:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Range should not be specified for an un-ranged descriptor")
        return 0, 1, 0
    if request.range is None:
        warnings.append("Range not given, using default keypool range")
        start, end = 0, wallet.options.keypool
    else:
        start, end = request.range[0], request.range[1] + 1
    next_index = start if request.next_index is None else request.next_index
    if not start <= next_index < end:
        raise RpcError(RpcCode.INVALID_PARAMETER, "next_index is out of range")
    return start, end, next_index


def _check(wallet: Wallet, request: ImportRequest, described: list[ReadDescriptor]) -> None:
    ranged = described[0].parsed.is_ranged
    if request.internal is not None and len(described) > 1:
        raise RpcError(
            RpcCode.INVALID_ADDRESS_OR_KEY, "Cannot have multipath descriptor while also specifying 'internal'"
        )
    if request.active and not ranged:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Active descriptors must be ranged")
    if request.label is not None:
        if len(described) > 1:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Multipath descriptors should not have a label")
        if ranged:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Ranged descriptors should not have a label")
        if request.internal:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Internal addresses should not have a label")
    if request.active and not _is_single_type(described[0]):
        raise RpcError(RpcCode.WALLET_ERROR, "Combo descriptors cannot be set to active")
    if not wallet.private_keys_enabled and described[0].secrets:
        raise RpcError(RpcCode.WALLET_ERROR, "Cannot import private keys to a wallet with private keys disabled")


def _is_single_type(one: ReadDescriptor) -> bool:
    return len(one.parsed.script_pub_keys(0, one.secrets.by_public)) == 1 if one.normalized else True


def _missing_keys(wallet: Wallet, one: ReadDescriptor) -> list[str]:
    complete = all(one.secrets.holds(public_half(key)) for key in plain_keys(one.parsed))
    # as Core: of an aggregate (MuSig2) there is no private key
    if not wallet.private_keys_enabled or (complete and not any(k.is_aggregate for k in one.parsed.key_expressions)):
        return []
    return ["Not all private keys provided. Some wallet functionality may return unexpected errors"]


async def _derive(wallet: Wallet, one: ReadDescriptor, span: _Span, text: str) -> list[Derived]:
    """All scripts that the descriptor is to have once it is added."""
    old = wallet.descriptors.find(one.text)
    ranged = one.parsed.is_ranged
    if old is not None and ranged and (span.start > old.range_start or span.end < old.range_end):
        raise RpcError(
            RpcCode.WALLET_ERROR,
            f"Could not add descriptor '{text}': new range must include current range = "
            f"[{old.range_start},{old.range_end - 1}]",
        )
    end = max(span.next_index + wallet.options.keypool, span.end) if ranged else 1
    return await derive(one, span.start, end)


async def derive(one: ReadDescriptor, start: int, end: int) -> list[Derived]:
    """The scripts of ``[start, end)``; others get their turns meanwhile."""
    prv_keys: Mapping[str, str] = one.secrets.by_public
    derived: list[Derived] = []
    for index in range(start, end):
        derived.append((index, [found.script for found in one.parsed.script_pub_keys(index, prv_keys)]))
        if len(derived) % _DERIVE_AT_ONCE == 0:
            await asyncio.sleep(0)
    return derived


def _add(wallet: Wallet, one: ReadDescriptor, created: int, span: _Span, derived: list[Derived]) -> WalletDescriptor:
    """Add a descriptor, or widen the one that is there already (``AddWalletDescriptor``)."""
    assert one.normalized is not None
    found = wallet.descriptors.find(one.text)
    if found is None:
        found = wallet.descriptors.add(one.text, one.normalized, created, span.start, span.next_index)
    else:
        found.created, found.next_index = created, span.next_index
    for public, secret in one.secrets.by_public.items():
        wallet.keys.add(public, secret)
    wallet.descriptors.extend(found, derived, one.secrets.by_public)
    return found


def _label(wallet: Wallet, found: WalletDescriptor, request: ImportRequest, internal: bool) -> None:
    if found.is_ranged or internal:
        return
    for script in found.scripts(0, wallet.mapping_if_open(found)):
        if has_address(script):
            wallet.book.record(script, request.label or "", RECEIVE)


def _activate(wallet: Wallet, found: WalletDescriptor, one: ReadDescriptor, active: bool, internal: bool) -> list[str]:
    type = output_type(one.parsed)
    if not active:
        if type is not None:
            wallet.descriptors.set_inactive(found, type, internal)
        return []
    if type is None:
        return ["Unknown output type, cannot set descriptor to active."]
    wallet.descriptors.set_active(found, type, internal)
    return []


@dataclass(frozen=True)
class Prepared:
    """A wallet's own descriptor, derived and ready to be added."""

    type: OutputType
    internal: bool
    described: ReadDescriptor
    derived: list[Derived]


async def prepare(text: str, type: OutputType, internal: bool, chain: str, keypool: int) -> Prepared:
    """Derive one of a wallet's own descriptors; takes about 0.12 ms for each of ``keypool`` scripts."""
    (described,) = read(text, chain)
    return Prepared(type, internal, described, await derive(described, 0, keypool))


async def prepare_public(keys: KeySet, network: str, keypool: int) -> list[Prepared]:
    """The descriptors of keys that the signer holds."""
    prepared = []
    for one in keys.descriptors:
        described = ReadDescriptor(parse(one.normalized, network), one.text, one.normalized, TextSecrets({}))
        derived = await derive(described, 0, keypool)
        prepared.append(Prepared(OutputType(one.type), one.internal, described, derived))
    return prepared


async def prepare_standard(chain: str, network: str, keypool: int) -> list[Prepared]:
    """A new seed's descriptors, all four address types, receiving and change."""
    master = new_master_key(network)
    return [
        await prepare(text, OutputType(type), internal, chain, keypool)
        for type, internal, text in standard_descriptors(master, network)
    ]


def add_own(wallet: Wallet, prepared: list[Prepared], created: int) -> list[WalletDescriptor]:
    """Add a wallet's own descriptors and make them active. In a ledger transaction."""
    added = []
    for one in prepared:
        found = _add(wallet, one.described, created, _Span(0, 0, 0), one.derived)
        wallet.descriptors.set_active(found, one.type, one.internal)
        added.append(found)
    return added
