"""``solving_data``: keys, scripts and descriptors that tell how large inputs of somebody else's will be."""

from typing import Any

from btclib.hashes import hash160
from btclib_secp256k1.keys import pubkey_verify

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.descriptor_text import parse_descriptors
from bitcoind_mp.render.json_values import expect
from bitcoind_mp.signing.keystore import KeyStore

_SEC_SIZES = {2: 33, 3: 33, 4: 65, 6: 65, 7: 65}


def add_solving_data(known: KeyStore, data: dict[str, Any], chain: str) -> None:
    """Put what a ``solving_data`` object says into ``known``.

    Raises:
        RpcError: with Core's words.
    """
    for text in expect(data["pubkeys"], "array") if "pubkeys" in data else []:
        sec = _public_key(expect(text, "string"))
        known.add_public(sec)
        known.add_script(b"\x00\x14" + hash160(sec))
    for text in expect(data["scripts"], "array") if "scripts" in data else []:
        known.add_script(_script(expect(text, "string")))
    for text in expect(data["descriptors"], "array") if "descriptors" in data else []:
        try:
            parsed = parse_descriptors(expect(text, "string"), chain, require_checksum=True)
        except RpcError as error:
            raise RpcError(
                RpcCode.INVALID_PARAMETER, f"Unable to parse descriptor '{text}': {error.message}"
            ) from error
        for descriptor in parsed.descriptors:
            known.add(descriptor.provider(0, parsed.prv_keys))


def _public_key(text: str) -> bytes:
    """``HexToPubKey``"""
    sec = _hex(text)
    if sec is None:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f'Pubkey "{text}" must be a hex string')
    if len(sec) not in (33, 65):
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f'Pubkey "{text}" must have a length of either 33 or 65 bytes')
    if len(sec) != _SEC_SIZES.get(sec[0], 0) or not pubkey_verify(sec):
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f'Pubkey "{text}" must be cryptographically valid.')
    return sec


def _script(text: str) -> bytes:
    script = _hex(text)
    if script is None:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"'{text}' is not hex")
    return script


def _hex(text: str) -> bytes | None:
    """The bytes of an even number of hexadecimal digits, at least two; None for anything else (``IsHex``)."""
    if not text or any(character.isspace() for character in text):
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
