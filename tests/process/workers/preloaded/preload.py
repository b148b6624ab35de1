"""Imports the worker. The file ``$FAKE_PLANS/preload`` says what is in its way, if anything: hang, fail."""

import os
import signal
from pathlib import Path


def preload() -> None:
    import worker

    assert worker
    file = Path(os.environ["FAKE_PLANS"], "preload")
    trouble = file.read_text() if file.exists() else ""
    if trouble == "hang":
        signal.pause()
    if trouble == "fail":
        raise ImportError("half installed")
    os.environ["LOADED"] = trouble  # a fork's environment is what it is told, not this
    worker.LOADED = trouble
