"""Commands that make, load and list wallets, and are about none that is loaded (``src/wallet/rpc/wallet.cpp``)."""

import asyncio
from pathlib import Path
from typing import Any

from bitcoind_mp.interfaces.command import Call, Secret, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.wallet.wallets.creation import Recipe
from bitcoind_mp.wallet.wallets.shelf import Named, Shelf


class ShelfCommands:
    """Answered by whoever knows all wallets."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @command("wallet", changes=True)
    async def createwallet(
        self,
        wallet_name: str,
        disable_private_keys: bool = False,
        blank: bool = False,
        passphrase: Secret | None = None,
        avoid_reuse: bool = False,
        descriptors: bool = True,
        load_on_startup: bool | None = None,
        external_signer: bool = False,
    ) -> dict[str, Any]:
        """Creates and loads a new wallet.

        Args:
            wallet_name: The name for the new wallet
            disable_private_keys: Disable the possibility of private keys (only watchonlys are possible in this mode)
            blank: Create a blank wallet. A blank wallet has no keys.
            passphrase: Encrypt the wallet with this passphrase
            avoid_reuse: Keep track of coin reuse, and treat dirty and clean coins differently with privacy in mind
            descriptors: If set, must be "true"
            load_on_startup: Whether to load the wallet at each start (default: leave it as it is)
            external_signer: Not supported

        Returns:
            The wallet's name, and warnings if there are any
        """
        if not descriptors:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                'descriptors argument must be set to "true"; it is no longer possible to create a legacy wallet.',
            )
        if external_signer:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "Compiled without external signing support (required for external signing)",
            )
        notes = []
        if passphrase == "":
            notes.append("Empty string given as passphrase, wallet will not be encrypted.")
        recipe = Recipe(disable_private_keys, blank, passphrase or "", avoid_reuse)
        wallet, warnings = await self._shelf.create(wallet_name, recipe, load_on_startup)
        return _named(wallet, [*notes, *warnings])

    @command("wallet", changes=True)
    async def loadwallet(self, filename: str, load_on_startup: bool | None = None) -> dict[str, Any]:
        """Loads a wallet from its directory.

        Args:
            filename: The wallet's name: its directory, relative to the "wallets" directory, or absolute
            load_on_startup: Whether to load the wallet at each start (default: leave it as it is)

        Returns:
            The wallet's name, and warnings if there are any
        """
        return _named(*await self._shelf.load(filename, load_on_startup))

    @command("wallet", changes=True)
    async def unloadwallet(
        self, call: Call, wallet_name: str | None = None, load_on_startup: bool | None = None
    ) -> dict[str, Any]:
        """Unloads the wallet that was chosen or the one named. If both are given, they must be identical.

        Args:
            wallet_name: The name of the wallet to unload (default: the wallet that was chosen)
            load_on_startup: Whether to load the wallet at each start (default: leave it as it is)

        Returns:
            Warnings if there are any
        """
        if call.wallet is not None and wallet_name not in (None, call.wallet):
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "The RPC endpoint wallet and the wallet name parameter specify different wallets",
            )
        name = wallet_name if call.wallet is None else call.wallet
        if name is None:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "Either the RPC endpoint wallet or the wallet name parameter must be provided",
            )
        warnings = await self._shelf.unload(name, load_on_startup)
        return {"warnings": warnings} if warnings else {}

    @command("wallet")
    async def listwallets(self) -> list[str]:
        """Returns the names of the wallets that are loaded. For full information on one, use "getwalletinfo".

        Returns:
            The names
        """
        return await self._shelf.names()

    @command("wallet")
    async def listwalletdir(self) -> dict[str, Any]:
        """Returns the wallets in the wallet directory.

        Returns:
            wallets: the name of each, and warnings about it
        """
        # A process that was broken into may have left directories without number: others are answered meanwhile.
        found = await asyncio.to_thread(list, self._shelf.directory.listed())
        return {"wallets": [{"name": name, "warnings": warnings} for name, warnings in found]}

    @command("wallet", changes=True)
    async def restorewallet(
        self, wallet_name: str, backup_file: str, load_on_startup: bool | None = None
    ) -> dict[str, Any]:
        """Restores and loads a wallet from a backup.

        Args:
            wallet_name: The name that will be applied to the restored wallet
            backup_file: The backup file that will be used to restore the wallet
            load_on_startup: Whether to load the wallet at each start (default: leave it as it is)

        Returns:
            The wallet's name, and warnings if there are any
        """
        if not backup_file:  # not the working directory, which an empty path names
            raise RpcError(RpcCode.INVALID_PARAMETER, "Backup file does not exist")
        wallet, warnings = await self._shelf.restore(wallet_name, Path(backup_file), load_on_startup)
        return _named(wallet, warnings)


def _named(wallet: Named, warnings: list[str]) -> dict[str, Any]:
    return {"name": wallet.name, **({"warnings": warnings} if warnings else {})}
