"""Commands about addresses, keys and descriptors that ask the chain nothing (``src/rpc/output_script.cpp``,
``src/rpc/signmessage.cpp``)."""

import asyncio
import base64
from typing import Any

from btclib.ecc import bms
from btclib.hashes import hash160
from btclib.key import PrvKeyData
from btclib.script.script import serialize
from btclib.script.solver import solver
from btclib_wallet.descriptors import (
    AddrDescriptor,
    Descriptor,
    Provider,
    RawDescriptor,
    add_checksum,
    infer_descriptor,
)

from bitcoind_mp.interfaces.command import Secret, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination, decode_secret, describe_destination, encode_address
from bitcoind_mp.render.descriptor_text import parse_descriptors, parse_range
from bitcoind_mp.render.hex_values import public_key
from bitcoind_mp.render.json_values import integer
from bitcoind_mp.render.network import network_name
from bitcoind_mp.signing.produce import witness_script_of

_DERIVE_AT_ONCE = 50
"""Derive so many addresses before others get a turn."""
_MAX_MULTISIG_KEYS = 20
_MAX_ELEMENT = 520
_OUTPUT_TYPES = ("legacy", "p2sh-segwit", "bech32", "bech32m")


class UtilCommands:
    """``chain`` is Core's name of the network."""

    def __init__(self, chain: str) -> None:
        self._chain = chain

    @command("util")
    def validateaddress(self, address: str) -> dict[str, Any]:
        """Says whether a text is an address of this network, and what it pays to.

        Args:
            address: The bitcoin address to validate

        Returns:
            isvalid, and for an address its normal form, its output script and what kind it is; otherwise the error
            and where in the text it is, as far as the checksum tells
        """
        destination = decode_destination(address, self._chain)
        if destination.script is None:
            return {
                "isvalid": False,
                "error_locations": destination.error_locations,
                "error": destination.error,
            }
        return {
            "isvalid": True,
            "address": encode_address(destination.script, self._chain),
            "scriptPubKey": destination.script.hex(),
            **describe_destination(destination.script),
        }

    @command("util")
    def createmultisig(self, nrequired: int, keys: list[str], address_type: str = "legacy") -> dict[str, Any]:
        """Makes the address that needs n of m keys' signatures.

        Args:
            nrequired: The number of required signatures out of the m keys
            keys: The public keys, in hex
            address_type: legacy, p2sh-segwit or bech32

        Returns:
            The address, its redeem script, its descriptor, and warnings where there are any
        """
        required = integer(nrequired)
        secs = [public_key(key) for key in keys]
        if address_type not in _OUTPUT_TYPES:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Unknown address type '{address_type}'")
        if address_type == "bech32m":
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "createmultisig cannot create bech32m multisig addresses")
        inner = _multisig_script(required, secs)
        made = address_type if all(len(sec) == 33 for sec in secs) else "legacy"
        if made == "legacy" and len(inner) > _MAX_ELEMENT:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"redeemScript exceeds size limit: {len(inner)} > {_MAX_ELEMENT}")
        program = witness_script_of(inner)
        script = {
            "legacy": b"\xa9\x14" + hash160(inner) + b"\x87",
            "p2sh-segwit": b"\xa9\x14" + hash160(program) + b"\x87",
            "bech32": program,
        }[made]
        result: dict[str, Any] = {
            "address": encode_address(script, self._chain),
            "redeemScript": inner.hex(),
            "descriptor": infer_descriptor(script, Provider(scripts=(inner, program)), network_name(self._chain)),
        }
        if made != address_type:
            result["warnings"] = [
                "Unable to make chosen address type, please ensure no uncompressed public keys are present."
            ]
        return result

    @command("util")
    async def deriveaddresses(self, descriptor: str, range: Any = None) -> list[Any]:
        """Derives the addresses of an output descriptor.

        Args:
            descriptor: The descriptor, with its checksum
            range (numeric or array): For a ranged descriptor the end or the [begin,end] of the indexes to derive

        Returns:
            The addresses; one list for each path of a multipath descriptor
        """
        begin, end = (0, 0) if range is None else parse_range(range)
        parsed = parse_descriptors(descriptor, self._chain, require_checksum=True)
        ranged = parsed.descriptors[0].is_ranged
        if not ranged and range is not None:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Range should not be specified for an un-ranged descriptor")
        if ranged and range is None:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Range must be specified for a ranged descriptor")
        derived = [await self._addresses(one, parsed.prv_keys, begin, end) for one in parsed.descriptors]
        return derived[0] if len(derived) == 1 else derived

    async def _addresses(self, descriptor: Descriptor, prv_keys: dict[str, str], begin: int, end: int) -> list[str]:
        addresses = []
        for index in range(begin, end + 1):
            if index % _DERIVE_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                scripts = descriptor.script_pub_keys(index, prv_keys)
            except ValueError:
                raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Cannot derive script without private keys") from None
            for script in scripts:
                address = encode_address(script.script, self._chain)
                if address is not None:
                    addresses.append(address)
                elif len(scripts) == 1 or solver(script.script)[0] != "pubkey":
                    raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Descriptor does not have a corresponding address")
        return addresses

    @command("util")
    def getdescriptorinfo(self, descriptor: str) -> dict[str, Any]:
        """Analyses a descriptor.

        Args:
            descriptor: The descriptor

        Returns:
            The descriptor in its normal form without private keys, the checksum of what was given, and whether it
            is ranged, solvable and holds private keys
        """
        parsed = parse_descriptors(descriptor, self._chain)
        texts = [add_checksum(str(one)) for one in parsed.descriptors]
        result: dict[str, Any] = {"descriptor": texts[0]}
        if len(texts) > 1:
            result["multipath_expansion"] = texts
        first = parsed.descriptors[0]
        return {
            **result,
            "checksum": parsed.checksum,
            "isrange": first.is_ranged,
            "issolvable": not isinstance(first, AddrDescriptor | RawDescriptor),
            "hasprivatekeys": parsed.has_private_keys,
        }

    @command("util")
    def verifymessage(self, address: str, signature: str, message: str) -> bool:
        """Verifies a signed message.

        Args:
            address: The address whose key is to have signed
            signature: The signature in base 64 (see signmessage)
            message: The message that was signed

        Returns:
            Whether the signature is of that message by that address's key
        """
        result = bms.message_verify(message.encode(), address, signature, network=network_name(self._chain))
        if result is bms.MessageVerificationResult.ERR_INVALID_ADDRESS:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid address")
        if result is bms.MessageVerificationResult.ERR_ADDRESS_NO_KEY:
            raise RpcError(RpcCode.TYPE_ERROR, "Address does not refer to key")
        if result is bms.MessageVerificationResult.ERR_MALFORMED_SIGNATURE:
            raise RpcError(RpcCode.TYPE_ERROR, "Malformed base64 encoding")
        return result is bms.MessageVerificationResult.OK

    @command("util")
    def signmessagewithprivkey(self, privkey: Secret, message: str) -> str:
        """Signs a message with a private key.

        Args:
            privkey: The private key to sign with
            message: The message to sign

        Returns:
            The signature in base 64
        """
        secret = decode_secret(privkey, self._chain)
        if secret is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid private key")
        key, compressed = secret
        data = PrvKeyData(int.from_bytes(key, "big"), network_name(self._chain), compressed)
        return base64.b64encode(bms.sign(message.encode(), data).serialize()).decode()


def _multisig_script(required: int, secs: list[bytes]) -> bytes:
    """``GetScriptForMultisig``, with the refusals of ``AddAndGetMultisigDestination``."""
    if required < 1:
        raise RpcError(RpcCode.INVALID_PARAMETER, "a multisignature address must require at least one key to redeem")
    if len(secs) < required:
        raise RpcError(
            RpcCode.INVALID_PARAMETER,
            f"not enough keys supplied (got {len(secs)} keys, but need at least {required} to redeem)",
        )
    if len(secs) > _MAX_MULTISIG_KEYS:
        raise RpcError(
            RpcCode.INVALID_PARAMETER,
            f"Number of keys involved in the multisignature address creation > {_MAX_MULTISIG_KEYS}\nReduce the number",
        )
    return serialize([_number(required), *secs, _number(len(secs)), "OP_CHECKMULTISIG"])


def _number(value: int) -> str | bytes:
    """A small number as a script pushes it."""
    return f"OP_{value}" if value <= 16 else bytes([value])
