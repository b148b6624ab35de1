"""Why a descriptor that btclib refuses is wrong, in Core's words (``ParseScript``, ``src/script/descriptor.cpp``).

btclib refuses what Core refuses; its words differ, and leave out the text at fault. This walks a refused text in
the order in which Core reads it and says what Core says of the first fault that it meets.
"""

import re

from btclib_secp256k1.keys import pubkey_verify
from btclib_wallet.bip32.bip32 import BIP32KeyData
from btclib_wallet.descriptors import miniscript

from .address import decode_destination, decode_secret
from .network import network_of

_TOP, _P2SH, _P2WPKH, _P2WSH, _P2TR, _MUSIG = "top", "sh", "wpkh", "wsh", "tr", "musig"
_MAX_ELEMENT = 520
_MAX_DEPTH = 128
_SPACE = " \f\n\r\t\v"
_INSANE = (
    (
        "it mixes timelocks expressed in blocks and in seconds",
        "contains mixes of timelocks expressed in blocks and seconds",
    ),
    ("it repeats a public key", "contains duplicate public keys"),
    ("satisfying it may exceed the resource limits", "needs witnesses that may exceed resource limits"),
)
_KEY_FRAGMENT = re.compile(r"(?<![a-z_])(?:pk|pkh|pk_k|pk_h)\(([^()]*)\)|(?<![a-z_])multi(?:_a)?\([^,()]*,([^()]*)\)")


def find_fault(body: str, chain: str, refusal: str) -> str:
    """Core's words for a descriptor without its checksum; ``refusal`` is what btclib said."""
    walk = _Walk(chain, refusal)
    try:
        _, rest = _expression(body)
        walk.script(body[: len(body) - len(rest)], _TOP)
    except _Fault as fault:
        return str(fault)
    return "" if rest else refusal


class _Fault(Exception):
    pass


def _expression(text: str) -> tuple[str, str]:
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


def _function(name: str, text: str) -> str | None:
    """What ``name(…)`` encloses, None for anything else."""
    return text[len(name) + 1 : -1] if text.startswith(f"{name}(") and text.endswith(")") else None


