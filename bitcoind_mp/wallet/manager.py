"""The wallets that are loaded, by name. What doesn't belong: anything about one wallet."""

from bitcoind_mp.interfaces.command import Call

from .wallet import Wallet


class Wallets:
    """All loaded wallets."""

    def chosen(self, call: Call) -> Wallet:
        """The wallet a call is for: the one it names, or the only one loaded (``GetWalletForJSONRPCRequest``).

        Raises:
            RpcError: -18 for one that isn't loaded, or none loaded; -19 where several are and none is named.
        """
        raise NotImplementedError
