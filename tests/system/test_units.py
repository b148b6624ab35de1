"""systemd's own opinion of our units: ``systemd-analyze verify`` has nothing to say, and ``security`` little."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
PREFIX = "/opt/bitcoind-mp/bin"
#: Of 10. Not so little that it keeps anything from working: the container tests run under these settings.
MOST_EXPOSURE = 1.2

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def installed(directory: Path) -> list[Path]:
    """The units as an installation would have them, with the executables of this environment."""
    here = str(Path(sys.executable).parent)
    copies = []
    for unit in sorted(UNITS.glob("*.service")) + sorted(UNITS.glob("*.socket")):
        copy = directory / unit.name.replace("@", "@alice")
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


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_each_service_is_confined(unit: str, tmp_path: Path) -> None:
    copy = next(path for path in installed(tmp_path) if path.name == unit.replace("@", "@alice"))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze has no --offline")
    exposure = re.search(r"Overall exposure level for .*: (\d+\.\d+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= MOST_EXPOSURE, done.stdout


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


def test_one_of_two_ways_has_the_directory() -> None:
    """Workers as services of their own stop the supervisor's, and the other way round."""
    alone = {unit.name for unit in UNITS.glob("bitcoin-mp-*.service")}
    assert len(alone) == 3
    for name in alone:
        assert "\nConflicts=bitcoind-mp.service\n" in (UNITS / name).read_text(), name


def test_units_name_only_executables_that_are_installed() -> None:
    scripts = {"bitcoind-mp", "bitcoin-mp-node", "bitcoin-mp-wallet", "bitcoin-mp-signer", "bitcoin-mp"}
    for unit in UNITS.glob("*.service"):
        starts = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
        assert starts
        for line in starts:
            path = line.removeprefix("ExecStart=").split()[0]
            assert path.startswith(PREFIX + "/")
            assert path.rsplit("/", 1)[1] in scripts
