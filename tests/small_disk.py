"""A real small file system for tests that fill one. Only root may mount; the others skip and say so."""

import os
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs of ``size`` (as mount(8) takes it) on ``place``, which is made if absent."""

    def __init__(self, place: Path, size: str) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        self._ballast = place / "ballast"
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(place)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")

    @property
    def room(self) -> int:
        """Bytes that may still be written."""
        disk = os.statvfs(self.place)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take all but ``leave`` bytes, and with 0 every byte."""
        self.free()
        with self._ballast.open("wb") as file:
            if self.room > leave:
                os.posix_fallocate(file.fileno(), 0, self.room - leave)

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Also with files open."""
        subprocess.run(["umount", "-l", str(self.place)], check=True)
