"""Puts the wallet process together from the configuration; nothing of it runs yet."""

import socket
import time
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.config.credentials import Credentials, Deadlines, unlock_times
from bitcoind_mp.config.instances import escaped
from bitcoind_mp.config.state import parent_identity
from bitcoind_mp.interfaces.init import Hello

from .boot_unlock import BootUnlock
from .clock import NodeClock
from .coins import OutputType
from .introduction import Introductions
from .manager import Wallets
from .options import WalletOptions
from .reach import own_directory
from .rebroadcast import Rebroadcaster
from .signer_link import SignerLink, no_signer
from .startup import SessionList, StartupList
from .upstream import Upstream


def wallet_options(config: Config) -> WalletOptions:
    """The wallet's options as one value."""
    change = config.get_str("changetype")
    return WalletOptions(
        chain=config.chain,
        wallets_dir=config.wallets_dir,
        settings_file=config.settings_file,
        keypool=max(config.get_int("keypool"), 1),
        address_type=OutputType(config.get_str("addresstype")),
        change_type=OutputType(change) if change else None,
        fallback_fee=config.get_amount("fallbackfee"),
        min_tx_fee=config.get_amount("mintxfee"),
        discard_fee=config.get_amount("discardfee"),
        consolidate_fee=config.get_amount("consolidatefeerate"),
        max_tx_fee=config.get_amount("maxtxfee"),
        max_aps_fee=config.get_amount("maxapsfee"),
        avoid_partial_spends=config.get_bool("avoidpartialspends"),
        spend_zero_conf_change=config.get_bool("spendzeroconfchange"),
        tx_confirm_target=config.get_int("txconfirmtarget"),
        signal_rbf=config.get_bool("walletrbf"),
        broadcast=config.get_bool("walletbroadcast"),
        reject_long_chains=config.get_bool("walletrejectlongchains"),
        cluster_count=config.get_int("limitclustercount"),
        low_memory=config.get_bool("lowmemory"),
        signer_process=config.get_bool("signerprocess"),
        mainnet_wallet=config.get_bool("mainnetwallet"),
        only=config.get_str("onlywallet"),
    )


class WalletApp:
    """The parts of one wallet process. ``credentials`` is the directory of those that the service manager handed over,
    None for none; ``to_signer`` the way to the signer that this process was handed, None for none."""

    def __init__(
        self, config: Config, hello: Hello, credentials: Path | None, to_signer: socket.socket | None = None
    ) -> None:
        clock = NodeClock(time.time)
        self.upstream = Upstream(config.socket_path("node"), hello, clock)
        self.signer_link: SignerLink | None = None
        signer = no_signer()
        if config.get_bool("signerprocess"):
            self.signer_link = SignerLink(config.wallets_door, hello, to_signer)
            signer = self.signer_link.signer
        self.wallets = Wallets(
            wallet_options(config),
            self.upstream,
            clock,
            StartupList(config.settings_file),
            SessionList(own_directory(config) / "loaded.json", parent_identity()),
            signer=signer,
        )
        self.introductions = Introductions()
        if self.signer_link is not None:
            self.signer_link.on_lost = self.wallets.signer_lost
            self.signer_link.on_found = lambda: self.introductions.begin(self.wallets)
            self.wallets.on_open = lambda wallet: self.introductions.begin([wallet])
        self.boot_unlock = BootUnlock(
            unlock_times(config),
            Credentials(credentials, escaped),
            Deadlines(own_directory(config) / f"{config.instance}-unlocked.json", parent_identity()),
        )
        self.rebroadcaster = Rebroadcaster(self.wallets, self.upstream.chain)
