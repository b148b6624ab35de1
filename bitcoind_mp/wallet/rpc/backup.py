"""Commands that bring descriptors and whole wallets in and out (``src/wallet/rpc/backup.cpp``)."""

import sqlite3
from pathlib import Path
from typing import Annotated, Any

from bitcoind_mp.interfaces.command import Call, SecretMarker, command
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.render.descriptor_text import parse_range
from bitcoind_mp.render.json_values import expect, integer, type_name
from bitcoind_mp.signing.descriptor_keys import private_text
from bitcoind_mp.wallet.importing import ImportRequest, import_descriptor
from bitcoind_mp.wallet.keyring.signer_keys import SignerKeys
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.manager import Wallets

from .rendering import label_from

_MINIMUM_TIMESTAMP = 1


class BackupCommands:
    """Export and import of what one wallet holds."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @command("wallet", changes=True, waits=True)
    async def importdescriptors(
        self, call: Call, requests: Annotated[list[Any], SecretMarker()]
    ) -> list[dict[str, Any]]:
        """Imports descriptors, and scans the blocks since the earliest of their timestamps for what they describe.

        Requires a new wallet backup. Descriptors with a multipath step of two elements are imported as a receiving
        and a change descriptor. The call may take long; it answers when the blocks are scanned. If it is interrupted,
        scanning goes on by itself.

        Args:
            requests: Objects of desc, timestamp (seconds since 1970, or "now"), active, range, next_index, internal,
                label

        Returns:
            For each whether it was a success, warnings, and the error
        """
        wallet = await self._wallets.current(call)
        rescanner = self._wallets.attachment(wallet).rescanner
        rescanner.reserve()
        try:
            wallet.require_unlocked()
            with wallet.relock.held():
                results, lowest = await self._import_all(wallet, requests)
                scanned = None if lowest is None else await rescanner.scan_wanted()
            if scanned is not None:
                if scanned.aborted:
                    raise RpcError(RpcCode.MISC_ERROR, "Rescan aborted by user.")
                await wallet.outbox.resubmit()
        except (Disconnected, CallTimeout) as error:
            raise RpcError(
                RpcCode.CLIENT_NOT_CONNECTED,
                f"The descriptors are imported, but the node went away while blocks were scanned for them ({error}). "
                "Scanning goes on when it is back.",
            ) from error
        finally:
            rescanner.release()
        return results

    @staticmethod
    async def _import_all(wallet: Wallet, requests: list[Any]) -> tuple[list[dict[str, Any]], int | None]:
        """Import each by itself; and the earliest time to scan from, None where nothing was imported."""
        results: list[dict[str, Any]] = []
        lowest = wallet.block_time
        any_done = False
        for request in requests:
            timestamp = max(_timestamp(expect(request, "object"), wallet.median_time), _MINIMUM_TIMESTAMP)
            lowest = min(lowest, timestamp)
            warnings: list[str] = []
            try:
                await import_descriptor(wallet, _read(request, timestamp), lowest, warnings)
            except RpcError as error:
                if error.code == RpcCode.DATABASE_ERROR:
                    raise
                result = {"success": False, "error": {"code": error.code, "message": error.message}}
            else:
                any_done = True
                result = {"success": True}
            results.append({**result, **({"warnings": warnings} if warnings else {})})
        return results, lowest if any_done else None

    @command("wallet")
    def listdescriptors(self, call: Call, private: bool = False) -> dict[str, Any]:
        """Lists all descriptors of the wallet.

        Args:
            private: Show private descriptors

        Returns:
            wallet_name and descriptors: desc, timestamp, active, internal, range, next, next_index
        """
        wallet = self._wallets.chosen(call)
        if private and not wallet.private_keys_enabled:
            raise RpcError(RpcCode.WALLET_ERROR, "Can't get private descriptor string for watch-only wallets")
        if private:
            wallet.require_unlocked()
        rows: list[dict[str, Any]] = []
        for found in wallet.descriptors:
            internal = wallet.descriptors.is_internal(found.number)
            text = private_text(found.text, wallet.keys) if private else found.normalized
            row: dict[str, Any] = {"desc": text, "timestamp": found.created, "active": internal is not None}
            if internal is not None:
                row["internal"] = internal
            if found.is_ranged:
                row["range"] = [found.range_start, found.range_end - 1]
                row["next"] = row["next_index"] = found.next_index
            rows.append(row)
        return {"wallet_name": wallet.name, "descriptors": sorted(rows, key=lambda row: str(row["desc"]))}

    @command("wallet", changes=True)
    async def backupwallet(self, call: Call, destination: str) -> dict[str, Any] | None:
        """Safely copies the wallet file to the specified destination, a path with a file name.

        An earlier backup of the same wallet is written over there, and nothing else: no directory, no other file, no
        wallet that has keys or descriptors which this one has not.

        Args:
            destination: The destination file. A path that isn't absolute is looked for from where the wallet's process
                was started

        Returns:
            Nothing; where the wallet's private keys are in the signer, a warning that they are not in the copy
        """
        wallet = await self._wallets.current(call)
        try:
            wallet.save_position()
            await self._wallets.directory.carrier.back_up(wallet.ledger, _backup_path(wallet, destination))
        except (OSError, ValueError, sqlite3.Error) as error:
            why = str(error)
            if isinstance(error, OSError) and error.filename:
                why = f"{error.filename}: {error.strerror}"
            raise RpcError(RpcCode.WALLET_ERROR, f"Error: Wallet backup failed! {why}") from error
        if not isinstance(wallet.keys, SignerKeys):
            return None
        return {
            "warning": "The copy holds no private keys, which are in the signer: keep what backupsigner shows with it "
            f"(keyset {wallet.keys.id})."
        }


def _backup_path(wallet: Wallet, destination: str) -> Path:
    """The file to write: never the wallet itself, nor one that would be loaded as a wallet. Raises OSError."""
    name, wallets = wallet.ledger.path.name, wallet.options.wallets_dir
    if not destination:  # Bitcoin Core answers that all is well, and has written nothing
        raise OSError("No destination is given: name a file.")
    target = Path(destination)
    if destination.endswith("/") or target.is_dir():
        raise OSError(f"{destination} is a directory: name a file in it.")
    if target.exists() and target.samefile(wallet.ledger.path):
        raise OSError("The destination is the wallet itself.")
    if target.name == name and target.resolve().is_relative_to(wallets.resolve()):
        raise OSError(f"A {name} below {wallets} would be a wallet of its own; name another file, or restore it there.")
    return target


def _timestamp(request: dict[str, Any], now: int) -> int:
    """``GetImportTimestamp``"""
    if "timestamp" not in request:
        raise RpcError(RpcCode.TYPE_ERROR, "Missing required timestamp field for key")
    value = request["timestamp"]
    if type_name(value) == "number":
        return integer(value, 64)
    if value == "now":
        return now
    raise RpcError(
        RpcCode.TYPE_ERROR,
        f'Expected number or "now" timestamp value for key. got type {type_name(value)}',
    )


def _read(request: dict[str, Any], timestamp: int) -> ImportRequest:
    if "desc" not in request:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Descriptor not found.")
    given = request.get
    return ImportRequest(
        desc=expect(request["desc"], "string"),
        timestamp=timestamp,
        active=expect(request["active"], "bool") if "active" in request else False,
        range=parse_range(request["range"]) if "range" in request else None,
        next_index=integer(request["next_index"], 64) if "next_index" in request else None,
        internal=expect(request["internal"], "bool") if "internal" in request else None,
        label=label_from(expect(given("label"), "string")) if given("label") is not None else None,
    )
