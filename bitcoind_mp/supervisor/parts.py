"""Commands of which the supervisor and each worker have a part: ``help`` and ``logging``.

Each worker is asked over its own socket; one that is down is missing from the answer, or known from the table that
it left beside its socket.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.ipc.declared import manifest
from bitcoind_mp.ipc.declared.help import help_command, help_list, usage
from bitcoind_mp.ipc.declared.signature import Method
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.service import logging as service_logging

#: Seconds that a worker has to answer its part.
_PATIENCE = 5.0
#: What these commands raise when a worker isn't there to answer.
_GONE = (OSError, RpcError)


class SharedCommands:
    """``methods`` are the supervisor's own, ``connect`` gives a connection to a worker or raises what says that it is
    down, and ``tables`` is where each worker writes its table of commands."""

    def __init__(
        self,
        methods: Callable[[], Iterable[Method]],
        connect: Callable[[str], Awaitable[Session]],
        tables: Mapping[str, Path],
    ) -> None:
        self._methods = methods
        self._connect = connect
        self._tables = tables

    @command("control")
    async def help(self, command: str = "") -> str:
        """List all commands, or get help for a specified command.

        Args:
            command: The command to get help on (default: all commands)

        Returns:
            The help text
        """
        if not command:
            return self._list()
        if any(method.name == command for method in self._methods()):
            return help_command(self._methods(), command)
        for unit in self._kinds():
            described = next((entry for entry in self._commands(unit) if entry["name"] == command), None)
            if described is not None:
                return (
                    await self._ask(unit, command) or f"{described.get('usage', '')}\n\n{described.get('summary', '')}"
                )
        return f"help: unknown command: {command}"

    def _list(self) -> str:
        own = [method for method in self._methods() if method.is_command and not method.declaration.hidden]
        found = {method.name: (method.declaration.topic, method.name, usage(method)) for method in own}
        for unit in self._kinds():
            for entry in self._commands(unit):
                if not entry.get("hidden"):
                    found.setdefault(entry["name"], (entry.get("topic", ""), entry["name"], entry.get("usage", "")))
        return help_list(found.values())

    def _kinds(self) -> list[str]:
        """Without the several units of one kind (``wallet@NAME``): another has their commands too."""
        return [unit for unit in self._tables if "@" not in unit]

    def _commands(self, unit: str) -> list[dict[str, Any]]:
        table = manifest.read(self._tables[unit], wait=False)
        commands: list[dict[str, Any]] = table["commands"] if table else []
        return commands

    async def _ask(self, unit: str, name: str) -> str:
        """The worker's own help on one command; empty where it is down."""
        try:
            session = await self._connect(unit)
            return str(await session.call("help", [name], timeout=_PATIENCE))
        except _GONE:
            return ""

    @command("control", changes=True)
    async def logging(self, include: list[str] | None = None, exclude: list[str] | None = None) -> dict[str, bool]:
        """Gets and sets the logging configuration of the supervisor and every worker.

        When called without an argument, returns the list of categories with status that are currently being debug
        logged or not. When called with arguments, adds or removes categories from debug logging and return the lists
        above. The arguments are evaluated in order "include", "exclude". "all" stands for every category, "none" as an
        include for none. Until a restart only.

        Args:
            include: The categories to add to debug logging
            exclude: The categories to remove from debug logging

        Returns:
            Each category, and whether it is being debug logged by any of the processes
        """
        known = service_logging.categories()
        answers = await asyncio.gather(*(self._part(unit, include, exclude) for unit in list(self._tables)))
        everywhere = {*known, *(name for answer in answers for name in answer)}
        named = [*(include or []), *(exclude or [])]
        wrong = next((name for name in named if name not in everywhere and name not in _WHOLE), None)
        if wrong is not None:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"unknown logging category {wrong}")
        _switch(known, include or [], True)
        _switch(known, exclude or [], False)
        on = service_logging.categories()
        return {name: any(part.get(name, False) for part in (on, *answers)) for name in sorted(everywhere)}

    async def _part(self, unit: str, include: list[str] | None, exclude: list[str] | None) -> dict[str, bool]:
        """What one worker answers; of the categories named it is told those that it has."""
        try:
            session = await self._connect(unit)
            known = _categories(await session.call("logging", [], timeout=_PATIENCE))
            chosen = [[name for name in names or [] if name in known or name in _WHOLE] for names in (include, exclude)]
            return _categories(await session.call("logging", chosen, timeout=_PATIENCE)) if any(chosen) else known
        except _GONE:
            return {}


def _categories(answer: Any) -> dict[str, bool]:
    """What a worker answers: nothing, where it isn't that."""
    is_one = isinstance(answer, dict) and all(isinstance(on, bool) for on in answer.values())
    return answer if is_one else {}


_WHOLE = ("all", "1", "none", "0", "")


def _switch(known: Mapping[str, bool], names: list[str], on: bool) -> None:
    """Our own categories; every one for ``all``."""
    for name in names:
        if name in ("all", "1", ""):
            for each in known:
                service_logging.set_category(each, on)
        elif name in known:
            service_logging.set_category(name, on)
