"""What stands for a passphrase that the signer was told is no passphrase: nobody could ever type it again."""

from bitcoind_mp.interfaces.errors import RpcCode
from bitcoind_mp.interfaces.signer import TICKET
from bitcoind_mp.wallet.rpc.encrypt import EncryptCommands
from bitcoind_mp.wallet.wallets.creation import Recipe

TOLD = TICKET + "00" * 16


def test_a_wallet_that_holds_its_own_keys_takes_no_ticket(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        commands, call = EncryptCommands(bench.wallets), bench.call()
        refusal = await bench.refused(commands.encryptwallet(call, TOLD))
        assert refusal.code == RpcCode.WALLET_ERROR
        assert "forgetsignername" in refusal.message
        assert not wallet.keys.is_encrypted
        await commands.encryptwallet(call, "secret")
        for work in (
            commands.walletpassphrase(call, TOLD, 60),
            commands.walletpassphrasechange(call, "secret", TOLD),
            commands.walletpassphrasechange(call, TOLD, "secret"),
            bench.wallets.create("other", Recipe(passphrase=TOLD), None),
        ):
            assert "told to the signer" in (await bench.refused(work)).message
        assert bench.wallets.get("other") is None
        await commands.walletpassphrase(call, "secret", 60)

    on_bench(scenario)
