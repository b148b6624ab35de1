"""Addresses and private keys as text: encoding, and decoding with Core's error words (``src/key_io.cpp``)."""

from dataclasses import dataclass, field
from typing import Any

from btclib import b32, base58
from btclib.exceptions import BTClibValueError
from btclib.script.script_pub_key import address as script_address
from btclib.script.solver import solver

from . import bech32_errors
from .network import network_name, network_of

_BASE58 = {c: i for i, c in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}
#: the order of secp256k1
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SPACE = " \f\n\r\t\v"


@dataclass(frozen=True)
class Destination:
    """What a piece of text says to pay: ``script``, None where it is no address of the chain.

    ``error`` says why in Core's words (empty for an address) and ``error_locations`` are the positions of the
    characters at fault, where the checksum tells them.
    """

    script: bytes | None
    error: str = ""
    error_locations: list[int] = field(default_factory=list)


def encode_address(script: bytes, chain: str) -> str | None:
    """The address of an output script, None where it has none (``ExtractDestination``, ``EncodeDestination``)."""
    return script_address(script, network_name(chain)) or None


def decode_destination(text: str, chain: str) -> Destination:
    """Read an address of the chain (``DecodeDestination``)."""
    network = network_of(chain)
    if text[: len(network.hrp)].lower() == network.hrp:
        return _from_bech32(text, network.hrp)
    payload = base58_payload(text, 21)
    if payload is None:
        if _looks_like_base58(text, 100):
            return Destination(None, "Invalid checksum or length of Base58 address (P2PKH or P2SH)")
        return Destination(None, "Invalid or unsupported Segwit (Bech32) or Base58 encoding.")
    for prefix, before, after in (
        (network.p2pkh, b"\x76\xa9\x14", b"\x88\xac"),
        (network.p2sh, b"\xa9\x14", b"\x87"),
    ):
        if payload[:1] == prefix:
            if len(payload) == 21:
                return Destination(before + payload[1:] + after)
            return Destination(None, "Invalid length for Base58 address (P2PKH or P2SH)")
    return Destination(None, "Invalid or unsupported Base58-encoded address.")


def base58_payload(text: str, maximum: int) -> bytes | None:
    """The bytes of a Base58Check string without its checksum, None for anything else or more than ``maximum``
    bytes. White space around it is skipped, as Core does."""
    if not text.isascii():
        return None
    try:
        payload = base58.decode(text.strip(_SPACE))
    except BTClibValueError:
        return None
    return payload if len(payload) <= maximum else None


def _looks_like_base58(text: str, maximum: int) -> bool:
    """Whether the text is Base58 of at most ``maximum`` bytes, the checksum apart (``DecodeBase58``)."""
    text = text.strip(_SPACE)
    if not all(character in _BASE58 for character in text):
        return False
    zeros = len(text) - len(text.lstrip("1"))
    number = 0
    for character in text[zeros:][: 2 * maximum]:
        number = number * 58 + _BASE58[character]
    return len(text) <= 2 * maximum and zeros + (number.bit_length() + 7) // 8 <= maximum


def _from_bech32(text: str, hrp: str) -> Destination:
    text = text.encode().decode("latin-1")  # positions are of bytes
    decoded = bech32_errors.decode(text)
    if decoded is None:
        error, locations = bech32_errors.locate_errors(text)
        return Destination(None, error, locations)
    error = ""
    if not decoded.data:
        return Destination(None, "Empty Bech32 data section")
    if decoded.hrp != hrp:
        return Destination(
            None,
            f"Invalid or unsupported prefix for Segwit (Bech32) address (expected {hrp}, got {decoded.hrp}).",
        )
    version = decoded.data[0]
    if version == 0 and decoded.modified:
        return Destination(None, "Version 0 witness address must use Bech32 checksum")
    if version != 0 and not decoded.modified:
        return Destination(None, "Version 1+ witness address must use Bech32m checksum")
    try:
        program = bytes(b32.power_of_2_base_conversion(decoded.data[1:], 5, 8, False))
    except BTClibValueError:
        return Destination(None, "Invalid padding in Bech32 data section")
    size = f"({len(program)} byte{'s' if len(program) != 1 else ''})"
    if version == 0 and len(program) not in (20, 32):
        error = f"Invalid Bech32 v0 address program size {size}, per BIP141"
    elif version > 16:
        error = "Invalid Bech32 address witness version"
    elif not 2 <= len(program) <= 40:
        error = f"Invalid Bech32 address program size {size}"
    if error:
        return Destination(None, error)
    return Destination(bytes([0x50 + version if version else 0, len(program)]) + program)


def decode_secret(text: str, chain: str) -> tuple[bytes, bool] | None:
    """A private key in wallet import format: its 32 bytes and whether its public key is compressed; None where
    it is no valid key of the chain (``DecodeSecret``)."""
    payload = base58_payload(text, 34)
    if payload is None or payload[:1] != network_of(chain).wif:
        return None
    key = payload[1:33]
    compressed = len(payload) == 34 and payload[-1] == 1
    if len(payload) != 33 and not compressed:
        return None
    return (key, compressed) if 0 < int.from_bytes(key, "big") < _ORDER else None


def describe_destination(script: bytes) -> dict[str, Any]:
    """What kind of output an address stands for (``DescribeAddress``)."""
    kind = solver(script)[0]
    if kind in ("pubkeyhash", "scripthash"):
        return {"isscript": kind == "scripthash", "iswitness": False}
    if kind == "anchor":
        return {"isscript": True, "iswitness": True}
    shape = {} if kind == "witness_unknown" else {"isscript": kind != "witness_v0_keyhash"}
    return {
        **shape,
        "iswitness": True,
        "witness_version": script[0] - 0x50 if script[0] else 0,
        "witness_program": script[2:].hex(),
    }
