"""Which type of address change goes to (``CWallet::TransactionChangeType``)."""

from collections.abc import Iterable

from btclib.script.solver import solver

from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.wallet import Wallet

#: The payees' scripts, in the order in which they decide.
_BY_SCRIPT = {
    "witness_v1_taproot": OutputType.BECH32M,
    "witness_v0_keyhash": OutputType.BECH32,
    "scripthash": OutputType.P2SH_SEGWIT,
    "pubkeyhash": OutputType.LEGACY,
}


def change_type_for(wallet: Wallet, asked: OutputType | None, payees: Iterable[bytes]) -> OutputType:
    """The type of a payee's address, so that change and payment don't tell themselves apart by their looks."""
    options = wallet.options
    wanted = asked or options.change_type
    if wanted is not None:
        return wanted
    if options.address_type is OutputType.LEGACY:
        return OutputType.LEGACY
    available = wallet.addresses.change_types()
    paid = {solver(script)[0] for script in payees}
    for kind, change in _BY_SCRIPT.items():
        if kind in paid and change in available:
            return change
    for change in (OutputType.BECH32M, OutputType.BECH32):
        if change in available:
            return change
    return options.address_type
