"""The one-shot path reads the configuration at every command: what that may import."""

import subprocess
import sys

DEAR = {"argparse", "dataclasses", "enum", "json", "logging", "pathlib", "re", "socket", "typing", "asyncio"}


def test_reading_the_configuration_imports_nothing_dear() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from bitcoind_mp.config import start\n"
        "config = start(['-regtest', '-rpcwallet=x', 'getblockcount'], 'bitcoin-mp')\n"
        "assert config.arguments == ['getblockcount']\n"
        "print(*sorted(sys.modules))"
    )
    import bitcoind_mp

    root = bitcoind_mp.__path__[0].rsplit("/", 1)[0]
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code, root], capture_output=True, text=True, check=True, timeout=60
    )
    modules = set(done.stdout.split())
    assert "bitcoind_mp.config" in modules
    assert not modules & DEAR
