"""`confine`, in processes of its own: what each may do before and after."""

import subprocess
import sys
from pathlib import Path

import pytest

from bitcoind_mp.sandbox import landlock

PREAMBLE = """
import os, signal, socket, sys, threading
from pathlib import Path
from bitcoind_mp.sandbox import Confinement, Mode, confine
own, other, mode = Path(sys.argv[1]), Path(sys.argv[2]), Mode(sys.argv[3])
"""
CONFINED = PREAMBLE + "found = confine(Confinement(write=(own,), unix=True, apart=(other,)), mode)\n"


def run(program: str, tmp_path: Path, mode: str = "auto") -> subprocess.CompletedProcess[str]:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir(exist_ok=True)
    other.mkdir(exist_ok=True)
    (other / "secret").write_text("hush")
    return subprocess.run(
        [sys.executable, "-c", program, str(own), str(other), mode], capture_output=True, text=True, timeout=30
    )


@pytest.fixture(autouse=True)
def _needs_landlock() -> None:
    if landlock.version() < 6:
        pytest.skip("this kernel has no Landlock of ABI 6 or later")


REFUSED = {
    "read a file elsewhere": "(other / 'secret').read_text()",
    "list a directory elsewhere": "os.listdir(other)",
    "write elsewhere": "(other / 'new').write_text('x')",
    "remove elsewhere": "(other / 'secret').unlink()",
    "cut short elsewhere": "os.truncate(other / 'secret', 0)",
    "rename out of its place": "(own / 'f').write_text('x'); (own / 'f').rename(other / 'f')",
    "change a mode": "os.chmod(other, 0o777)",
    "make a link that leads elsewhere": "(own / 'link').symlink_to(other)",
    "execute": "os.execv('/bin/true', ['true'])",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "fork": "os.fork() or os._exit(0)",
    "open an internet socket": "socket.socket(socket.AF_INET)",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "signal its group": "os.killpg(0, 0)",
}
ALLOWED = {
    "write in its place": "(own / 'd').mkdir(); (own / 'd' / 'f').write_text('x'); (own / 'd' / 'f').rename(own / 'f')",
    "link in its place": "(own / 'a').write_text('x'); (own / 'e').mkdir(); os.link(own / 'a', own / 'e' / 'b')",
    "make a Unix socket": "socket.socket(socket.AF_UNIX)",
    "make a pair of sockets": "socket.socketpair()",
    "start a thread": "t = threading.Thread(target=int); t.start(); t.join()",
    "import late": "import decimal, wave",
    "signal itself": "os.kill(os.getpid(), 0)",
    "read its status": "Path('/proc/self/status').read_text()",
    "get random bytes": "os.urandom(8)",
}


@pytest.mark.parametrize("what", REFUSED.values(), ids=list(REFUSED))
def test_it_is_refused_and_works_without(what: str, tmp_path: Path) -> None:
    confined = run(CONFINED + what, tmp_path)
    assert confined.returncode == 1
    assert any(word in confined.stderr for word in ("PermissionError", "OSError", "not permitted")), confined.stderr
    free = run(CONFINED + what, tmp_path, "off")
    assert free.returncode == 0, free.stderr


@pytest.mark.parametrize("what", ALLOWED.values(), ids=list(ALLOWED))
def test_it_goes_on_working(what: str, tmp_path: Path) -> None:
    done = run(CONFINED + what, tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_is_there_is_told(tmp_path: Path) -> None:
    done = run(CONFINED + "print(found.active, found.missing)", tmp_path, "strict")
    assert f"Landlock (ABI {landlock.version()})" in done.stdout, done.stderr
    assert "'seccomp') ()" in done.stdout


def test_off_says_so(tmp_path: Path) -> None:
    assert run(CONFINED + "print(found)", tmp_path, "off").stdout == (
        "Protections(active=(), missing=('everything: -sandbox=off',))\n"
    )


BAD = PREAMBLE + "found = confine(Confinement(write=(own.parent,), apart=(other,)), mode)\nprint(found.missing)"


def test_strict_refuses_a_place_that_is_within_reach(tmp_path: Path) -> None:
    done = run(BAD, tmp_path, "strict")
    assert "FatalError: -sandbox=strict: " in done.stderr
    assert f"{tmp_path}/other is not out of reach: it lies within {tmp_path}" in done.stderr
    assert "lies within" in run(BAD, tmp_path, "auto").stdout


def test_threads_that_exist_already_are_a_defect(tmp_path: Path) -> None:
    start = "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    done = run(PREAMBLE + start + "confine(Confinement(), mode)", tmp_path)
    assert "RuntimeError" in done.stderr


def test_a_killed_process_still_prints_its_stacks(tmp_path: Path) -> None:
    done = run("import faulthandler\nfaulthandler.enable()\n" + CONFINED + "os.abort()", tmp_path)
    assert done.returncode == -6
    assert "Fatal Python error: Aborted" in done.stderr


TOLD = """
from bitcoind_mp.service.notify import Notifier
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("\\0bitcoind-mp-test-" + str(os.getpid()))
if os.fork() == 0:
    notifier = Notifier("@bitcoind-mp-test-" + str(os.getppid()))
    confine(Confinement(write=(own,), unix=True), mode)
    notifier.ready()
    try:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect("\\0bitcoind-mp-test-" + str(os.getppid()))
    except PermissionError:
        notifier.status("no other can")
    os._exit(0)
manager.settimeout(30)
print(manager.recv(100), manager.recv(100))
"""


def test_a_manager_in_the_abstract_namespace_is_told_and_nobody_else_there(tmp_path: Path) -> None:
    done = run(PREAMBLE + TOLD, tmp_path)
    assert done.stdout == "b'READY=1' b'STATUS=no other can'\n", done.stderr
