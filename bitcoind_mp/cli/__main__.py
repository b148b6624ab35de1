"""bitcoin-mp: with a command run that, without one be a shell."""

import sys

from bitcoind_mp.config import start
from bitcoind_mp.config.option import CLI


def main() -> int:
    """The exit status is bitcoin-cli's for a command, and 0 for a shell that was left."""
    config = start(sys.argv[1:], CLI)
    if isinstance(config, int):
        return config
    if config.arguments or any(config.get_bool(name) for name in ("getinfo", "generate", "stdin")):
        from .command.oneshot import run

        return run(config)
    from .interactive.shell import run_shell

    return run_shell(config)


if __name__ == "__main__":
    sys.exit(main())
