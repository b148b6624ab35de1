"""The commands that the wallet process answers, one file a topic of Core's ``src/wallet/rpc``."""

from bitcoind_mp.wallet.wallets.manager import Wallets

from .addresses import AddressCommands
from .backup import BackupCommands
from .bump import BumpCommands
from .coins import CoinCommands
from .encrypt import EncryptCommands
from .fund import FundCommands
from .hdkeys import HdKeyCommands
from .migrate import MigrationCommands
from .pruned import PrunedCommands
from .psbt import PsbtCommands
from .rawsign import SigningCommands
from .received import ReceivedCommands
from .send import SendCommands
from .sendall import SendAllCommands
from .shelf import ShelfCommands
from .signmessage import MessageCommands
from .spend import PaymentCommands
from .transactions import TransactionCommands
from .wallet import WalletCommands

#: About a wallet that is loaded.
OF_ONE = (
    AddressCommands,
    BackupCommands,
    BumpCommands,
    CoinCommands,
    EncryptCommands,
    FundCommands,
    HdKeyCommands,
    MessageCommands,
    MigrationCommands,
    PaymentCommands,
    PrunedCommands,
    PsbtCommands,
    ReceivedCommands,
    SendAllCommands,
    SendCommands,
    SigningCommands,
    TransactionCommands,
    WalletCommands,
)


def command_objects(wallets: Wallets, *, with_shelf: bool = True) -> list[object]:
    """Everything that is answered about wallets. Not ``with_shelf``: another process makes and loads them."""
    shelf: list[object] = [ShelfCommands(wallets)] if with_shelf else []
    return [*(commands(wallets) for commands in OF_ONE), *shelf]
