"""A small file system of the run's own, so that filling it fills nothing else. Only root may mount one."""

import os
import subprocess
from pathlib import Path

SIZE = "320m"
_ATTEMPTS = 20
_PIECE = 8 << 20


class SmallDisk:
    """A tmpfs on ``place``."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"

    @classmethod
    def mounted(cls, place: Path) -> "SmallDisk | None":
        """One that is mounted there, None where that isn't allowed."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(place)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        return cls(place)

    def fill(self) -> None:
        """To the last byte, if others who write and give up meanwhile leave it so."""
        taken = failed = 0
        with self._ballast.open("wb") as file:
            while failed < _ATTEMPTS and (room := self.room):
                try:  # by pieces: a tmpfs gives back all of what it could not give whole
                    os.posix_fallocate(file.fileno(), taken, min(room, _PIECE))
                except OSError:  # somebody else was faster: less is left
                    failed += 1
                taken = os.fstat(file.fileno()).st_size

    @property
    def room(self) -> int:
        """Bytes that may still be written."""
        disk = os.statvfs(self.place)
        return disk.f_bavail * disk.f_frsize

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Also with files open."""
        subprocess.run(["umount", "-l", str(self.place)], check=False)
