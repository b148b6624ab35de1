"""Lock times that discourage fee sniping, and the sequence numbers that go with them (``DiscourageFeeSniping``)."""

import random

from btclib.tx import Tx

from bitcoind_mp.wallet.wallet import Wallet

#: Sequence numbers: opting into replacement (BIP125), and the largest that still enforces the lock time.
SEQUENCE_RBF = 0xFFFFFFFD
SEQUENCE_NONFINAL = 0xFFFFFFFE
#: A tip older than this many seconds isn't the chain's real one.
_MAX_TIP_AGE = 8 * 60 * 60


async def discourage_fee_sniping(tx: Tx, wallet: Wallet, rng: random.Random) -> None:
    """Lock the transaction to the next block, so that nobody gains it by mining the last one again.

    One in ten goes a random way back, so that transactions which were delayed for other reasons don't stand out.
    Where the wallet's last block is old, the lock time is 0: it would tell more than it helps.
    """
    status = await wallet.chain.status()
    height = wallet.height
    tx.lock_time = 0
    if status.initial_block_download or height < 0:
        return
    if wallet.block_time < status.clock - _MAX_TIP_AGE:
        return
    tx.lock_time = height
    if rng.randrange(10) == 0:
        tx.lock_time = max(0, height - rng.randrange(100))
