"""The wallet process, with a SIGKILL after a chosen step of moving keys to the signer: ``DIE_AT=taken``. With
``DIE_AT=signer:taken`` it is the signer that is killed then, whose pid is in ``SIGNER_PID``."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from bitcoind_mp.service.worker import Host
from bitcoind_mp.wallet import __main__ as program
from bitcoind_mp.wallet import service as module
from bitcoind_mp.wallet.moving import Step

WHO, _, LAST = os.environ.get("DIE_AT", "").rpartition(":")


class Dying(module.WalletService):
    async def start(self, host: Host) -> None:
        await super().start(host)
        assert self._app is not None
        self._app.wallets.on_step = self._reached

    @staticmethod
    def _reached(step: Step) -> None:
        if step.value == LAST:
            os.kill(int(os.environ["SIGNER_PID"]) if WHO == "signer" else os.getpid(), signal.SIGKILL)


module.WalletService = Dying  # type: ignore[misc]

if __name__ == "__main__":
    program.main()
