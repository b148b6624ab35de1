"""``bitcoin-mp-wallet``: reads the configuration, runs the wallet process, exits."""

import os
import sys
from pathlib import Path

from bitcoind_mp import config as configuration
from bitcoind_mp.config.option import WALLET
from bitcoind_mp.service.standard import open_standard_streams


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status."""
    open_standard_streams()
    config = configuration.start(arguments, WALLET)
    if isinstance(config, int):
        return config
    # What follows takes a fifth of a second to import; --help and a wrong option needn't wait for it.
    from bitcoind_mp.service.program import check_program, run_program

    if config.get_bool("checkconfig"):
        from .app import check

        return check_program(check, config)
    from .separate.keeper_service import KeeperService
    from .service import WalletService

    given = os.environ.get("CREDENTIALS_DIRECTORY")
    credentials = Path(given) if given else None
    if config.is_set("apart") and config.only_wallet is None:
        supervisor = Path(config.get_str("apart"))
        return run_program(lambda config: KeeperService(config, supervisor), config, name="wallet")
    return run_program(lambda config: WalletService(config, credentials), config, name=config.instance)


if __name__ == "__main__":
    main()
