"""Satisfying an output script from what is known (``ProduceSignature``, Core's ``src/script/sign.cpp``).

`produce` fills a `SignatureData`: with a scriptSig and witness, complete or as far as they go, with every signature
that could be made, and with what was missing.
"""

from itertools import chain

from btclib.alias import Octets
from btclib.exceptions import BTClibValueError
from btclib.hashes import hash160, ripemd160, sha256
from btclib.script.script import serialize
from btclib.script.solver import solver
from btclib.script.taproot import leaf_hash as tap_leaf_hash
from btclib_wallet.descriptors import SpendContext, miniscript

from .creator import Creator
from .data import SignatureData
from .keystore import KeyStore
from .musig import sessions

_TAPSCRIPT_VERSION = 0xC0


def produce(keys: KeyStore, creator: Creator, script: bytes, data: SignatureData) -> bool:
    """Try to satisfy ``script``; whether ``data`` is complete now."""
    if not data.complete:
        _Producer(keys, creator, data).run(script)
    return data.complete


class _Producer:
    def __init__(self, keys: KeyStore, creator: Creator, data: SignatureData) -> None:
        self._keys = keys
        self._creator = creator
        self._data = data

    def run(self, script: bytes) -> None:
        data = self._data
        kind, solved, stack = self._step(script, segwit=False)
        redeem_script = b""
        if solved and kind == "scripthash":
            redeem_script = data.redeem_script = stack[0]
            kind, solved, stack = self._step(redeem_script, segwit=False)
            solved = solved and kind != "scripthash"
        if solved and kind == "witness_v0_keyhash":
            _, solved, witness = self._step(b"\x76\xa9\x14" + stack[0] + b"\x88\xac", segwit=True)
            data.script_witness, data.witness, stack = witness, True, []
        elif solved and kind == "witness_v0_scripthash":
            solved = self._witness_script(stack[0])
            stack = []
        elif kind == "witness_v1_taproot" and not redeem_script:
            data.witness = True
            if solved:
                data.script_witness = stack
            stack = []
        if not data.witness:
            data.script_witness = []
        if redeem_script:
            stack = [*stack, redeem_script]
        data.script_sig = push_all(stack)
        data.complete = solved and self._creator.verify(data.script_sig, data.script_witness) is None

    def _witness_script(self, script: bytes) -> bool:
        data = self._data
        data.witness_script = script
        kind, solved, stack = self._step(script, segwit=True)
        solved = solved and kind not in ("scripthash", "witness_v0_scripthash", "witness_v0_keyhash")
        if not solved and not stack:
            satisfied = self._miniscript(script, b"")
            if satisfied is not None:
                solved, stack = True, satisfied
        data.script_witness, data.witness = [*stack, script], True
        return solved

    def _step(self, script: bytes, *, segwit: bool) -> tuple[str, bool, list[bytes]]:
        """The type of a script, whether it is satisfied, and the stack for it: partial for a multisig, the inner
        script or hash for what wraps another."""
        data = self._data
        kind, solutions = solver(script)
        if kind == "pubkey":
            signature = self._signature(solutions[0], script, segwit=segwit)
            return kind, bool(signature), [signature] if signature else []
        if kind == "pubkeyhash":
            sec = self._public_key(solutions[0])
            signature = self._signature(sec, script, segwit=segwit) if sec else b""
            return kind, bool(signature), [signature, sec or b""] if signature else []
        if kind == "multisig":
            return kind, *self._multisig(solutions, script, segwit=segwit)
        if kind == "scripthash":
            found = self._script(solutions[0])
            if found is None:
                data.missing.redeem_script = solutions[0]
            return kind, found is not None, [] if found is None else [found]
        if kind == "witness_v0_keyhash":
            return kind, True, [solutions[0]]
        if kind == "witness_v0_scripthash":
            found = self._script(ripemd160(solutions[0]))
            if found is None:
                data.missing.witness_script = solutions[0]
            return kind, found is not None, [] if found is None else [found]
        if kind == "witness_v1_taproot":
            taproot = self._taproot(solutions[0])
            return kind, taproot is not None, taproot or []
        return kind, kind == "anchor", []

    def _multisig(self, solutions: list[bytes], script: bytes, *, segwit: bool) -> tuple[bool, list[bytes]]:
        """Every signature is tried, so that a PSBT keeps all; the stack takes as many as are required. In place of
        those missing Core puts empty ones for half of them, rounded up, and so does this: what a half-signed
        transaction looks like is how others recognise it."""
        required = solutions[0][0]
        made = [self._signature(sec, script, segwit=segwit) for sec in solutions[1:-1]]
        used = [signature for signature in made if signature][:required]
        return len(used) == required, [b"", *used, *[b""] * ((required - len(used) + 1) // 2)]

    def _script(self, script_hash: bytes) -> bytes | None:
        found = self._keys.scripts.get(script_hash)
        if found is not None:
            return found
        for script in (self._data.redeem_script, self._data.witness_script):
            if hash160(script) == script_hash:
                return script
        return None

    def _public_key(self, key_hash: bytes) -> bytes | None:
        found = self._known_keys().get(key_hash) or self._keys.by_hash(key_hash)
        if found is None:
            self._data.missing.pubkeys.append(key_hash)
        return found

    def _known_keys(self) -> dict[bytes, bytes]:
        """hash160 -> public key, of what came with the input."""
        data = self._data
        known = {hash160(x_only): b"\x02" + x_only for x_only in data.taproot_origins}
        known.update({key_hash: sec for key_hash, (sec, _) in data.known_keys.items()})
        known.update({key_hash: sec for key_hash, (sec, _) in data.signatures.items()})
        return known

    def _signature(self, sec: bytes, script_code: bytes, *, segwit: bool) -> bytes:
        data = self._data
        key_hash = hash160(sec)
        if key_hash in data.signatures:
            return data.signatures[key_hash][1]
        origin = self._keys.origins.get(sec)
        if origin is not None:
            data.known_keys.setdefault(key_hash, (sec, origin))
        signature = self._creator.ecdsa(self._keys, sec, script_code, segwit=segwit)
        if signature:
            data.signatures[key_hash] = (sec, signature)
        else:
            data.missing.signatures.append(key_hash)
        return signature

    def _taproot(self, output_key: bytes) -> list[bytes] | None:
        data, keys = self._data, self._keys
        if output_key in keys.trees:
            internal_key, root, leaves = keys.trees[output_key]
            data.internal_key = data.internal_key or internal_key
            data.merkle_root = data.merkle_root or root
            data.leaves = {**leaves, **data.leaves}
        data.musig_participants = {**keys.aggregates, **data.musig_participants}
        for x_only in (data.internal_key, output_key):
            self._note_origin(x_only)
        if not data.taproot_key_signature and data.internal_key:
            data.taproot_key_signature = self._schnorr(data.internal_key, merkle_root=data.merkle_root)
        if not data.taproot_key_signature:
            data.taproot_key_signature = self._schnorr(output_key)
        if data.taproot_key_signature:
            return [data.taproot_key_signature]
        return self._script_path()

    def _schnorr(self, x_only: bytes, *, leaf_hash: bytes = b"", merkle_root: bytes | None = None) -> bytes:
        """A signature by the key itself, or by those that it is the aggregate of."""
        made = self._creator.schnorr(self._keys, x_only, leaf_hash=leaf_hash, merkle_root=merkle_root)
        data = self._data
        if made or not data.musig_participants:
            return made
        for participant in chain.from_iterable(data.musig_participants.values()):
            self._note_origin(participant[1:], leaf_hash)
        message = self._creator.schnorr_hash(leaf_hash)
        if not message:
            return b""
        for session in sessions(data, x_only, message, leaf_hash=leaf_hash, merkle_root=merkle_root):
            signature = session.sign(self._keys, data)
            made = signature + self._creator.hash_type_suffix if signature else made
        return made

    def _script_path(self) -> list[bytes] | None:
        """The smallest witness among the leaves that can be satisfied."""
        controls: dict[tuple[bytes, int], list[bytes]] = {}
        for control, leaf in self._data.leaves.items():
            controls.setdefault(leaf, []).append(control)
        best: list[bytes] | None = None
        for (script, version), blocks in sorted(controls.items()):
            if version != _TAPSCRIPT_VERSION:
                continue
            stack = self._miniscript(script, tap_leaf_hash(version, script))
            if stack is None:
                continue
            stack = [*stack, script, min(blocks, key=lambda block: (len(block), block))]
            if best is None or _size(stack) < _size(best):
                best = stack
        return best

    def _note_origin(self, x_only: bytes, leaf_hash: bytes = b"") -> None:
        sec = self._keys.by_x_only(x_only)
        origin = self._keys.origins.get(sec) if sec else None
        if origin is not None:
            hashes, _ = self._data.taproot_origins.setdefault(x_only, (set(), origin))
            if leaf_hash:
                hashes.add(leaf_hash)

    def _leaf_signature(self, x_only: bytes, leaf_hash: bytes) -> bytes:
        data = self._data
        self._note_origin(x_only, leaf_hash)
        key = (x_only, leaf_hash)
        if key not in data.taproot_script_signatures:
            signature = self._schnorr(x_only, leaf_hash=leaf_hash)
            if not signature:
                return b""
            data.taproot_script_signatures[key] = signature
        return data.taproot_script_signatures[key]

    def _miniscript(self, script: bytes, leaf_hash: bytes) -> list[bytes] | None:
        """The witness elements that satisfy a script read as miniscript: a tapscript if there is a leaf hash."""
        context = miniscript.TAPSCRIPT if leaf_hash else miniscript.P2WSH
        known = {**{key_hash: sec for sec in self._keys.origins for key_hash in _hashes(sec)}, **self._known_keys()}
        key_hashes: dict[Octets, Octets] = {key_hash: sec[1:] if leaf_hash else sec for key_hash, sec in known.items()}
        try:
            node = miniscript.from_script(script, context, key_hashes)
            signatures: dict[Octets, Octets] = {}
            for expression in node.key_expressions:
                sec = expression.sec()
                if leaf_hash:
                    signature = self._leaf_signature(sec[1:], leaf_hash)
                else:
                    signature = self._signature(sec, script, segwit=True)
                if signature:
                    signatures[sec] = signature
            return node.satisfy(signatures, self._spend_context())
        except BTClibValueError:
            return None

    def _spend_context(self) -> SpendContext:
        times, data = self._creator.times, self._data
        return type(times)(
            data.sha256_preimages,
            data.hash256_preimages,
            data.ripemd160_preimages,
            data.hash160_preimages,
            times.locktime,
            times.sequence,
            times.version,
        )


def _hashes(sec: bytes) -> tuple[bytes, ...]:
    return (hash160(sec), hash160(sec[1:])) if len(sec) == 33 else (hash160(sec),)


def _size(stack: list[bytes]) -> int:
    """The serialised size of a witness stack."""
    return sum(len(item) + (1 if len(item) < 253 else 3) for item in stack) + (1 if len(stack) < 253 else 3)


def push_all(values: list[bytes]) -> bytes:
    """A script that pushes these, each by the shortest op code."""
    pushes = []
    for value in values:
        if not value:
            pushes.append(b"\x00")
        elif len(value) == 1 and 1 <= value[0] <= 16:
            pushes.append(bytes([0x50 + value[0]]))
        elif value == b"\x81":
            pushes.append(b"\x4f")
        else:
            pushes.append(serialize([value]))
    return b"".join(pushes)


def witness_script_of(script: bytes) -> bytes:
    """The output script that pays to a witness script (P2WSH)."""
    return b"\x00\x20" + sha256(script)
