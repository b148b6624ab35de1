"""Why a descriptor's key is wrong, in Core's words (``ParsePubkey``, ``src/script/descriptor.cpp``), and what reading
keys and scripts have in common."""

import re

from btclib_secp256k1.keys import pubkey_verify
from btclib_wallet.bip32.bip32 import BIP32KeyData

from .address import decode_secret
from .network import network_of

TOP, P2SH, P2WPKH, P2WSH, P2TR, MUSIG = "top", "sh", "wpkh", "wsh", "tr", "musig"
"""Where in a descriptor a script or key stands."""
_SPACE = " \f\n\r\t\v"


class Fault(Exception):
    """Core's words for it."""


def expression(text: str) -> tuple[str, str]:
    """The text up to its first comma or closing bracket that nothing in it opened, and the rest."""
    level = 0
    for i, character in enumerate(text):
        if character in "({":
            level += 1
        elif level and character in ")}":
            level -= 1
        elif not level and character in ")},":
            return text[:i], text[i:]
    return text, ""


def enclosed(name: str, text: str) -> str | None:
    """What ``name(…)`` encloses, None for anything else."""
    return text[len(name) + 1 : -1] if text.startswith(f"{name}(") and text.endswith(")") else None


def uint32(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= 0xFFFFFFFF else None


def is_hex(text: str) -> bool:
    """``IsHex``: digits in pairs, at least one."""
    return bool(re.fullmatch(r"([0-9a-fA-F]{2})+", text))


class KeyWalk:
    """Reads KEY expressions of a chain; ``refusal`` is what btclib said of the descriptor."""

    def __init__(self, chain: str, refusal: str) -> None:
        self._chain = chain
        self._refusal = refusal

    def prefixed(self, prefix: str, text: str, context: str) -> int:
        try:
            return self.key(text, context)
        except Fault as fault:
            raise Fault(f"{prefix}: {fault}") from None

    def key(self, text: str, context: str) -> int:
        """A KEY expression; how many bytes its public key takes."""
        if text.startswith("musig("):
            return self._musig(text, context)
        origin, *rest = text.split("]")
        if len(rest) > 1:
            raise Fault("Multiple ']' characters found for a single pubkey")
        if not rest:
            return self._key_without_origin(origin, context)
        if not origin.startswith("["):
            got = origin[:1] or "]"
            raise Fault(f"Key origin start '[ character expected but not found, got '{got}' instead")
        fingerprint, *steps = origin[1:].split("/")
        if len(fingerprint) != 8:
            raise Fault(f"Fingerprint is not 4 bytes ({len(fingerprint)} characters instead of 8 characters)")
        if not is_hex(fingerprint):
            raise Fault(f"Fingerprint '{fingerprint}' is not hex")
        self._path(steps, multipath=False)
        return self._key_without_origin(rest[0], context)

    def _key_without_origin(self, text: str, context: str) -> int:
        key, *steps = text.split("/")
        if not key:
            raise Fault("No key provided")
        if key[0] in _SPACE or key[-1] in _SPACE:
            raise Fault(f"Key '{key}' is invalid due to whitespace")
        if not steps:
            size = self._fixed_key(key, context)
            if size:
                return size
        if not self._is_extended(key):
            raise Fault(f"key '{key}' is not valid")
        if steps and steps[-1] in ("*", "*'", "*h"):
            steps.pop()
        self._path(steps, multipath=True)
        return 33

    def _fixed_key(self, key: str, context: str) -> int:
        """The size of a key in hex or a private key; 0 for neither."""
        uncompressed_allowed = context in (TOP, P2SH)
        if is_hex(key):
            sec = bytes.fromhex(key)
            expected = {2: 33, 3: 33, 4: 65, 6: 65, 7: 65}.get(sec[0])
            if expected == len(sec):
                if sec[0] in (6, 7):
                    raise Fault("Hybrid public keys are not allowed")
                if pubkey_verify(sec):
                    if len(sec) == 65 and not uncompressed_allowed:
                        raise Fault("Uncompressed keys are not allowed")
                    return len(sec)
            elif len(sec) == 32 and context == P2TR and pubkey_verify(b"\x02" + sec):
                return 32
            raise Fault(f"Pubkey '{key}' is invalid")
        secret = decode_secret(key, self._chain)
        if secret is None:
            return 0
        if not secret[1] and not uncompressed_allowed:
            raise Fault("Uncompressed keys are not allowed")
        return 33 if secret[1] else 65

    def _is_extended(self, key: str) -> bool:
        network = network_of(self._chain)
        try:
            return BIP32KeyData.b58decode(key).version in (network.bip32_pub, network.bip32_prv)
        except ValueError:
            return False

    def _path(self, steps: list[str], *, multipath: bool) -> bool:
        """Read a derivation path; whether it holds a multipath step."""
        found = False
        for step in steps:
            if not (step.startswith("<") and step.endswith(">")):
                self._step(step)
                continue
            if not multipath:
                raise Fault(f"Key path value '{step}' specifies multipath in a section where multipath is not allowed")
            if found:
                raise Fault("Multiple multipath key path specifiers found")
            items = step[1:-1].split(";")
            if len(items) < 2:
                raise Fault("Multipath key path specifiers must have at least two items")
            found = True
            seen: set[int] = set()
            for item in items:
                value = self._step(item)
                if value in seen:
                    raise Fault(f"Duplicated key path value {value} in multipath specifier")
                seen.add(value)
        return found

    @staticmethod
    def _step(step: str) -> int:
        hardened = step.endswith(("'", "h"))
        text = step[:-1] if hardened else step
        value = uint32(text)
        if value is None:
            raise Fault(f"Key path value '{text}' is not a valid uint32")
        if value > 0x7FFFFFFF:
            raise Fault(f"Key path value {value} is out of range")
        return value | 0x80000000 if hardened else value

    def _musig(self, text: str, context: str) -> int:
        if context != P2TR:
            raise Fault("musig() is only allowed in tr() and rawtr()")
        head, bracket, derivation = text.partition(")")
        if ")" in derivation:
            raise Fault("Too many ')' in musig() expression")
        inner = enclosed("musig", head + bracket)
        if inner is None:
            raise Fault("Invalid musig() expression")
        keys: list[str] = []
        rest = inner
        while rest:
            if keys and rest[0] != ",":
                raise Fault(f"musig(): expected ',', got '{rest[0]}'")
            key, rest = expression(rest[1:] if keys else rest)
            self.prefixed("musig()", key, MUSIG)
            keys.append(key)
        if not keys:
            raise Fault("musig(): Must contain key expressions")
        if derivation.startswith("/"):
            self._musig_path(keys, derivation[1:].split("/"))
        if "different length" in self._refusal:
            raise Fault("musig(): Multipath derivation paths have mismatched lengths")
        return 33

    def _musig_path(self, keys: list[str], steps: list[str]) -> None:
        bare = [key.split("]")[-1] for key in keys]
        if not all(self._is_extended(key.split("/")[0]) for key in bare):
            raise Fault("musig(): derivation requires all participants to be xpubs or xprvs")
        if any(key.endswith(("/*", "/*h", "/*'")) for key in bare):
            raise Fault("musig(): Cannot have ranged participant keys if musig() also has derivation")
        if steps[-1] in ("*'", "*h"):
            raise Fault("musig(): Cannot have hardened child derivation")
        if steps[-1] == "*":
            steps = steps[:-1]
        try:
            multipath = self._path(steps, multipath=True)
        except Fault as fault:
            raise Fault(f"musig(): {fault}") from None
        if any(item.endswith(("'", "h")) for step in steps for item in step.strip("<>").split(";")):
            raise Fault("musig(): cannot have hardened derivation steps")
        if multipath and any("<" in key for key in bare):
            raise Fault("musig(): Cannot have multipath participant keys if musig() is also multipath")
