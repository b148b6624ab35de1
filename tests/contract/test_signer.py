"""The signer itself, and its proxy: one body."""

import asyncio
from pathlib import Path

from spends import COIN, STRANGER, Address, Coin, signed_inputs, spend

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.signer.audit import AuditLog
from bitcoind_mp.signer.clock import reader
from bitcoind_mp.signer.policy import Policy
from bitcoind_mp.signer.requests import Requests
from bitcoind_mp.signer.store import Store
from bitcoind_mp.signer.vault import Vault
from bitcoind_mp.signing.sealing import Cost


def test_a_key_set_from_its_making_to_its_lock(reach, tmp_path: Path) -> None:
    async def body() -> None:
        store = Store(tmp_path / "keys.sqlite")
        log = AuditLog(tmp_path / "audit.log", store.audit_head())
        vault = Vault(
            store,
            log,
            Policy(max_tx=COIN),
            Requests(),
            chain="regtest",
            now=reader(),
            cost=Cost(passes=1, lanes=1, memory=8),
        )
        async with reach(Signer, vault) as signer:
            keys = await signer.make("w", "first")
            assert len(keys.descriptors) == 8
            assert await signer.describe(keys.id) == keys
            small = spend([Coin.to(Address(keys), COIN)], [(STRANGER, COIN - 500)])
            assert await refusal(signer.sign(keys.id, small)) == RpcCode.WALLET_UNLOCK_NEEDED
            assert await signer.change_passphrase(keys.id, "first", "second") is True
            assert await signer.change_passphrase(keys.id, "first", "third") is False
            assert await signer.unlock(keys.id, "first", 60) is False
            assert await signer.unlock(keys.id, "second", 60) is True
            assert signed_inputs(await signer.sign(keys.id, small)) == [0]
            large = spend([Coin.to(Address(keys), 2 * COIN)], [(STRANGER, COIN)])
            assert await refusal(signer.sign(keys.id, large)) == RpcCode.WALLET_ERROR
            assert await refusal(signer.sign(keys.id, "nonsense")) == RpcCode.DESERIALIZATION_ERROR
            assert len(await signer.sign_message(keys.id, keys.descriptors[0].text, 0, "hello")) == 88
            await signer.lock(keys.id)
            assert await refusal(signer.sign(keys.id, small)) == RpcCode.WALLET_UNLOCK_NEEDED
            assert await refusal(signer.describe("unknown")) == RpcCode.WALLET_ERROR
        log.close()
        store.close()

    asyncio.run(asyncio.wait_for(body(), 30))


async def refusal(work) -> int:
    try:
        await work
    except RpcError as error:
        return error.code
    raise AssertionError("it was not refused")
