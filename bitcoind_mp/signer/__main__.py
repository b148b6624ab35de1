"""``bitcoin-mp-signer``: reads the configuration, sets up the log, runs the signer process, exits."""

import os
import sys

from bitcoind_mp import config as configuration
from bitcoind_mp.config.option import SIGNER
from bitcoind_mp.interfaces.errors import ExitStatus


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status."""
    config = configuration.start(arguments, SIGNER)
    if isinstance(config, int):
        return config
    os.umask(0o077)
    # What follows takes a fifth of a second to import; --help and a wrong option needn't wait for it.
    from bitcoind_mp.service import logging as service_logging
    from bitcoind_mp.service.worker import run_worker

    from .service import SignerService

    try:
        service_logging.setup(
            console=config.get_bool("printtoconsole"),
            debug=config.get_list("debug"),
            exclude=config.get_list("debugexclude"),
            environ=os.environ,
        )
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return int(ExitStatus.CONFIG)
    return run_worker(SignerService(config), name="signer", environ=os.environ)


if __name__ == "__main__":
    main()
