"""Puts the wallet process together from the configuration; nothing of it runs yet."""

import time
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.config.credentials import Credentials, Deadlines, unlock_times
from bitcoind_mp.config.instances import escaped
from bitcoind_mp.config.state import boot_identity, parent_identity
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.signer import Signer

from .chain.upstream import Upstream
from .chain.ways import Ways
from .clock import NodeClock
from .coins import OutputType
from .keyring.signer_link import SignerLink, no_signer
from .options import WalletOptions
from .reach import deadlines_file, own_directory, require_specified
from .separate.elsewhere import ByTheKeeper, Processes
from .separate.keeper import Keeper
from .storage.carrier import Carrier
from .wallets.boot_unlock import BootUnlock
from .wallets.introduction import Introductions
from .wallets.manager import Wallets
from .wallets.rebroadcast import Rebroadcaster
from .wallets.startup import SessionList, StartupList


def check(config: Config) -> None:
    """Whether a wallet process could start with that, for all that can be said without one. Raises FatalError."""
    wallet_options(config)
    require_specified(config)


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
        max_ancestors=max(config.get_int("limitancestorcount"), 1),
        max_cluster=max(config.get_int("limitdescendantcount"), 1),
        low_memory=config.get_bool("lowmemory"),
        signer_process=config.get_bool("signerprocess"),
        mainnet_wallet=config.get_bool("mainnetwallet"),
        only=config.only_wallet,
    )


def _signer(config: Config, hello: Hello, ways: Ways) -> tuple[Signer, SignerLink | None]:
    """Who signs, and the connection to it where there is one."""
    if not config.get_bool("signerprocess"):
        return no_signer(), None
    link = SignerLink(config.wallets_door, hello, ways.to_signer)
    return link.signer, link


class KeeperApp:
    """The parts of the process that makes and lists wallets, which processes of their own serve. ``supervisor`` is
    where the supervisor answers, ``ways`` as for `WalletApp`."""

    def __init__(self, config: Config, hello: Hello, supervisor: Path, ways: Ways) -> None:
        clock = NodeClock(time.time)
        self._upstream = Upstream(config.socket_path("node"), hello, clock, ways.to_node)
        signer, self._signer_link = _signer(config, hello, ways)
        self.startup = startup = StartupList(config.settings_file)
        self.processes = Processes(
            supervisor, config.socket_path, hello, lambda: config.wallets_to_load(startup.marked())
        )
        self.keeper = Keeper(
            wallet_options(config),
            self._upstream.chain,
            clock,
            self.startup,
            self.processes.units,
            self.processes.asking,
            signer=signer,
        )

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._upstream.start()
        self.processes.start()
        if self._signer_link is not None:
            self._signer_link.start()

    async def close(self) -> None:
        """Disconnect."""
        await self.processes.close()
        await self._upstream.close()
        if self._signer_link is not None:
            await self._signer_link.close()


class WalletApp:
    """The parts of one wallet process. ``credentials`` is the directory of those that the service manager handed over,
    None for none; ``ways`` how the process reaches the others."""

    def __init__(self, config: Config, hello: Hello, credentials: Path | None, ways: Ways) -> None:
        clock = NodeClock(time.time)
        self.upstream = Upstream(config.socket_path("node"), hello, clock, ways.to_node)
        signer, self.signer_link = _signer(config, hello, ways)
        self.startup = StartupList(config.settings_file)
        self.wallets = Wallets(
            wallet_options(config),
            self.upstream,
            clock,
            self.startup,
            SessionList(own_directory(config) / "loaded.json", parent_identity()),
            signer=signer,
        )
        self.introductions = Introductions()
        if self.signer_link is not None:
            self.signer_link.on_lost = self.wallets.signer_lost
            self.signer_link.on_found = lambda: self.introductions.begin(self.wallets)
        self.wallets.on_open = lambda wallet: self.introductions.begin([wallet])
        only = config.only_wallet
        times = {name: seconds for name, seconds in unlock_times(config).items() if only in (None, name)}
        self.boot_unlock = BootUnlock(
            times, Credentials(credentials, escaped), Deadlines(deadlines_file(config), boot_identity())
        )
        self._keeper = Path(config.run_path("wallet.sock")), hello, ways.to_keeper
        self.rebroadcaster = Rebroadcaster(self.wallets, self.upstream.chain, clock)

    def by_the_keeper(self, wallet: str) -> Carrier:
        """Who carries the backups of a process that reaches its one wallet alone."""
        return ByTheKeeper(*self._keeper, wallet)
