"""Whether a wallet's contents are still what was written: what SQLite's own check of a file's structure doesn't see.

Core keeps checksums beside its keys for the same end; here what is stored names itself. Sealed secrets are
authenticated when they are opened, descriptors carry their checksums, and an address is derived anew before it is given
out (``address_source.py``).
"""

from bitcoind_mp.signing.descriptor_keys import public_half_of
from bitcoind_mp.wallet.wallet import Wallet


class Damaged(ValueError):
    """Something in the file isn't what was written; the text says what kind of thing, and never holds any of it."""


def verify(wallet: Wallet) -> None:
    """Check each transaction against its txid, and each open private key against its public half: 30 and 200 µs.

    Raises:
        Damaged
    """
    for tx in wallet.history:
        if tx.tx.id != tx.txid:
            raise Damaged("a transaction is not what it was")
    if not wallet.keys.is_encrypted:
        for public in wallet.keys.publics:
            if public_half_of(wallet.keys.secret(public)) != public:
                raise Damaged("a private key is not what it was")
