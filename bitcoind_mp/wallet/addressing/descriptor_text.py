"""Descriptors as people write them: private keys taken out (and put back: ``signing/descriptor_keys.py``). Pure.

btclib's descriptors hold no private key: an extended one is replaced by its public half and handed back, a WIF only
by its public key. So a wallet keeps the public text and, beside it, each secret under the public half it belongs to.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from btclib.b58 import wif_from_prv_key
from btclib.exceptions import BTClibValueError
from btclib_wallet.descriptors import (
    AddrDescriptor,
    ComboDescriptor,
    Descriptor,
    MultiDescriptor,
    PkDescriptor,
    RawDescriptor,
    RawTrDescriptor,
    ShDescriptor,
    TrDescriptor,
    WpkhDescriptor,
    WshDescriptor,
    add_checksum,
    normalized,
)

from bitcoind_mp.render.descriptor_text import parse_descriptors
from bitcoind_mp.render.network import network_name
from bitcoind_mp.signing.descriptor_keys import TextSecrets
from bitcoind_mp.wallet.coins import OutputType

from .addresses import coin_type

_OLDER = re.compile(r"\bolder\((\d+)\)")
#: Of a relative lock time (BIP68): the bit that says that it counts time, and those that count.
_DELAY_IS_TIME, _DELAY_MASK = 1 << 22, 0xFFFF


@dataclass(frozen=True)
class ReadDescriptor:
    """A descriptor as read: parsed, its public text and its normalized text (each with checksum), its secrets.

    ``normalized`` is None where a hardened step lacks its private key: no script can be derived."""

    parsed: Descriptor
    text: str
    normalized: str | None
    secrets: TextSecrets


def read(text: str, chain: str, *, require_checksum: bool = False) -> list[ReadDescriptor]:
    """Read a descriptor, one for each path of it (BIP389). Raises `RpcError` (-5) in Core's words."""
    found = parse_descriptors(text, chain, require_checksum=require_checksum)
    network = network_name(chain)
    secrets = dict(found.prv_keys)
    for public, secret in found.secrets.items():
        secrets[public.hex()] = wif_from_prv_key(secret, network, len(public) == 33)
    return [_described(parsed, found.prv_keys, TextSecrets(secrets)) for parsed in found.descriptors]


def _described(parsed: Descriptor, extended: Mapping[str, str], secrets: TextSecrets) -> ReadDescriptor:
    normal: str | None = None
    with suppress(BTClibValueError):
        parsed.script_pub_keys(0, extended)
        normal = add_checksum(str(normalized(parsed, extended)))
    return ReadDescriptor(parsed, add_checksum(str(parsed)), normal, secrets)


def unsafe_delays(text: str) -> list[str]:
    """Words about each ``older()`` whose number says more than BIP68 keeps of it: the coin can be spent sooner
    (``MiniscriptDescriptor``)."""
    found = []
    for number in map(int, _OLDER.findall(text)):
        if number & ~_DELAY_IS_TIME > _DELAY_MASK:
            kind, most = ("time", "(65535 * 512) seconds") if number & _DELAY_IS_TIME else ("height", "65535 blocks")
            found.append(f"{kind}-based relative locktime: older({number}) > {most} is unsafe")
    return found


def output_type(descriptor: Descriptor) -> OutputType | None:
    """The address type of a descriptor's scripts, None where it has none (``Descriptor::GetOutputType``)."""
    match descriptor:
        case WpkhDescriptor() | WshDescriptor():
            return OutputType.BECH32
        case TrDescriptor() | RawTrDescriptor():
            return OutputType.BECH32M
        case ShDescriptor(inner=inner):
            return OutputType.P2SH_SEGWIT if isinstance(inner, WpkhDescriptor | WshDescriptor) else OutputType.LEGACY
        case AddrDescriptor() | RawDescriptor():
            return coin_type(descriptor.script_pub_key().script, None)
        case ComboDescriptor() | PkDescriptor() | MultiDescriptor():
            return None
        case _:
            return OutputType.LEGACY
