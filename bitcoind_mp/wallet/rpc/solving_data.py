"""``solving_data``: keys, scripts and descriptors that tell how large inputs of somebody else's will be."""

from typing import Any

from btclib.hashes import hash160

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.descriptor_text import parse_descriptors
from bitcoind_mp.render.hex_values import hex_bytes, public_key
from bitcoind_mp.render.json_values import expect
from bitcoind_mp.signing.keystore import KeyStore


def add_solving_data(known: KeyStore, data: dict[str, Any], chain: str) -> None:
    """Put what a ``solving_data`` object says into ``known``.

    Raises:
        RpcError: with Core's words.
    """
    for text in expect(data["pubkeys"], "array") if "pubkeys" in data else []:
        sec = public_key(expect(text, "string"))
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


def _script(text: str) -> bytes:
    script = hex_bytes(text)
    if script is None:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"'{text}' is not hex")
    return script
