"""Every log there is: where each unit's lines go, from the configuration and from what started us."""

from bitcoind_mp.config import Config

from .logfile import LogFile
from .logs import Console, Entries, Forward, Journal, UnitLog

_STDOUT, _STDERR = 1, 2
_MIB = 1024 * 1024


class Logbook:
    """Makes the logs and reopens them. With ``journal`` (standard error is the journal's) lines go there and no file is
    written; else each unit has a file, and the console gets every line where -printtoconsole says so."""

    def __init__(self, config: Config, *, journal: Entries | None) -> None:
        self._config = config
        self._logs: list[UnitLog] = []
        self.journal = journal is not None
        self._forward: Forward | None = None
        if journal is not None:
            self._forward = Journal(_STDERR, journal)
        elif config.get_bool("printtoconsole"):
            self._forward = Console(_STDOUT)

    def open(self, name: str, *, forward: bool = True) -> UnitLog:
        """The log of one more unit. Not ``forward``: nothing of it goes to the journal or the console."""
        file = None
        if not self.journal:
            size, backups = _rotation(self._config)
            file = LogFile(self._config.log_dir / f"{name}.log", max_size=size, backups=backups)
        made = UnitLog(name, file, self._forward if forward else None)
        self._logs.append(made)
        return made

    def close_one(self, name: str) -> None:
        """That unit is no more; its file stays."""
        for log in [log for log in self._logs if log.unit == name]:
            self._logs.remove(log)
            if log.file is not None:
                log.file.close()

    def reopen(self) -> None:
        """Open every file anew: something else may have moved it away."""
        for file in self._files():
            file.reopen()

    def configure(self, config: Config) -> None:
        """The configuration was read again."""
        for file in self._files():
            file.max_size, file.backups = _rotation(config)

    def close(self) -> None:
        for file in self._files():
            file.close()

    def _files(self) -> list[LogFile]:
        return [each.file for each in self._logs if each.file is not None]


def _rotation(config: Config) -> tuple[int, int]:
    return config.get_int("logmaxsize") * _MIB, config.get_int("logbackups")
