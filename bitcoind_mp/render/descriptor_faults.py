"""Why a descriptor that btclib refuses is wrong, in Core's words (``ParseScript``, ``src/script/descriptor.cpp``).

btclib refuses what Core refuses; its words differ, and leave out the text at fault. This walks a refused text in
the order in which Core reads it and says what Core says of the first fault that it meets.
"""

import re

from btclib_wallet.descriptors import miniscript

from .address import decode_destination
from .descriptor_key_faults import P2SH, P2TR, P2WPKH, P2WSH, TOP, Fault, KeyWalk, enclosed, expression, is_hex, uint32

_MAX_ELEMENT = 520
_MAX_DEPTH = 128
_INSANE = (
    (
        "it mixes timelocks expressed in blocks and in seconds",
        "contains mixes of timelocks expressed in blocks and seconds",
    ),
    ("it repeats a public key", "contains duplicate public keys"),
    ("satisfying it may exceed the resource limits", "needs witnesses that may exceed resource limits"),
)
_KEY_FRAGMENT = re.compile(
    r"(?<![a-z_])(?:pk|pkh|pk_k|pk_h)\(([^()]*)\)(?=[,)}]|$)|(?<![a-z_])multi(?:_a)?\([^,()]*,([^()]*)\)(?=[,)}]|$)"
)
_FRAGMENT = re.compile(
    r"(?:[asctdvjnlu]+:)*(?:pk|pkh|pk_k|pk_h|multi|multi_a|sha256|hash256|ripemd160|hash160|older|after|andor|and_[nbv]|or_[bcdi]"
    r"|thresh)\("
)
"""How a miniscript begins; Core looks at no key of anything else."""


def find_fault(body: str, chain: str, refusal: str) -> str:
    """Core's words for a descriptor without its checksum; ``refusal`` is what btclib said."""
    walk = _Walk(chain, refusal)
    try:
        _, rest = expression(body)
        walk.script(body[: len(body) - len(rest)], TOP)
    except Fault as fault:
        return str(fault)
    return "" if rest else refusal


