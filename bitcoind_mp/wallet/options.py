"""The options that the wallet process reads, as one value. Reading them from the configuration is ``app.py``'s."""

from dataclasses import dataclass, field
from pathlib import Path

from .coins import OutputType

#: What is most likely a slip: a rate in sat/kvB, a fee and a fee on top in satoshis (``src/policy/feerate.h``,
#: ``src/wallet/wallet.h``).
_HIGH_RATE, _HIGH_FEE, _HIGH_APS_FEE = 1_000_000, 100_000_000, 10_000


@dataclass(frozen=True)
class WalletOptions:
    """Core's wallet options, their names and defaults (``src/wallet/init.cpp``). Fee rates in sat/kvB.

    ``chain`` is Core's name for the network (main, test, testnet4, signet, regtest).
    """

    chain: str = "regtest"
    wallets_dir: Path = field(default_factory=Path)
    settings_file: Path | None = None
    keypool: int = 1000
    address_type: OutputType = OutputType.BECH32
    change_type: OutputType | None = None
    fallback_fee: int = 0
    """``-fallbackfee``; 0: none, and a payment without an estimate is refused."""
    min_tx_fee: int = 1000
    discard_fee: int = 10_000
    consolidate_fee: int = 10_000
    max_tx_fee: int = 10_000_000
    """``-maxtxfee`` in satoshis."""
    max_aps_fee: int = 0
    """``-maxapsfee`` in satoshis; negative: never try to avoid partial spends."""
    avoid_partial_spends: bool = False
    spend_zero_conf_change: bool = True
    tx_confirm_target: int = 6
    signal_rbf: bool = True
    broadcast: bool = True
    reject_long_chains: bool = True
    max_ancestors: int = 25
    """``-limitancestorcount``: unconfirmed transactions in a row that nodes of older versions relay."""
    max_cluster: int = 25
    """``-limitdescendantcount``: as many that hang together are avoided."""
    low_memory: bool = False
    """``-lowmemory``: keep less of a wallet's file in memory."""
    signer_process: bool = False
    """``-signerprocess``: the private keys of new encrypted wallets are the signer's."""
    mainnet_wallet: bool = False
    """``-mainnetwallet``: allow private keys on the main network."""
    only: str | None = None
    """``-onlywallet``: the one wallet that this process serves; None: any."""

    @property
    def network(self) -> str:
        """btclib's name for the network."""
        return {"main": "mainnet", "test": "testnet"}.get(self.chain, self.chain)

    @property
    def warnings(self) -> list[str]:
        """Core's words about each fee that is so high that it is most likely a slip."""
        high = {
            "-mintxfee": (
                self.min_tx_fee,
                _HIGH_RATE,
                "This is the minimum transaction fee you pay on every transaction.",
            ),
            "-maxapsfee": (
                self.max_aps_fee,
                _HIGH_APS_FEE,
                "This is the maximum transaction fee you pay (in addition to the normal fee) to prioritize partial "
                "spend avoidance over regular coin selection.",
            ),
            "-fallbackfee": (
                self.fallback_fee,
                _HIGH_RATE,
                "This is the transaction fee you may pay when fee estimates are not available.",
            ),
            "-discardfee": (
                self.discard_fee,
                _HIGH_RATE,
                "This is the transaction fee you may discard if change is smaller than dust at this level",
            ),
            "-maxtxfee": (self.max_tx_fee, _HIGH_FEE, "Fees this large could be paid on a single transaction."),
        }
        return [f"{name} is set very high! {why}" for name, (amount, most, why) in high.items() if amount > most]
