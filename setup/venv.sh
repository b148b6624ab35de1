#!/bin/sh
# Make the virtual environment that the Makefile works in: `sh setup/venv.sh DIR`.
# Looks for CPython 3.11 or 3.12 (the kernel bindings and LevelDB have wheels for these), or takes $PYTHON.
set -eu
venv=$1

usable() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c '
import sys, ensurepip, venv
sys.exit(not (sys.implementation.name == "cpython" and (3, 11) <= sys.version_info[:2] <= (3, 12)))
' >/dev/null 2>&1
}

python=
for candidate in ${PYTHON:-} python3.12 python3.11 python3 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3; do
    if usable "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "make: no usable CPython 3.11 or 3.12 found (with venv). On Debian or Ubuntu:" >&2
    echo "      apt-get install python3.11 python3.11-venv    (or python3.12; or set PYTHON=/path/to/python)" >&2
    exit 1
fi
echo "Setting up $venv with $("$python" --version) (once; a minute or two) ..."
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
# An editable install compiles nothing, and where PYTHONDONTWRITEBYTECODE is set each start would do it over again.
"$venv/bin/python" -m compileall -q bitcoind_mp
