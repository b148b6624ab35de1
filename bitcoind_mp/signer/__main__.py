"""``bitcoin-mp-signer``: reads the configuration, sets up the log, runs the signer process, exits."""

import os
import sys
from pathlib import Path

from bitcoind_mp import config as configuration
from bitcoind_mp.config.option import SIGNER
from bitcoind_mp.service.standard import open_standard_streams


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status."""
    open_standard_streams()
    config = configuration.start(arguments, SIGNER)
    if isinstance(config, int):
        return config
    # What follows takes a fifth of a second to import; --help and a wrong option needn't wait for it.
    from bitcoind_mp.service.program import check_program, run_program

    if config.get_bool("checkconfig"):
        from .app import policy

        return check_program(policy, config)
    from .service import SignerService

    given = os.environ.get("CREDENTIALS_DIRECTORY")
    credentials = Path(given) if given else None
    return run_program(lambda config: SignerService(config, credentials), config, name="signer")


if __name__ == "__main__":
    main()
