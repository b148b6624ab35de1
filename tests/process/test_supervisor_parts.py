"""Commands of which the supervisor and each worker have a part: help and logging."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError


def write_table(supervisor: Any, unit: str, *names: str) -> None:
    """What a worker writes beside its socket when it is ready."""
    commands = [{"name": name, "topic": unit, "usage": f"{name} ( x )", "summary": f"Does {name}."} for name in names]
    (supervisor.run_dir / f"{unit}.json").write_text(json.dumps({"role": unit, "commands": commands}))


def test_help_lists_everybodys_commands_by_topic(supervisor: Any) -> None:
    supervisor.start()
    write_table(supervisor, "node", "getblockcount", "stop")
    write_table(supervisor, "wallet", "getbalance")
    text = supervisor.ask("help")
    assert text.index("== Control ==") < text.index("== Node ==\ngetblockcount ( x )") < text.index("== Wallet ==")
    assert text.count("\nstop ") == 1, "a command that several have is the supervisor's"
    assert "restart" in supervisor.ask("help", "restart")
    assert supervisor.ask("help", "nonsense") == "help: unknown command: nonsense"


def test_help_on_a_workers_command_is_the_workers(supervisor: Any) -> None:
    supervisor.start()
    write_table(supervisor, "wallet", "getbalance")
    assert supervisor.ask("health")["exit"] == 0
    assert supervisor.ask("help", "getbalance") == "wallet helps with getbalance"
    supervisor.ask("stop", "wallet")
    assert supervisor.ask("help", "getbalance") == "getbalance ( x )\n\nDoes getbalance."


def test_logging_asks_and_tells_every_process(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    before = supervisor.ask("logging")
    assert (before["net"], before["ipc"], before["node"], before["wallet"]) == (False, False, False, False)
    after = supervisor.ask("logging", ["net", "ipc", "wallet"])
    assert (after["net"], after["ipc"], after["node"], after["wallet"]) == (True, True, False, True)
    assert supervisor.worker("node", "logging")["net"] is True
    supervisor.ask("uptime")
    until(lambda: "uptime(" in supervisor.log("supervisor"), "the call to be logged")
    after = supervisor.ask("logging", [], ["all"])
    assert (after["ipc"], after["wallet"]) == (False, True), "the fake workers know no 'all'"
    with pytest.raises(RpcError, match="unknown logging category nonsense") as refused:
        supervisor.ask("logging", ["nonsense"])
    assert refused.value.code == -8
