"""``bitcoin-mp-node``: reads the configuration, sets up the log, runs the node, exits."""

import os
import sys

from bitcoind_mp import config as configuration
from bitcoind_mp.config.option import NODE
from bitcoind_mp.interfaces.errors import ExitStatus


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status."""
    config = configuration.start(arguments, NODE)
    if isinstance(config, int):
        return config
    os.umask(0o077)
    # What follows takes a third of a second to import; --help and a wrong option needn't wait for it.
    from bitcoind_mp.service import logging as service_logging
    from bitcoind_mp.service.worker import run_worker

    from .service import NodeService

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
    return run_worker(NodeService(config), name="node", environ=os.environ)


if __name__ == "__main__":
    main()
