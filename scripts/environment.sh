# Sourced by the scripts beside it, which set $here: gives $root and $python, the checkout's own environment.
# Nothing but comparisons happens once .venv is made from these very files; else setup.py makes or repairs it.

root=${here%/*}
python=$root/.venv/bin/python
made_from=$root/.venv/made-from

is_ready() {
    [ -x "$python" ] && [ -f "$made_from/root" ] && IFS= read -r made_in <"$made_from/root" &&
        [ "$made_in" = "$root" ] &&
        cmp -s "$root/constraints.txt" "$made_from/constraints.txt" &&
        cmp -s "$root/pyproject.toml" "$made_from/pyproject.toml"
}

# The first Python that is new enough and starts: a version manager's stand-in for one may be there and not start.
find_python() {
    for candidate in ${TENSORCLI_PYTHON:+"$TENSORCLI_PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && return
        [ -z "${TENSORCLI_PYTHON:-}" ] || break
    done
    candidate=${TENSORCLI_PYTHON:-python3}
    found=$("$candidate" -c 'import platform; print("is Python " + platform.python_version())' 2>/dev/null) ||
        found="does not start"
    echo "tensorcli: Python 3.11 or newer is needed, and $candidate $found." >&2
    echo "Install a newer Python, or name one: TENSORCLI_PYTHON=/path/to/python3.11" >&2
    exit 1
}

if ! is_ready; then
    find_python
    "$candidate" "$here/setup.py" || exit
fi
