"""Which event a line of the log is about: the journal's MESSAGE_ID (systemd.journal-fields(7)).

One row for each kind of event, never changed and never used again for another; man/bitcoind-mp.1 lists them for
administrators. Made with ``systemd-id128 new``. A line that tells no event of its own has none.
"""

import logging
from enum import StrEnum
from typing import Any

#: Names of attributes that `event` gives a log record.
MESSAGE_ID, UNIT, PID, CAUSE = "message_id", "unit", "unit_pid", "cause"


class Event(StrEnum):
    """What happened. The value is the MESSAGE_ID: 128 bits in hexadecimal."""

    UNIT_STARTED = "1e17d71ec244463898013a74481bc8b4"
    """A unit has a new process, which is not ready yet."""
    UNIT_READY = "cbca5d7bcfd048aaa88d64533b6830f4"
    UNIT_RELOADED = "6ef85b20cdf44acd873a3406b591827c"
    UNIT_STOPPING = "4a56784488b041f8bb0333c3350314dc"
    """A unit's process is told to end, since a person wants it stopped or restarted."""
    UNIT_STOPPED = "6968ba8256d34060a76b326090113681"
    UNIT_RESTARTED = "0fb9b5780d6b48f2a8f792a0405539ea"
    """A unit's process ended, and another one is or will be started."""
    UNIT_HELD = "0430c6bf18c94009800d5679a8024314"
    """A unit's next start waits until what is in its way has gone."""
    UNIT_STEPPED_DOWN = "326393ea108d490681f3165000fd2ebe"
    """After an end for want of memory it runs with less."""
    UNIT_FAILED = "faccd43015c3441880ced06faf135723"
    """A unit was given up."""
    UNIT_HUNG = "a79ab5facc394d338712d12f08ad96c9"
    """The watchdog, a start or a stop ran out of time, and the process is being aborted or killed."""
    UNIT_LEFT_OVER = "0ad9c9469502494aa21652eb89d264b9"
    """A worker of a supervisor that was killed is still there."""
    UNIT_TAKEN_OVER = "ab305fa73d85414abf576288a13a5dfc"
    """A worker of a supervisor that is gone runs on under this one."""
    HEALTH_ALARM = "b5003b563ef749e38151abfcc4990c0f"
    HEALTH_RECOVERED = "fd685fe75115482b841956aac077d89f"
    SUPERVISOR_STARTED = "5a393c22c62143129b35952fab60b8e4"
    SUPERVISOR_STOPPED = "47f297ad2c5949e288b14187d17bad7d"
    SUPERVISOR_UPGRADING = "a653337414be45fda5b62ca283fb2529"
    """The supervisor becomes its program as it is on disk now."""
    SUPERVISOR_UPGRADED = "397869dd56bc4023b71b73004ec52112"
    """The new program has taken over, and every unit runs it."""
    SUPERVISOR_NOT_UPGRADED = "8de31ca3dfaa49b8ae3f1c981acefd68"
    ALERT_RAISED = "2e5c5d22e1554f8c8d1a2f3577fb0772"
    """Something is wrong that no other line tells: what a worker that serves warns of, that it uses too much, or
    that the configuration files can't be used any more."""
    ALERT_OVER = "d5d107692d184618ac5436be18bdc916"
    DISK_LOW = "f2eee1acbaaa4fa093324bdd7efc40a8"
    """Less room than -mindiskfree asks for."""
    DISK_HAS_ROOM = "1a40587111ea43d1bb5e46e41e98802c"
    CONFIGURATION_REREAD = "08fccd78873d4051ab6f2e415fd4c077"
    CONFIGURATION_REFUSED = "e514e6d190f8442a87cf623f7c428a14"
    NODE_LOST = "4d043ae4f8264d508fc6134f799f1e1b"
    """A wallet process can't reach its node."""
    NODE_FOUND = "512d0995f9d44411baaa461faadbc3b0"
    WALLET_REFUSED = "20dfd6ac0a104a56b3193faa211cb0a8"
    """A wallet that was to be loaded could not be."""
    WALLET_UNLOCKED = "25302728288c4f1abaabdd1b4c89df58"
    """By a credential, at the start."""
    WALLET_NOT_UNLOCKED = "24ec69b1a8fb4cb1ad2b2f623b27ec78"
    WALLET_LOCKED = "c06c25cb60654a9fbaa83a1d196decf1"
    """The time for which a credential unlocked it is over."""


def event(which: Event | None, *, unit: str = "", pid: int | None = None, cause: str = "") -> dict[str, Any]:
    """``extra=`` for a logging call: what the line is about. ``unit`` and ``pid`` where that is another process;
    ``cause`` where it has ended (`interfaces.failures`)."""
    return {MESSAGE_ID: which or "", UNIT: unit, PID: pid, CAUSE: cause}


def event_of(record: logging.LogRecord) -> tuple[str, str, int | None]:
    """(MESSAGE_ID, unit, pid) of a record; empty and None for what it doesn't say."""
    return getattr(record, MESSAGE_ID, ""), getattr(record, UNIT, ""), getattr(record, PID, None)


def cause_of(record: logging.LogRecord) -> str:
    """Why the process ended that a record is about, in a word; empty for other records."""
    cause: str = getattr(record, CAUSE, "")
    return cause
