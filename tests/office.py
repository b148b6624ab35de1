"""A signer in a test's own process, for wallets whose keys it holds."""

import json

from btclib.script.engine import verify_transaction
from btclib.tx import Tx

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.signer.audit import AuditLog
from bitcoind_mp.signer.clock import reader
from bitcoind_mp.signer.owner import OwnerCommands
from bitcoind_mp.signer.policy import Policy
from bitcoind_mp.signer.requests import Requests
from bitcoind_mp.signer.store import Store
from bitcoind_mp.signer.tickets import Tickets
from bitcoind_mp.signer.vault import Vault
from bitcoind_mp.signing.sealing import Cost
from bitcoind_mp.wallet.chain.node_link import through

COIN = 100_000_000
PASSPHRASE = "correct horse"
RATE = 5


class Office:
    """A signer in this process, that may be away."""

    def __init__(self, directory, policy: Policy) -> None:
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self._policy = policy
        self.signer = through(Signer, self._present)
        self.vault: Vault | None = None
        self.come()

    def come(self) -> None:
        self.store = Store(self._directory / "keys.sqlite")
        self.log = AuditLog(self._directory / "audit.log", self.store.audit_head())
        now = reader()
        cost = Cost(passes=1, lanes=1, memory=8)
        self.vault = Vault(self.store, self.log, self._policy, Requests(), chain="regtest", now=now, cost=cost)

    def go(self) -> None:
        assert self.vault is not None
        self.vault.lock_all()
        self.vault = None
        self.log.close()
        self.store.close()

    def events(self) -> list[dict]:
        """What is on record."""
        return [json.loads(line) for line in (self._directory / "audit.log").read_text().splitlines()]

    async def exported(self, keyset: str, passphrase: str) -> list[dict]:
        """What importdescriptors takes."""
        owner = OwnerCommands(self.vault, Tickets(lambda: 0.0), "regtest")
        return (await owner.exportsignerkeys(keyset, passphrase))["importdescriptors"]

    async def _present(self) -> Signer:
        if self.vault is None:
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, "The signer can't be reached")
        return self.vault


def payee() -> str:
    address = encode_address(b"\x00\x14" + b"\x22" * 20, "regtest")
    assert address is not None
    return address


def check(bench, raw: bytes) -> Tx:
    """That its signatures are good."""
    tx = Tx.parse(raw)
    wallet = bench.loaded()
    spent = [wallet.transaction(tx_in.prev_out.tx_id).tx.vout[tx_in.prev_out.vout] for tx_in in tx.vin]
    verify_transaction(spent, tx)
    return tx