class _Walk:
    def __init__(self, chain: str, refusal: str) -> None:
        self._chain = chain
        self._refusal = refusal
        self._keys = KeyWalk(chain, refusal)

    def script(self, text: str, context: str) -> None:
        expr, _ = expression(text)
        if (inner := enclosed("pk", expr)) is not None:
            return self._key_of("pk", inner, context)
        if context != P2TR and (inner := enclosed("pkh", expr)) is not None:
            return self._key_of("pkh", inner, context)
        if (inner := enclosed("combo", expr)) is not None:
            self._only("Can only have combo() at top level", context, TOP)
            return self._key_of("combo", inner, context)
        for name in ("multi", "sortedmulti", "multi_a", "sortedmulti_a"):
            if (inner := enclosed(name, expr)) is not None:
                return self._multi(name, inner, context)
        if (inner := enclosed("wpkh", expr)) is not None:
            self._only("Can only have wpkh() at top level or inside sh()", context, TOP, P2SH)
            return self._key_of("wpkh", inner, P2WPKH)
        for name, into in (("sh", P2SH), ("wsh", P2WSH)):
            if (inner := enclosed(name, expr)) is not None:
                allowed = (TOP,) if name == "sh" else (TOP, P2SH)
                where = "at top level" if name == "sh" else "at top level or inside sh()"
                self._only(f"Can only have {name}() {where}", context, *allowed)
                self.script(inner, into)
                if expression(inner)[1]:
                    raise Fault("")
                return None
        return self._leaf(expr, context)

    def _leaf(self, expr: str, context: str) -> None:
        if (inner := enclosed("addr", expr)) is not None:
            self._only("Can only have addr() at top level", context, TOP)
            if decode_destination(inner, self._chain).script is None:
                raise Fault("Address is not valid")
        elif (inner := enclosed("tr", expr)) is not None:
            self._only("Can only have tr at top level", context, TOP)
            self._taproot(inner)
        elif (inner := enclosed("rawtr", expr)) is not None:
            self._only("Can only have rawtr at top level", context, TOP)
            if expression(inner)[1]:
                raise Fault("rawtr(): only one key expected.")
            self._key_of("rawtr", inner, P2TR)
        elif (inner := enclosed("raw", expr)) is not None:
            self._only("Can only have raw() at top level", context, TOP)
            if not is_hex(inner):
                raise Fault("Raw script is not hex")
        else:
            self._miniscript(expr, context)

    @staticmethod
    def _only(fault: str, context: str, *allowed: str) -> None:
        if context not in allowed:
            raise Fault(fault)

    def _miniscript(self, expr: str, context: str) -> None:
        tapscript = context != P2WSH
        for match in _KEY_FRAGMENT.finditer(expr) if _FRAGMENT.match(expr) else ():
            for key in (match[1] if match[1] is not None else match[2]).split(","):
                self._keys.key(key, P2TR if tapscript else P2WSH)
        try:
            miniscript.parse(expr, miniscript.TAPSCRIPT if tapscript else miniscript.P2WSH)
        except ValueError as error:
            words = _translated(str(error))
            if "is not sane" in words or "is not satisfiable" in words:
                self._only("Miniscript expressions can only be used in wsh or tr.", context, P2WSH, P2TR)
                raise Fault(words) from None
            ill_typed = re.search(r"ill-typed miniscript: (\w+) over", words)
            if ill_typed and ill_typed[1] + "(" in expr:
                start = expr.index(ill_typed[1] + "(")
                raise Fault(f"{expression(expr[start:])[0]} is invalid") from None
        else:
            self._only("Miniscript expressions can only be used in wsh or tr.", context, P2WSH, P2TR)
            if "different length" in self._refusal:
                raise Fault("Miniscript: Multipath derivation paths have mismatched lengths")
            raise Fault(_translated(self._refusal))
        if context in (P2SH, P2WSH):
            raise Fault(f"A function is needed within {context.upper().replace('SH', 'P2SH').replace('WP2', 'P2W')}")
        raise Fault(f"'{expr}' is not a valid descriptor function")

    def _multi(self, name: str, text: str, context: str) -> None:
        if name.endswith("_a"):
            self._only("Can only have multi_a/sortedmulti_a inside tr()", context, P2TR)
        else:
            fault = "Can only have multi/sortedmulti at top level, in sh(), or in wsh()"
            self._only(fault, context, TOP, P2SH, P2WSH)
        first, rest = expression(text)
        threshold = uint32(first)
        if threshold is None:
            raise Fault(f"Multi threshold '{first}' is not valid")
        sizes = []
        while rest:
            if rest[0] != ",":
                raise Fault(f"Multi: expected ',', got '{rest[0]}'")
            key, rest = expression(rest[1:])
            sizes.append(self._keys.prefixed("Multi", key, context))
        count = len(sizes)
        most, kind = (999, "multi_a") if name.endswith("_a") else (20, "multisig")
        if not 1 <= count <= most:
            raise Fault(f"Cannot have {count} keys in {kind}; must have between 1 and {most} keys, inclusive")
        if threshold < 1:
            raise Fault(f"Multisig threshold cannot be {threshold}, must be at least 1")
        if threshold > count:
            raise Fault(
                "Multisig threshold cannot be larger than the number of keys; "
                f"threshold is {threshold} but only {count} keys specified"
            )
        if context == TOP and count > 3:
            raise Fault(f"Cannot have {count} pubkeys in bare multisig; only at most 3 pubkeys")
        size = sum(one + 1 for one in sizes) + 3
        if context == P2SH and size > _MAX_ELEMENT:
            raise Fault(f"P2SH script is too large, {size} bytes is larger than {_MAX_ELEMENT} bytes")
        if "different length" in self._refusal:
            raise Fault("multi(): Multipath derivation paths have mismatched lengths")

    def _taproot(self, text: str) -> None:
        key, rest = expression(text)
        self._key_of("tr", key, P2TR)
        if not rest:
            return
        if rest[0] != ",":
            raise Fault(f"tr: expected ',', got '{rest[0]}'")
        rest = rest[1:]
        rights: list[bool] = []  # for each open branch, whether its left half is done
        while True:
            while rest.startswith("{"):
                rights.append(False)
                rest = rest[1:]
                if len(rights) > _MAX_DEPTH:
                    raise Fault(f"tr() supports at most {_MAX_DEPTH} nesting levels")
            leaf, rest = expression(rest)
            self.script(leaf, P2TR)
            while rights and rights[-1]:
                if not rest.startswith("}"):
                    raise Fault("tr(): expected '}' after script expression")
                rights.pop()
                rest = rest[1:]
            if not rights:
                break
            if not rest.startswith(","):
                raise Fault("tr(): expected ',' after script expression")
            rest = rest[1:]
            rights[-1] = True
        if rest:
            raise Fault("tr(): expected ')' after script expression")
        if "different length" in self._refusal:
            raise Fault("tr(): Multipath subscripts have mismatched lengths")

    def _key_of(self, function: str, text: str, context: str) -> None:
        self._keys.prefixed(f"{function}()", text, context)


def _translated(words: str) -> str:
    """btclib's sentence on an insane miniscript as Core ends it."""
    for ours, cores in _INSANE:
        words = words.replace(ours, cores)
    return words
