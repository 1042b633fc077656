"""The scripts that set up: quick when nothing changed, clear when something is missing, never half-made."""

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PINS = ("constraints.txt", "pyproject.toml")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these are the scripts of a POSIX shell")

# A Python that makes an environment of copies of itself at once and writes down what it was told to do.
STAND_IN = """#!/bin/sh
case "$1 ${{2:-}} ${{3:-}}" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo venv >>"{log}"; exit ;;
    "-m pip "*) echo pip >>"{log}"; {pip}; exit ;;
    */setup.py*) exec "{python}" "{runner}" "$0" "$@" ;;
    "-c "*) exec "{python}" "$@" ;;
esac
for argument; do printf '<%s>' "$argument"; done
echo
"""

# setup.py as the stand-in would run it: what it starts again is the stand-in.
RUNNER = """
import runpy, sys
sys.executable, sys.argv = sys.argv[1], sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Checkout:
    """A copy of the scripts and pins, and on its PATH a python3 that only pretends."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a check out"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.bin.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in PINS:
            shutil.copy(ROOT / name, self.root / name)
        (folder / "runner.py").write_text(RUNNER)
        self.put_python("true")

    def put_python(self, pip: str) -> None:
        """Put python3 on the PATH; `pip` is the shell that its pip runs."""
        runner = self.root.parent / "runner.py"
        script(self.bin / "python3", STAND_IN.format(log=self.log, pip=pip, python=sys.executable, runner=runner))

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command, as `scripts/tensorcli ARGS`, with nothing of ours on the PATH."""
        program = self.root / command[0] if "/" in command[0] else command[0]
        return subprocess.run(
            [program, *command[1:]],
            cwd=cwd or self.root,
            env={"PATH": f"{self.bin}:/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def done(self) -> list[str]:
        """What was made, since the last time this was asked."""
        lines = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


def script(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    assert checkout.run("scripts/tensorcli").returncode == 0
    assert checkout.done == ["venv", "pip"]
    return checkout


def test_the_first_run_sets_up_and_runs(checkout):
    first = checkout.run("scripts/tensorcli", "inspect", "x @ w", "-s", "")
    assert (first.returncode, first.stdout) == (0, "<-P><-m><tensorcli><inspect><x @ w><-s><>\n")
    assert "making .venv with Python" in first.stderr
    assert "ready after" in first.stderr
    assert checkout.done == ["venv", "pip"]


def test_a_later_run_only_runs(ready):
    (ready.root / "scripts" / "setup.py").unlink()
    (ready.bin / "python3").unlink()
    later = ready.run("scripts/tensorcli", "devices")
    assert (later.returncode, later.stdout, later.stderr) == (0, "<-P><-m><tensorcli><devices>\n", "")
    assert ready.done == []


def test_from_another_folder_and_through_links(ready, tmp_path):
    folder = tmp_path / "else where"
    folder.mkdir()
    (folder / "absolute").symlink_to(ready.root / "scripts" / "tensorcli")
    (folder / "relative").symlink_to(os.path.relpath(ready.root / "scripts" / "tensorcli", folder))
    (folder / "chain").symlink_to("relative")
    for name in ("absolute", "relative", "chain"):
        seen = ready.run(str(folder / name), "--version", cwd=folder)
        assert (seen.stdout, seen.stderr) == ("<-P><-m><tensorcli><--version>\n", "")
    assert ready.run("sh", "tensorcli", cwd=ready.root / "scripts").stdout == "<-P><-m><tensorcli>\n"
    assert ready.done == []


def test_test_gives_its_arguments_to_pytest(ready):
    assert ready.run("scripts/test", "-k", "a b").stdout == "<-m><pytest><-k><a b>\n"


@pytest.mark.parametrize("name", PINS)
def test_changed_pins_are_noticed_once(ready, name):
    with (ready.root / name).open("a") as file:
        file.write("# changed\n")
    changed = ready.run("scripts/tensorcli")
    assert "has changed: bringing .venv up to date" in changed.stderr
    assert (changed.returncode, changed.stdout) == (0, "<-P><-m><tensorcli>\n")
    assert ready.done == ["pip"]
    assert ready.run("scripts/tensorcli").stderr == ""


def test_changed_pins_without_a_network_leave_what_is_there(ready):
    (ready.root / "constraints.txt").write_text("torch==99\n")
    script(ready.root / ".venv" / "bin" / "python", "#!/bin/sh\necho 'ERROR: no network'; exit 1\n")
    failed = ready.run("scripts/tensorcli")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "ERROR: no network\ntensorcli: pip could not install the packages (exit status 1)" in failed.stderr
    shutil.copy(ROOT / "constraints.txt", ready.root)
    assert ready.run("scripts/tensorcli").stderr == ""


def test_a_set_up_that_fails_is_not_taken_for_a_whole_one(checkout):
    checkout.put_python("echo 'ERROR: no network'; false")
    failed = checkout.run("scripts/tensorcli")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "ERROR: no network\ntensorcli: pip could not install the packages (exit status 1)" in failed.stderr
    checkout.put_python("true")
    again = checkout.run("scripts/tensorcli")
    assert again.returncode == 0
    assert "unfinished or moved .venv: making it again" in again.stderr
    assert checkout.done == ["venv", "pip", "venv", "pip"]


@pytest.mark.parametrize("killed", ["made-from/root", "made-from/constraints.txt", "made-from", "bin/python", "bin"])
def test_a_half_made_environment_is_made_whole(ready, killed):
    path = ready.root / ".venv" / killed
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = ready.run("scripts/tensorcli")
    assert (again.returncode, again.stdout) == (0, "<-P><-m><tensorcli>\n")
    assert ready.done[-1:] == ["pip"]
    assert ready.run("scripts/tensorcli").stderr == ""


def test_something_else_in_its_place_is_no_environment(checkout):
    (checkout.root / ".venv").write_text("not a folder")
    assert checkout.run("scripts/tensorcli").stdout == "<-P><-m><tensorcli>\n"


def test_a_moved_checkout_is_set_up_again(ready):
    ready.root = ready.root.rename(ready.root.with_name("moved"))
    assert ready.run("scripts/tensorcli").stdout == "<-P><-m><tensorcli>\n"
    assert ready.done == ["venv", "pip"]


def test_two_started_at_once_set_up_once(checkout, tmp_path):
    started, go = tmp_path / "started", tmp_path / "go"
    os.mkfifo(started)
    os.mkfifo(go)
    checkout.put_python(f'echo x >"{started}"; read -r _ <"{go}"')
    with background(checkout) as first:
        started.read_text()  # the first one is in the middle of it
        with background(checkout) as second:
            assert second.stderr.readline() == "tensorcli: another set-up is running here: waiting for it\n"
            go.write_text("on\n")
            assert [process.communicate()[0] for process in (first, second)] == ["<-P><-m><tensorcli>\n"] * 2
    assert checkout.done == ["venv", "pip"]


@contextmanager
def background(checkout: Checkout) -> Iterator["subprocess.Popen[str]"]:
    """scripts/tensorcli while the test goes on; whatever is left of it at the end is ended."""
    process = subprocess.Popen(
        [checkout.root / "scripts" / "tensorcli"],
        env={"PATH": f"{checkout.bin}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_python_that_is_too_old(checkout):
    script(checkout.bin / "python3", '#!/bin/sh\ncase "$2" in *platform*) echo is Python 3.9.6 ;; *) exit 1 ;; esac\n')
    failed = checkout.run("scripts/tensorcli", PATH=f"{checkout.bin}:{tools(checkout)}")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("tensorcli: Python 3.11 or newer is needed, and python3 is Python 3.9.6.\n")


def test_no_python_at_all(checkout):
    (checkout.bin / "python3").unlink()
    failed = checkout.run("scripts/tensorcli", PATH=tools(checkout))
    assert failed.returncode == 1
    assert failed.stderr.startswith("tensorcli: Python 3.11 or newer is needed, and python3 does not start.\n")


def test_a_newer_python_beside_one_that_is_too_old(checkout):
    (checkout.bin / "python3").rename(checkout.bin / "python3.12")
    script(checkout.bin / "python3", "#!/bin/sh\nexit 1\n")
    found = checkout.run("scripts/tensorcli", PATH=f"{checkout.bin}:{tools(checkout)}")
    assert found.stdout == "<-P><-m><tensorcli>\n"


def test_a_python_that_is_named_is_the_only_one_tried(checkout):
    failed = checkout.run("scripts/tensorcli", TENSORCLI_PYTHON="/no/such/python")
    assert failed.returncode == 1
    assert "and /no/such/python does not start" in failed.stderr


def tools(checkout: Checkout) -> str:
    """A folder with what a shell script needs and no Python."""
    folder = checkout.root.parent / "tools"
    folder.mkdir()
    for name in ("sh", "cmp", "dirname", "readlink", "cp", "mkdir"):
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


@pytest.fixture
def setup():
    spec = importlib.util.spec_from_file_location("setup_of_tensorcli", ROOT / "scripts" / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_setup_says_which_python_it_needs(setup, monkeypatch):
    monkeypatch.setattr(setup.sys, "version_info", (3, 10, 4))
    with pytest.raises(setup.Stop, match=r"Python 3\.11 or newer is needed, and .* is Python 3\.10\.4\."):
        setup.check_python()


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_setup_says_what_debian_leaves_out(setup, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(setup.Stop, match=f"has no module {module}") as stopped:
        setup.check_python()
    assert "sudo apt install python3-venv" in str(stopped.value)


def test_an_interrupted_set_up_ends_quietly(setup, monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "is_ready", interrupt)
    assert setup.main() == 130
    assert capsys.readouterr().err == "tensorcli: interrupted; the next run begins again\n"
