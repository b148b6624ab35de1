"""systemd's own opinion of our units: ``systemd-analyze verify`` has nothing to say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
PREFIX = "/opt/bitcoind-mp/bin"

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def installed(directory: Path) -> list[Path]:
    """The units as an installation would have them, with the executables of this environment."""
    here = str(Path(sys.executable).parent)
    copies = []
    for unit in sorted(UNITS.glob("*.service")) + sorted(UNITS.glob("*.socket")):
        copy = directory / unit.name
        copy.write_text(unit.read_text().replace(PREFIX, here))
        copies.append(copy)
    return copies


def test_units_verify_clean(tmp_path: Path) -> None:
    units = installed(tmp_path)
    assert units
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)], capture_output=True, text=True, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "bitcoin" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize(
    ("tool", "arguments", "file"),
    [
        ("systemd-sysusers", ["--dry-run"], "bitcoind-mp.sysusers"),
        ("systemd-tmpfiles", ["--create", "--dry-run"], "bitcoind-mp.tmpfiles"),
    ],
)
def test_sysusers_and_tmpfiles_parse(tool: str, arguments: list[str], file: str, tmp_path: Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([tool, *arguments, str(UNITS / file)], capture_output=True, text=True, timeout=60)
    if "unrecognized option" in done.stderr:
        pytest.skip(f"this {tool} has no --dry-run")
    assert done.returncode == 0, done.stderr


def test_units_name_only_executables_that_are_installed() -> None:
    scripts = {"bitcoind-mp", "bitcoin-mp-node", "bitcoin-mp-wallet", "bitcoin-mp"}
    for unit in UNITS.glob("*.service"):
        starts = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
        assert starts
        for line in starts:
            path = line.removeprefix("ExecStart=").split()[0]
            assert path.startswith(PREFIX + "/")
            assert path.rsplit("/", 1)[1] in scripts
