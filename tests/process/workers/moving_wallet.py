"""The wallet process, with a SIGKILL after a chosen step of moving keys to the signer, and of whom: the file that
``DIE_AT`` names has a step's name, and the pid of a process to be killed instead of this one, or 0."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from bitcoind_mp.service.worker import Host
from bitcoind_mp.wallet import __main__ as program
from bitcoind_mp.wallet import service as module
from bitcoind_mp.wallet.wallets.moving import Step

ORDER = Path(os.environ["DIE_AT"])


class Dying(module.WalletService):
    async def start(self, host: Host) -> None:
        await super().start(host)
        assert self._app is not None
        self._app.wallets.on_step = self._reached

    @staticmethod
    def _reached(step: Step) -> None:
        last, _, pid = ORDER.read_text().rpartition(" ")
        if step.value == last:
            os.kill(int(pid) or os.getpid(), signal.SIGKILL)


module.WalletService = Dying  # type: ignore[misc]

if __name__ == "__main__":
    program.main()
