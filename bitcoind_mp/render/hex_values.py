"""What a parameter has in hex: bytes and public keys. (Transactions are in ``transaction.py``.)"""

from btclib_secp256k1.keys import pubkey_verify

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

#: A public key's length by its first byte.
_SEC_SIZES = {2: 33, 3: 33, 4: 65, 6: 65, 7: 65}


def hex_bytes(text: str) -> bytes | None:
    """The bytes of an even number of hexadecimal digits, at least two; None for anything else (``IsHex``)."""
    if not text or any(character.isspace() for character in text):
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def public_key(text: str) -> bytes:
    """A public key (``HexToPubKey``)."""
    sec = hex_bytes(text)
    if sec is None:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f'Pubkey "{text}" must be a hex string')
    if len(sec) not in (33, 65):
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f'Pubkey "{text}" must have a length of either 33 or 65 bytes')
    if len(sec) != _SEC_SIZES.get(sec[0], 0) or not pubkey_verify(sec):
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f'Pubkey "{text}" must be cryptographically valid.')
    return sec
