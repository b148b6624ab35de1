"""All that a wallet's process ever imports, for one that is forked once it is there (``service/template.py``)."""

import asyncio


def preload() -> None:
    """Import; nothing runs, no thread is started, no file stays open."""
    from bitcoind_mp.ipc.declared.signature import declared
    from bitcoind_mp.service import program
    from bitcoind_mp.service.control import ProcessCommands

    from . import service
    from .rpc import OF_ONE
    from .rpc.shelf import ShelfCommands
    from .separate import keeper_service

    assert program and service and keeper_service
    for kind in (*OF_ONE, ShelfCommands, ProcessCommands):
        declared(kind)  # read once for all forks: in memory that they share
    asyncio.run(asyncio.sleep(0))  # what a first loop makes, too
