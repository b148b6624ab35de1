"""Passphrases' keys, derived by several callers at once. What a seal is worth is tested with the wallet's keystore."""

import subprocess
import sys

#: In a process of its own: what never ends there, holds up nobody here.
TOGETHER = """
import threading
from bitcoind_mp.signing.sealing import Cost, open_master_key, seal_master_key

sealed = seal_master_key("a passphrase", bytes(32), Cost(memory=1024))
opened = []

def open_often():
    opened.extend(open_master_key("a passphrase", sealed) == bytes(32) for _ in range(50))

threads = [threading.Thread(target=open_often) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(opened), all(opened))
"""


def test_several_passphrases_at_once_neither_fail_nor_hang() -> None:
    done = subprocess.run([sys.executable, "-c", TOGETHER], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("200 True\n", "")
