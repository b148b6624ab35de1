"""What a process may still do once it serves others, enforced by the kernel: `confine`."""

from .confinement import Confinement, Mode, Protections, confine

__all__ = ["Confinement", "Mode", "Protections", "confine"]