def _uint32(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= 0xFFFFFFFF else None


class _Walk:
    def __init__(self, chain: str, refusal: str) -> None:
        self._chain = chain
        self._refusal = refusal

    def script(self, text: str, context: str) -> None:
        expr, _ = _expression(text)
        if (inner := _function("pk", expr)) is not None:
            return self._key_of("pk", inner, context)
        if context != _P2TR and (inner := _function("pkh", expr)) is not None:
            return self._key_of("pkh", inner, context)
        if (inner := _function("combo", expr)) is not None:
            self._only("Can only have combo() at top level", context, _TOP)
            return self._key_of("combo", inner, context)
        for name in ("multi", "sortedmulti", "multi_a", "sortedmulti_a"):
            if (inner := _function(name, expr)) is not None:
                return self._multi(name, inner, context)
        if (inner := _function("wpkh", expr)) is not None:
            self._only("Can only have wpkh() at top level or inside sh()", context, _TOP, _P2SH)
            return self._key_of("wpkh", inner, _P2WPKH)
        for name, into in (("sh", _P2SH), ("wsh", _P2WSH)):
            if (inner := _function(name, expr)) is not None:
                allowed = (_TOP,) if name == "sh" else (_TOP, _P2SH)
                where = "at top level" if name == "sh" else "at top level or inside sh()"
                self._only(f"Can only have {name}() {where}", context, *allowed)
                self.script(inner, into)
                if _expression(inner)[1]:
                    raise _Fault("")
                return None
        return self._leaf(expr, context)

    def _leaf(self, expr: str, context: str) -> None:
        if (inner := _function("addr", expr)) is not None:
            self._only("Can only have addr() at top level", context, _TOP)
            if decode_destination(inner, self._chain).script is None:
                raise _Fault("Address is not valid")
        elif (inner := _function("tr", expr)) is not None:
            self._only("Can only have tr at top level", context, _TOP)
            self._taproot(inner)
        elif (inner := _function("rawtr", expr)) is not None:
            self._only("Can only have rawtr at top level", context, _TOP)
            if _expression(inner)[1]:
                raise _Fault("rawtr(): only one key expected.")
            self._key_of("rawtr", inner, _P2TR)
        elif (inner := _function("raw", expr)) is not None:
            self._only("Can only have raw() at top level", context, _TOP)
            if not _is_hex(inner):
                raise _Fault("Raw script is not hex")
        else:
            self._miniscript(expr, context)

    @staticmethod
    def _only(fault: str, context: str, *allowed: str) -> None:
        if context not in allowed:
            raise _Fault(fault)

    def _miniscript(self, expr: str, context: str) -> None:
        tapscript = context != _P2WSH
        for match in _KEY_FRAGMENT.finditer(expr):
            for key in (match[1] if match[1] is not None else match[2]).split(","):
                self.key(key, _P2TR if tapscript else _P2WSH)
        try:
            miniscript.parse(expr, miniscript.TAPSCRIPT if tapscript else miniscript.P2WSH)
        except ValueError as error:
            words = _translated(str(error))
            if "is not sane" in words or "is not satisfiable" in words:
                self._only("Miniscript expressions can only be used in wsh or tr.", context, _P2WSH, _P2TR)
                raise _Fault(words) from None
            ill_typed = re.search(r"ill-typed miniscript: (\w+) over", words)
            if ill_typed and ill_typed[1] + "(" in expr:
                start = expr.index(ill_typed[1] + "(")
                raise _Fault(f"{_expression(expr[start:])[0]} is invalid") from None
        else:
            self._only("Miniscript expressions can only be used in wsh or tr.", context, _P2WSH, _P2TR)
            if "different length" in self._refusal:
                raise _Fault("Miniscript: Multipath derivation paths have mismatched lengths")
            raise _Fault(_translated(self._refusal))
        if context in (_P2SH, _P2WSH):
            raise _Fault(f"A function is needed within {context.upper().replace('SH', 'P2SH').replace('WP2', 'P2W')}")
        raise _Fault(f"'{expr}' is not a valid descriptor function")

    def _multi(self, name: str, text: str, context: str) -> None:
        if name.endswith("_a"):
            self._only("Can only have multi_a/sortedmulti_a inside tr()", context, _P2TR)
        else:
            fault = "Can only have multi/sortedmulti at top level, in sh(), or in wsh()"
            self._only(fault, context, _TOP, _P2SH, _P2WSH)
        first, rest = _expression(text)
        threshold = _uint32(first)
        if threshold is None:
            raise _Fault(f"Multi threshold '{first}' is not valid")
        sizes = []
        while rest:
            if rest[0] != ",":
                raise _Fault(f"Multi: expected ',', got '{rest[0]}'")
            key, rest = _expression(rest[1:])
            sizes.append(self._prefixed("Multi", key, context))
        count = len(sizes)
        most, kind = (999, "multi_a") if name.endswith("_a") else (20, "multisig")
        if not 1 <= count <= most:
            raise _Fault(f"Cannot have {count} keys in {kind}; must have between 1 and {most} keys, inclusive")
        if threshold < 1:
            raise _Fault(f"Multisig threshold cannot be {threshold}, must be at least 1")
        if threshold > count:
            raise _Fault(
                "Multisig threshold cannot be larger than the number of keys; "
                f"threshold is {threshold} but only {count} keys specified"
            )
        if context == _TOP and count > 3:
            raise _Fault(f"Cannot have {count} pubkeys in bare multisig; only at most 3 pubkeys")
        size = sum(one + 1 for one in sizes) + 3
        if context == _P2SH and size > _MAX_ELEMENT:
            raise _Fault(f"P2SH script is too large, {size} bytes is larger than {_MAX_ELEMENT} bytes")
        if "different length" in self._refusal:
            raise _Fault("multi(): Multipath derivation paths have mismatched lengths")

    def _taproot(self, text: str) -> None:
        key, rest = _expression(text)
        self._key_of("tr", key, _P2TR)
        if not rest:
            return
        if rest[0] != ",":
            raise _Fault(f"tr: expected ',', got '{rest[0]}'")
        rest = rest[1:]
        rights: list[bool] = []  # for each open branch, whether its left half is done
        while True:
            while rest.startswith("{"):
                rights.append(False)
                rest = rest[1:]
                if len(rights) > _MAX_DEPTH:
                    raise _Fault(f"tr() supports at most {_MAX_DEPTH} nesting levels")
            leaf, rest = _expression(rest)
            self.script(leaf, _P2TR)
            while rights and rights[-1]:
                if not rest.startswith("}"):
                    raise _Fault("tr(): expected '}' after script expression")
                rights.pop()
                rest = rest[1:]
            if not rights:
                break
            if not rest.startswith(","):
                raise _Fault("tr(): expected ',' after script expression")
            rest = rest[1:]
            rights[-1] = True
        if rest:
            raise _Fault("tr(): expected ')' after script expression")
        if "different length" in self._refusal:
            raise _Fault("tr(): Multipath subscripts have mismatched lengths")

    def _key_of(self, function: str, text: str, context: str) -> None:
        self._prefixed(f"{function}()", text, context)

    def _prefixed(self, prefix: str, text: str, context: str) -> int:
        try:
            return self.key(text, context)
        except _Fault as fault:
            raise _Fault(f"{prefix}: {fault}") from None

    def key(self, text: str, context: str) -> int:
        """A KEY expression; how many bytes its public key takes."""
        if text.startswith("musig("):
            return self._musig(text, context)
        origin, *rest = text.split("]")
        if len(rest) > 1:
            raise _Fault("Multiple ']' characters found for a single pubkey")
        if not rest:
            return self._key_without_origin(origin, context)
        if not origin.startswith("["):
            got = origin[:1] or "]"
            raise _Fault(f"Key origin start '[ character expected but not found, got '{got}' instead")
        fingerprint, *steps = origin[1:].split("/")
        if len(fingerprint) != 8:
            raise _Fault(f"Fingerprint is not 4 bytes ({len(fingerprint)} characters instead of 8 characters)")
        if not _is_hex(fingerprint):
            raise _Fault(f"Fingerprint '{fingerprint}' is not hex")
        self._path(steps, multipath=False)
        return self._key_without_origin(rest[0], context)

    def _key_without_origin(self, text: str, context: str) -> int:
        key, *steps = text.split("/")
        if not key:
            raise _Fault("No key provided")
        if key[0] in _SPACE or key[-1] in _SPACE:
            raise _Fault(f"Key '{key}' is invalid due to whitespace")
        if not steps:
            size = self._fixed_key(key, context)
            if size:
                return size
        if not self._is_extended(key):
            raise _Fault(f"key '{key}' is not valid")
        if steps and steps[-1] in ("*", "*'", "*h"):
            steps.pop()
        self._path(steps, multipath=True)
        return 33

    def _fixed_key(self, key: str, context: str) -> int:
        """The size of a key in hex or a private key; 0 for neither."""
        uncompressed_allowed = context in (_TOP, _P2SH)
        if _is_hex(key):
            sec = bytes.fromhex(key)
            expected = {2: 33, 3: 33, 4: 65, 6: 65, 7: 65}.get(sec[0])
            if expected == len(sec):
                if sec[0] in (6, 7):
                    raise _Fault("Hybrid public keys are not allowed")
                if pubkey_verify(sec):
                    if len(sec) == 65 and not uncompressed_allowed:
                        raise _Fault("Uncompressed keys are not allowed")
                    return len(sec)
            elif len(sec) == 32 and context == _P2TR and pubkey_verify(b"\x02" + sec):
                return 32
            raise _Fault(f"Pubkey '{key}' is invalid")
        secret = decode_secret(key, self._chain)
        if secret is None:
            return 0
        if not secret[1] and not uncompressed_allowed:
            raise _Fault("Uncompressed keys are not allowed")
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
                raise _Fault(f"Key path value '{step}' specifies multipath in a section where multipath is not allowed")
            if found:
                raise _Fault("Multiple multipath key path specifiers found")
            items = step[1:-1].split(";")
            if len(items) < 2:
                raise _Fault("Multipath key path specifiers must have at least two items")
            found = True
            seen: set[int] = set()
            for item in items:
                value = self._step(item)
                if value in seen:
                    raise _Fault(f"Duplicated key path value {value} in multipath specifier")
                seen.add(value)
        return found

    @staticmethod
    def _step(step: str) -> int:
        hardened = step.endswith(("'", "h"))
        text = step[:-1] if hardened else step
        value = _uint32(text)
        if value is None:
            raise _Fault(f"Key path value '{text}' is not a valid uint32")
        if value > 0x7FFFFFFF:
            raise _Fault(f"Key path value {value} is out of range")
        return value | 0x80000000 if hardened else value

    def _musig(self, text: str, context: str) -> int:
        if context != _P2TR:
            raise _Fault("musig() is only allowed in tr() and rawtr()")
        head, bracket, derivation = text.partition(")")
        if ")" in derivation:
            raise _Fault("Too many ')' in musig() expression")
        inner = _function("musig", head + bracket)
        if inner is None:
            raise _Fault("Invalid musig() expression")
        keys: list[str] = []
        rest = inner
        while rest:
            if keys and rest[0] != ",":
                raise _Fault(f"musig(): expected ',', got '{rest[0]}'")
            key, rest = _expression(rest[1:] if keys else rest)
            self._prefixed("musig()", key, _MUSIG)
            keys.append(key)
        if not keys:
            raise _Fault("musig(): Must contain key expressions")
        if derivation.startswith("/"):
            self._musig_path(keys, derivation[1:].split("/"))
        if "different length" in self._refusal:
            raise _Fault("musig(): Multipath derivation paths have mismatched lengths")
        return 33

    def _musig_path(self, keys: list[str], steps: list[str]) -> None:
        bare = [key.split("]")[-1] for key in keys]
        if not all(self._is_extended(key.split("/")[0]) for key in bare):
            raise _Fault("musig(): derivation requires all participants to be xpubs or xprvs")
        if any(key.endswith(("/*", "/*h", "/*'")) for key in bare):
            raise _Fault("musig(): Cannot have ranged participant keys if musig() also has derivation")
        if steps[-1] in ("*'", "*h"):
            raise _Fault("musig(): Cannot have hardened child derivation")
        if steps[-1] == "*":
            steps = steps[:-1]
        try:
            multipath = self._path(steps, multipath=True)
        except _Fault as fault:
            raise _Fault(f"musig(): {fault}") from None
        if any(item.endswith(("'", "h")) for step in steps for item in step.strip("<>").split(";")):
            raise _Fault("musig(): cannot have hardened derivation steps")
        if multipath and any("<" in key for key in bare):
            raise _Fault("musig(): Cannot have multipath participant keys if musig() is also multipath")


def _translated(words: str) -> str:
    """btclib's sentence on an insane miniscript as Core ends it."""
    for ours, cores in _INSANE:
        words = words.replace(ours, cores)
    return words


def _is_hex(text: str) -> bool:
    """``IsHex``: digits in pairs, at least one."""
    return bool(re.fullmatch(r"([0-9a-fA-F]{2})+", text))
