"""``bitcoind-mp.service`` on regtest in a container, and what is done to it and found out about it."""

from typing import Any

from harness import wait_until
from systemd_container import PATIENCE, Container

from bitcoind_mp.interfaces.journal import Event

SERVICE, SOCKET = "bitcoind-mp.service", "bitcoind-mp.socket"


def enrich(machine: Container) -> Container:
    """Have it serve a wallet that has coins to spend, also after a restart."""
    names = machine.patiently(lambda: machine.call("wallet.sock", "listwallets"))
    if "rich" not in names:
        machine.call("wallet.sock", "createwallet", "rich", False, False, "", False, True, True)
        mine(machine, 101)
    return machine


def mine(machine: Container, count: int = 1) -> None:
    address = machine.patiently(lambda: machine.call("wallet.sock", "getnewaddress", wallet="rich"))
    machine.call("node.sock", "generatetoaddress", count, address)


def pay(machine: Container) -> str:
    """A payment's txid, once it is in the node's mempool."""
    address = machine.call("wallet.sock", "getnewaddress", wallet="rich")
    txid: str = machine.call("wallet.sock", "sendtoaddress", address, 1, wallet="rich")
    assert txid in machine.call("node.sock", "getrawmempool")
    return txid


def unit(machine: Container, name: str) -> dict[str, Any]:
    units = machine.patiently(lambda: machine.call("supervisor.sock", "status"))["units"]
    return next(unit for unit in units if unit["name"] == name)


def until_replaced(machine: Container, name: str, pid: int) -> None:
    def is_replaced() -> bool:
        found = unit(machine, name)
        return found["state"] == "running" and found["pid"] != pid

    wait_until(f"{name} runs in another process than {pid}", is_replaced, PATIENCE)


def until_told(machine: Container, event: Event, *matches: str) -> dict[str, Any]:
    """The newest such entry of the journal."""

    def newest() -> list[dict[str, Any]]:
        return machine.journal(f"--unit={SERVICE}", f"MESSAGE_ID={event}", *matches)

    found: dict[str, Any] = wait_until(f"the journal has {event.name}", newest, PATIENCE)[-1]
    return found


def in_group(machine: Container) -> list[int]:
    """The processes in the service's control group, as the container numbers them."""
    found = machine.run("sh", "-c", f"cat /sys/fs/cgroup/systemd/system.slice/{SERVICE}/cgroup.procs", check=False)
    if found.returncode:  # version 2 alone, or no group any more
        found = machine.run("sh", "-c", f"cat /sys/fs/cgroup/system.slice/{SERVICE}/cgroup.procs", check=False)
    return [int(line) for line in found.stdout.split()]
