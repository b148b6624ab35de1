"""The supervisor's own log lines: into a `UnitLog`, so that they rotate, outlive a full disk and reach the journal as
its units' do. How a line looks is the formatter's business."""

import logging

from .logs import UnitLog


class OwnLog(logging.Handler):
    """Writes each record to the log, as several lines where it is several."""

    def __init__(self, log: UnitLog, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write([line.encode("utf-8", "backslashreplace") for line in self.format(record).splitlines()])
