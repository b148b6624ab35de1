"""``bitcoin-mp-node``: reads the configuration, runs the node, exits."""

import sys

from bitcoind_mp import config as configuration
from bitcoind_mp.config.option import NODE
from bitcoind_mp.service.standard import open_standard_streams


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status."""
    open_standard_streams()
    config = configuration.start(arguments, NODE)
    if isinstance(config, int):
        return config
    # What follows takes a third of a second to import; --help and a wrong option needn't wait for it.
    from bitcoind_mp.service.program import check_program, run_program

    if config.get_bool("checkconfig"):
        from .settings import check

        return check_program(check, config)
    from .service import NodeService

    return run_program(NodeService, config, name="node")


if __name__ == "__main__":
    main()
