"""All that a signer's process ever imports, for one that is forked once it is there (``service/template.py``)."""


def preload() -> None:
    """Import; nothing runs, no thread is started, no file stays open."""
    from bitcoind_mp.service import worker

    from . import service

    assert worker and service
