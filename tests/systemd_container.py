"""A real systemd for tests: booted in a container made of a throwaway overlay of this machine's own root.

Nothing that is written in it stays. It has no network but its own loopback, an empty /tmp, and the program installed
at /opt/bitcoind-mp as README.md says, from a wheel of this checkout; the libraries that it needs are those of the
environment that runs the tests.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import DEADLINE, wait_until

from bitcoind_mp.interfaces.errors import Disconnected, RpcError
from bitcoind_mp.ipc.wire.blocking import call

ROOT = Path(__file__).resolve().parent.parent
PREFIX = Path("/opt/bitcoind-mp")
DATA = Path("/var/lib/bitcoind-mp")
ACCOUNT = "bitcoind-mp"
#: The container is about as quick as the machine, which may be loaded: seconds for whatever a test waits for.
PATIENCE = 2 * DEADLINE
_LIBRARIES, _PYTHON, _WHEELS = "/opt/test-libraries", "/opt/test-python", "/opt/test-wheels"
_NSPAWN = (
    "--volatile=overlay",
    "--register=no",
    "--keep-unit",
    "--private-network",
    "--console=pipe",
    "--link-journal=no",
    # which systemd-nspawn of Debian 12 refuses otherwise
    "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
)
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
#: The bind mount makes / a directory that systemd-nspawn takes; it and everything under it goes with the namespace.
_BOOT = (
    'for group in $CONTROL_GROUPS; do echo $$ >"$group/cgroup.procs" || exit; done; '
    'mount --bind / "$0" && exec systemd-nspawn --directory="$0" "$@"'
)


def why_not() -> str:
    """Why no container can be booted here, empty where one can."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    if shutil.which("systemd-nspawn") is None:
        return "systemd-nspawn is not installed (Debian: apt-get install systemd-container)"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "root may not mount here"
    return _why_no_program_runs()


@functools.cache
def _why_no_program_runs() -> str:
    """What keeps systemd-nspawn from running a program of the machine's own: nothing of ours is in that, so that no
    failure of ours is taken for it."""
    Path("/etc/sysusers.d").mkdir(exist_ok=True)  # systemd-nspawn looks for it
    mounted, groups = tempfile.mkdtemp(prefix="bitcoind-mp-root-"), list[Path]()
    try:
        groups = _make_control_groups(f"bitcoind-mp-{os.getpid()}-{Path(mounted).name[-8:]}")
        argv = _boot(mounted, f"--machine=bitcoind-mp-probe-{os.getpid()}", *_NSPAWN, "--as-pid2", "/bin/true")
        done = subprocess.run(argv, env=_with(groups), capture_output=True, text=True, timeout=PATIENCE, check=False)
    except OSError as error:
        return f"root may not make control groups here: {error}"
    finally:
        wait_until("nothing of it is left", lambda: all(map(_is_removed, groups)), PATIENCE)
        Path(mounted).rmdir()
    return f"systemd-nspawn runs no program here: {done.stderr.strip()[-300:]}" if done.returncode else ""


def _boot(mounted: str, *nspawn: str) -> list[str]:
    return ["unshare", "--mount", "--propagation=private", "sh", "-c", _BOOT, mounted, *nspawn]


def _with(groups: Sequence[Path]) -> dict[str, str]:
    return {**os.environ, "CONTROL_GROUPS": " ".join(map(str, groups))}


