"""Signing together for one aggregate key, over two rounds of a PSBT (MuSig2: BIPs 327, 328 and 373).

The rules are Core's (``SignMuSig2``, ``src/script/sign.cpp``): whose aggregate a key is, which tweaks lie between the
two, and which of nonce, partial signature and whole signature is made next. What doesn't belong: the PSBT's fields,
where a secret nonce is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from btclib.exceptions import BTClibException
from btclib.hashes import hash160
from btclib_wallet.bip32 import BIP328_CHAIN_CODE, pub_key_derivation_tweaks
from ecc.curves import secp256k1
from ecc.curves.sec_point import bytes_from_point
from ecc.ecc import musig2, ssa
from ecc.exceptions import EccException
from ecc.hashes import tagged_hash

from .data import SignatureData
from .keystore import KeyStore, SecretNonces

#: What those libraries say of somebody else's nonsense.
_NONSENSE = (BTClibException, EccException, ValueError)


@dataclass(frozen=True)
class Session:
    """One signature that ``participants``, in the order of their aggregation, make together: of ``message``, for the
    aggregate key after ``tweaks``, each with whether it is an x-only one; ``public`` (SEC) is what comes of them.
    ``leaf_hash`` is empty on the key path."""

    participants: tuple[bytes, ...]
    tweaks: tuple[bytes, ...]
    x_only: tuple[bool, ...]
    public: bytes
    leaf_hash: bytes
    message: bytes

    def name(self, participant: bytes) -> bytes:
        """Under what a participant's nonce and signature are filed in a PSBT."""
        return participant + self.public + self.leaf_hash

    def sign(self, keys: KeyStore, data: SignatureData) -> bytes:
        """The signature, where everybody has signed. Else what we can give to it now, into ``data``."""
        signed = {one: data.musig_signatures.get(self.name(one)) for one in self.participants}
        nonces = {one: data.musig_nonces.get(self.name(one)) for one in self.participants}
        if all(nonces.values()):
            context = self._context([nonces[one] or b"" for one in self.participants])
            if context is None:
                return b""
            if all(signed.values()):
                return self._whole(context, [signed[one] or b"" for one in self.participants])
            for one in self.participants:
                part = self._partial(context, keys, one, nonces[one] or b"")
                if part and not signed[one]:
                    signed[one] = data.musig_signatures[self.name(one)] = part
        if not any(signed.values()):
            for one in self.participants:
                if nonces[one] is None and one in keys.secrets and keys.nonces is not None:
                    data.musig_nonces[self.name(one)] = self._nonce(keys.secrets[one], one, keys.nonces)
        return b""

    def _context(self, nonces: Sequence[bytes]) -> musig2.SessionContext | None:
        try:
            together = musig2.nonce_agg_var(nonces)
            return musig2.SessionContext(together, self.participants, self.tweaks, self.x_only, self.message)
        except _NONSENSE:  # a nonce is none
            return None

    def _whole(self, context: musig2.SessionContext, parts: Sequence[bytes]) -> bytes:
        try:
            signature = musig2.partial_sig_agg(parts, context)
            return signature.serialize() if ssa.verify_(self.message, self.public[1:], signature) else b""
        except _NONSENSE:  # a part is none
            return b""

    @staticmethod
    def _partial(context: musig2.SessionContext, keys: KeyStore, participant: bytes, nonce: bytes) -> bytes:
        """Our part, where the secret half of that nonce is with us: it signs once."""
        secret = keys.secrets.get(participant)
        half = None if secret is None or keys.nonces is None else keys.nonces.take(nonce)
        if secret is None or half is None:
            return b""
        try:
            return musig2.sign(half, secret, context)
        except _NONSENSE:  # another's nonce is no point: nothing was signed
            return b""

    def _nonce(self, secret: bytes, participant: bytes, nonces: SecretNonces) -> bytes:
        half, nonce = musig2.nonce_gen(secret, participant, self.public[1:], self.message)
        nonces.keep(nonce, half)
        return nonce


def sessions(
    data: SignatureData, x_only: bytes, message: bytes, *, leaf_hash: bytes = b"", merkle_root: bytes | None = None
) -> Iterator[Session]:
    """Those whose aggregate is the key ``x_only``, or that it is derived from (BIP328). ``merkle_root`` not None: the
    key is an internal one, and the signature is the output key's."""
    origin = data.taproot_origins.get(x_only)
    for aggregate, participants in data.musig_participants.items():
        tweaks: list[bytes] = []
        if aggregate[1:] != x_only:
            path = [] if origin is None else list(origin[1].der_path)
            if origin is None or not path or origin[1].master_fingerprint != hash160(aggregate)[:4]:
                continue
            tweaks = pub_key_derivation_tweaks(aggregate, BIP328_CHAIN_CODE, path)
        flags = [False] * len(tweaks)
        if merkle_root is not None:
            tweaks.append(tagged_hash(b"TapTweak", x_only + merkle_root))
            flags.append(True)
        try:
            if bytes_from_point(musig2.key_agg_var(participants).Q, secp256k1) != aggregate:
                continue
            key = musig2.key_agg_and_tweak_var(participants, tweaks, flags)
        except _NONSENSE:  # participants that somebody made up
            continue
        public = bytes_from_point(key.Q, secp256k1)
        yield Session(tuple(participants), tuple(tweaks), tuple(flags), public, leaf_hash, message)
