"""Descriptors from text as a command's parameter gives them, refused with Core's words."""

import re
from dataclasses import dataclass, field
from typing import Any

from btclib.exceptions import BTClibValueError
from btclib_secp256k1.keys import pubkey_from_prvkey
from btclib_wallet.descriptors import Descriptor, RawDescriptor, checksum, multipath_descriptors, parse

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .address import decode_secret
from .descriptor_faults import find_fault
from .json_values import expect, integer, type_name
from .network import network_name

#: Characters that are read of a descriptor, once for each of its paths: it takes some seconds at most, in which nobody
#: else is served. Core has no such bound; its longest multi_a(), 999 keys with their origins and two paths, fits.
MOST_READ = 300_000
_PATHS = re.compile(r"<[^<>]*>")
_WIF = re.compile(r"(?<![1-9A-HJ-NP-Za-km-z])[1-9A-HJ-NP-Za-km-z]{51,52}(?![1-9A-HJ-NP-Za-km-z])")


@dataclass(frozen=True)
class ParsedDescriptors:
    """One descriptor for each path of the text (BIP389), and the checksum of the text as it was given.

    The private keys in it: ``prv_keys`` the extended ones by their public ones, as btclib's `Descriptor` methods take
    them, ``secrets`` the single ones (WIF) by their public keys (SEC).
    """

    descriptors: list[Descriptor]
    checksum: str
    prv_keys: dict[str, str] = field(default_factory=dict, repr=False)
    secrets: dict[bytes, bytes] = field(default_factory=dict, repr=False)

    @property
    def has_private_keys(self) -> bool:
        return bool(self.prv_keys or self.secrets)


def parse_descriptors(text: str, chain: str, *, require_checksum: bool = False) -> ParsedDescriptors:
    """Core's ``Parse``. Raises `RpcError` (INVALID_ADDRESS_OR_KEY)."""
    _check_size(text)
    body, sum_of_text = _split_checksum(text, require_checksum)
    network = network_name(chain)
    keys: dict[str, str] = {}
    try:
        parsed = [parse(single, network, keys) for single in multipath_descriptors(body, network)]
    except ValueError as error:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, find_fault(body, chain, str(error))) from None
    if isinstance(parsed[0], RawDescriptor) and not parsed[0].script:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Raw script is not hex")
    return ParsedDescriptors(parsed, sum_of_text, keys, _fixed_secrets(body, chain))


def _check_size(text: str) -> None:
    paths = 1
    if len(text) <= MOST_READ:
        paths += max((step[0].count(";") for step in _PATHS.finditer(text)), default=0)
    if paths * len(text) > MOST_READ:
        many = f" with {paths} paths" if paths > 1 else ""
        raise RpcError(
            RpcCode.INVALID_ADDRESS_OR_KEY,
            f"A descriptor of {len(text)} characters{many} is too long: at most {MOST_READ} for all paths are read",
        )


def _fixed_secrets(body: str, chain: str) -> dict[bytes, bytes]:
    secrets = {}
    for word in _WIF.findall(body):
        decoded = decode_secret(word, chain)
        if decoded is not None:
            secret, compressed = decoded
            secrets[pubkey_from_prvkey(secret, compressed)] = secret
    return secrets


def _split_checksum(text: str, require: bool) -> tuple[str, str]:
    """The text without its checksum, and the checksum that it should have (``CheckChecksum``)."""
    body, *given = text.split("#")
    error = ""
    if len(given) > 1:
        error = "Multiple '#' symbols"
    elif not given and require:
        error = "Missing checksum"
    elif given and len(given[0]) != 8:
        error = f"Expected 8 character checksum, not {len(given[0])} characters"
    else:
        try:
            expected = checksum(body)
        except BTClibValueError:
            error = "Invalid characters in payload"
        else:
            if not given or given[0] == expected:
                return body, expected
            error = f"Provided checksum '{given[0]}' does not match computed checksum '{expected}'"
    raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, error)


def parse_range(value: Any) -> tuple[int, int]:
    """The first and last index of a ``range`` parameter, an end or [begin,end] (``ParseDescriptorRange``)."""
    if type_name(value) == "number":
        low, high = 0, integer(value, 64)
    elif isinstance(value, list) and len(value) == 2 and all(type_name(one) == "number" for one in value):
        low, high = integer(value[0], 64), integer(value[1], 64)
        if low > high:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Range specified as [begin,end] must not have begin after end")
    else:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Range must be specified as end or as [begin,end]")
    if low < 0:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Range should be greater or equal than 0")
    if high >> 31:
        raise RpcError(RpcCode.INVALID_PARAMETER, "End of range is too high")
    if high >= low + 1_000_000:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Range is too large")
    return low, high


@dataclass(frozen=True)
class ScanObject:
    """What a command was given to look at: a descriptor's text, what it means, and its first and last index."""

    text: str
    parsed: ParsedDescriptors
    begin: int
    end: int


def parse_scan_object(value: Any, chain: str) -> ScanObject:
    """A descriptor, or an object with one and a range (``EvalDescriptorStringOrObject``). Raises `RpcError`."""
    begin, end = 0, 1000
    if isinstance(value, str):
        text = value
    elif isinstance(value, dict):
        if value.get("desc") is None:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Descriptor needs to be provided in scan object")
        text = expect(value["desc"], "string")
        if value.get("range") is not None:
            begin, end = parse_range(value["range"])
    else:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Scan object needs to be either a string or an object")
    parsed = parse_descriptors(text, chain)
    if not parsed.descriptors[0].is_ranged:
        begin = end = 0
    return ScanObject(text, parsed, begin, end)