def build_wheel(directory: Path) -> None:
    """A wheel of this checkout, which is left as it is."""
    source = directory / "source"
    for name in ("bitcoind_mp", "man"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={directory}", str(source)]
    subprocess.run(pip, check=True, timeout=300)
    shutil.rmtree(source)


def _make_control_groups(name: str) -> list[Path]:
    """Groups of its own for one container, below ours, in each hierarchy that systemd uses: else two that run at once
    would take each other's services for their own. And in that of memory, to give the container less of it."""
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for place, kind in mounts:
            is_unified = kind.startswith("cgroup2 ") and not controllers
            is_wanted = controllers in ("name=systemd", "memory") and kind.startswith("cgroup ")
            if is_unified or (is_wanted and controllers in kind.split()[-1].split(",")):
                group = Path(place.split()[4], path.lstrip("/"), name)
                group.mkdir()
                made.append(group)
    return made


def _is_removed(group: Path) -> bool:
    """Remove a control group and those below it; False while a process in it hasn't quite ended."""
    try:
        for below in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            below.rmdir()
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


class Container:
    """Booted when made; `close` it."""

    def __init__(self, wheels: Path) -> None:
        self._mounted = tempfile.mkdtemp(prefix="bitcoind-mp-root-")
        self._groups = _make_control_groups(f"bitcoind-mp-{os.getpid()}-{Path(self._mounted).name[-8:]}")
        self._console = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by close)
        self._process = subprocess.Popen(
            _boot(self._mounted, *self._options(wheels)),
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
            env=_with(self._groups),
            start_new_session=True,
        )
        self.pid = 0
        try:
            self.pid = int(wait_until("the container has a first process", self._find_init, PATIENCE))
            wait_until("systemd is up", self._is_up, PATIENCE)
            self._install()
        except BaseException:
            self.close()
            raise

    def _options(self, wheels: Path) -> list[str]:
        libraries = sysconfig.get_path("purelib")
        return [
            f"--machine=bitcoind-mp-{os.getpid()}",
            *_NSPAWN,
            f"--bind-ro={libraries}:{_LIBRARIES}",
            f"--bind-ro={sys.base_prefix}:{_PYTHON}",
            f"--bind-ro={wheels}:{_WHEELS}",
            "--boot",
            "systemd.unit=basic.target",
        ]

    def _find_init(self) -> str:
        assert self._process.poll() is None, f"the container did not boot: {self.console()}"
        task = Path(f"/proc/{self._process.pid}/task/{self._process.pid}")
        for child in (task / "children").read_text().split():
            with suppress(OSError):  # systemd-nspawn has helpers at first, which end
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return child
        return ""

    def _is_up(self) -> bool:
        assert self._process.poll() is None, f"the container did not boot: {self.console()}"
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def console(self) -> str:
        """What systemd-nspawn and systemd wrote."""
        self._console.seek(0)
        return self._console.read()[-3000:]

    def close(self) -> None:
        """End it, and all that ran in it."""
        if self._process.poll() is None:
            self._process.kill()
            if self.pid:
                subprocess.run(["kill", "-KILL", str(self.pid)], check=False, capture_output=True)
        self._process.wait(PATIENCE)
        self._console.close()
        Path(self._mounted).rmdir()
        wait_until("nothing of it is left", lambda: all(map(_is_removed, self._groups)), PATIENCE)

    # What is in it

    def path(self, inside: str | Path) -> Path:
        """A path in the container, as it is reached from here."""
        return Path(f"/proc/{self.pid}/root") / str(inside).lstrip("/")

    def write(self, inside: str | Path, text: str, mode: int = 0o644) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in the container, as root."""
        done = subprocess.run(
            ["nsenter", "--all", f"--target={self.pid}", "--", *argv],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}{self.journal_text()}"
        return done

    def front_end(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """``bitcoin-mp`` as the service's account, as README.md calls it."""
        options = ("-conf=/etc/bitcoind-mp/bitcoin.conf", f"-datadir={DATA}")
        account = ("runuser", "-u", ACCOUNT, "--")
        return self.run(*account, str(PREFIX / "bin" / "bitcoin-mp"), *options, *words, check=check)

    def command_lines(self, text: str) -> list[str]:
        """Those of the container's processes in which ``text`` stands."""
        found = []
        for path in self.path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                found.append(path.read_text(errors="replace").replace("\0", " "))
        return [line for line in found if text in line]

    def memory_group(self) -> Path | None:
        """The control group (version 1) that all of it uses memory by, None where the machine has none."""
        return next((group for group in self._groups if (group / "memory.limit_in_bytes").exists()), None)

    # Services

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.run("systemctl", *words, check=check).stdout

    def properties(self, unit: str) -> dict[str, str]:
        lines = self.systemctl("show", unit).splitlines()
        return dict(line.partition("=")[::2] for line in lines)

    def main_pid(self, unit: str) -> int:
        """The unit's main process, as the container numbers it."""
        return int(self.properties(unit)["MainPID"])

    def until_active(self, unit: str) -> None:
        def is_active() -> bool:
            state = self.properties(unit)["ActiveState"]
            assert state != "failed", self.journal_text(unit)
            return state == "active"

        wait_until(f"{unit} is active", is_active, PATIENCE)

    def signal(self, name: str, pid: int) -> None:
        self.run("kill", f"-{name}", str(pid))

    def install_units(self) -> None:
        """All of them, their sockets where regtest has them."""
        for path in (*(ROOT / "systemd").glob("*.service"), *(ROOT / "systemd").glob("*.socket")):
            text = path.read_text()
            if path.suffix == ".socket":
                text = text.replace(f"ListenStream={DATA}/run/", f"ListenStream={DATA}/regtest/run/")
            self.write(f"/etc/systemd/system/{path.name}", text)

    def edit(self, unit: str, name: str, *lines: str) -> None:
        """What ``systemctl edit`` does: add these lines to a unit's service, as the drop-in ``name``."""
        self.write(f"/etc/systemd/system/{unit}.d/{name}.conf", "\n".join(["[Service]", *lines, ""]))
        self.systemctl("daemon-reload")

    # The journal

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """The entries that match, oldest first."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--output=json", "--all", *matches).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def journal_text(self, unit: str = "") -> str:
        """What a person reads."""
        chosen = [f"--unit={unit}"] if unit else []
        argv = ["nsenter", "--all", f"--target={self.pid}", "--", "journalctl", "--no-pager", "--lines=80", *chosen]
        return subprocess.run(argv, env=_ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE).stdout

    # Calls

    def call(self, socket: str, method: str, *params: Any, wallet: str | None = None) -> Any:
        """Call a server of regtest by its socket's name."""
        path = self.path(DATA / "regtest" / "run" / socket)
        return call(str(path), method, list(params), wallet=wallet, timeout=PATIENCE)

    def patiently(self, work: Callable[[], Any]) -> Any:
        """The work's result, however often a worker dies under a call that may be repeated."""

        def attempt() -> list[Any]:
            try:
                return [work()]
            except (Disconnected, OSError):
                return []
            except RpcError as error:
                if error.code in (-28, -9):  # still loading; the node is away
                    return []
                raise

        return wait_until("a worker answers", attempt, PATIENCE)[0]

    # Installing

    def _install(self) -> None:
        python = f"{_PYTHON}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
        if Path(sys.base_prefix, "lib", "libpython3.so").exists():
            self.write("/etc/ld.so.conf.d/test-python.conf", f"{_PYTHON}/lib\n")
            self.run("ldconfig")
        self.run(python, "-m", "venv", "--without-pip", str(PREFIX))
        own = Path(sysconfig.get_path("purelib", vars={"base": str(PREFIX), "platbase": str(PREFIX)}))
        self.write(own / "test-libraries.pth", f"{_LIBRARIES}\n")
        wheel = next(self.path(_WHEELS).glob("*.whl")).name
        pip = (str(PREFIX / "bin" / "python"), "-m", "pip", "install", "--quiet", "--root-user-action=ignore")
        self.run(*pip, "--no-deps", "--no-index", "--ignore-installed", f"{_WHEELS}/{wheel}")
        for kind, tool in (("sysusers", ["systemd-sysusers"]), ("tmpfiles", ["systemd-tmpfiles", "--create"])):
            text = (ROOT / "systemd" / f"bitcoind-mp.{kind}").read_text().replace("\n#d ", "\nd ")
            self.write(f"/usr/lib/{kind}.d/bitcoind-mp.conf", text)
            self.run(*tool, f"/usr/lib/{kind}.d/bitcoind-mp.conf")
        self.configure()
        self.install_units()
        self.systemctl("daemon-reload")

    def configure(self, *lines: str) -> None:
        """The service's bitcoin.conf: regtest, without peers, and these lines in regtest's section."""
        text = "\n".join(["regtest=1", "[regtest]", "listen=0", "fallbackfee=0.0002", "keypool=20", *lines, ""])
        self.write("/etc/bitcoind-mp/bitcoin.conf", text, 0o640)
        self.run("chgrp", ACCOUNT, "/etc/bitcoind-mp/bitcoin.conf")
