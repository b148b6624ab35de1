"""What is known about the terminal before anything is printed on it."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bitcoind_mp.config import Config


def wants_colour(config: "Config") -> bool:
    """What -color says, about standard output."""
    when = config.get_str("color")
    return when == "always" or (when == "auto" and sys.stdout.isatty())
