"""Signing with the wallet's keys (``CWallet::SignTransaction``).

How a signature is made is ``bitcoind_mp.signing``'s business; from which keys, this file's.
"""

import asyncio
from collections.abc import Iterable, Sequence

from btclib.script.script_pub_key import is_segwit
from btclib.script.witness import Witness
from btclib.tx import Tx, TxOut

from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.signing.psbt import is_signed
from bitcoind_mp.signing.transaction import sign_transaction
from bitcoind_mp.wallet.wallet import Wallet

from .keys import signing_keys, solving_keys
from .psbt import blank_psbt, fill_psbt

SIGHASH_DEFAULT = 0


async def sign(wallet: Wallet, tx: Tx) -> bool:
    """Sign a transaction whose inputs are all the wallet's, in place. False where it isn't complete after that.

    Raises:
        RpcError: -13 when the wallet is locked.
    """
    spent: list[TxOut | None] = []
    for tx_in in tx.vin:
        parent = wallet.transaction(tx_in.prev_out.tx_id)
        if parent is None or tx_in.prev_out.vout >= len(parent.tx.vout):
            return False
        spent.append(parent.tx.vout[tx_in.prev_out.vout])
    if wallet.keys.elsewhere:
        wallet.require_unlocked()
        return await _sign_elsewhere(wallet, tx, spent, None)
    return not await sign_inputs(wallet, tx, spent, SIGHASH_DEFAULT)


async def sign_inputs(wallet: Wallet, tx: Tx, spent: Sequence[TxOut | None], hash_type: int) -> dict[int, str]:
    """Sign in place what the wallet can; the inputs that remain incomplete, each with Core's reason.

    On a thread: a transaction may have hundreds of inputs.
    """
    if wallet.keys.elsewhere:
        await _sign_elsewhere(wallet, tx, spent, hash_type or None)
    keys = keys_for(wallet, (output.script_pub_key.script for output in spent if output is not None))
    return await asyncio.to_thread(sign_transaction, tx, keys, spent, hash_type)


async def _sign_elsewhere(wallet: Wallet, tx: Tx, spent: Sequence[TxOut | None], hash_type: int | None) -> bool:
    """Have the signer sign our inputs, in place; whether all are complete then."""
    bare = Tx.parse(tx.serialize(include_witness=True, check_validity=False), check_validity=False)
    for tx_in in bare.vin:
        tx_in.script_sig, tx_in.script_witness = b"", Witness()
    psbt = blank_psbt(bare)
    for psbt_in, output in zip(psbt.inputs, spent, strict=True):
        if output is not None and is_segwit(output.script_pub_key.script):
            psbt_in.witness_utxo = output
    complete = await fill_psbt(wallet, psbt, hash_type=hash_type)
    for tx_in, psbt_in in zip(tx.vin, psbt.inputs, strict=True):
        if is_signed(psbt_in):
            tx_in.script_sig, tx_in.script_witness = psbt_in.final_script_sig, psbt_in.final_script_witness
    return complete


def keys_for(wallet: Wallet, scripts: Iterable[bytes]) -> KeyStore:
    """What signs those of these scripts that are the wallet's."""
    merged = KeyStore()
    for script in set(scripts):
        for owner in wallet.descriptors.owners(script):
            keys = solving_keys(wallet, owner) if wallet.keys.elsewhere else signing_keys(wallet, owner)
            merged.add(keys.provider())
            for sec, secret in keys.secrets.items():
                merged.secrets[sec] = secret
                merged.add_public(sec)
    return merged


async def coins_of(wallet: Wallet, outpoints: Sequence[tuple[bytes, int]]) -> dict[tuple[bytes, int], TxOut | None]:
    """What the node knows of those outputs, None for each that is spent or unknown."""
    found = await wallet.chain.coins([(txid.hex(), n) for txid, n in outpoints])
    return {
        outpoint: None if coin is None else TxOut(coin.amount, bytes.fromhex(coin.script), check_validity=False)
        for outpoint, coin in zip(outpoints, found, strict=True)
    }
