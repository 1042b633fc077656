"""Makes the environment in .venv and says what it does on stderr; needs nothing but Python, and starts on Python 3.6.

The last thing written is .venv/made-from/root: an environment without it is half-made and is made again from nothing.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time

NEEDED = (3, 11)
PINS = ("constraints.txt", "pyproject.toml")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
MADE_FROM = os.path.join(VENV, "made-from")
MADE_IN = os.path.join(MADE_FROM, "root")


class Stop(Exception):
    """Why there can be no environment, in a sentence, and what to do."""


def main():
    """Make the environment, repair it, or do nothing where it is ready. The exit code."""
    try:
        if not is_ready():
            check_python()
            with one_at_a_time():
                if not is_ready():
                    make()
    except Stop as problem:
        say(str(problem))
        return 1
    except OSError as error:
        say(f"cannot make {error.filename or VENV}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next run begins again")
        return 130
    return 0


def say(sentence):
    """Tell the user something; stdout is left to the command that follows."""
    sys.stderr.write(f"tensorcli: {sentence}\n")
    sys.stderr.flush()


def check_python():
    """Raise Stop where this Python is too old, or cannot make environments."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < NEEDED:
        raise Stop(f"Python {NEEDED[0]}.{NEEDED[1]} or newer is needed, and {sys.executable} is Python {version}.")
    try:
        import ensurepip  # noqa: F401 - Debian keeps these two in a package of their own
        import venv  # noqa: F401
    except ImportError as error:
        raise Stop(
            f"{sys.executable} (Python {version}) has no module {error.name}, so it cannot make an environment.\n"
            "On Debian or Ubuntu: sudo apt install python3-venv\n"
            "Elsewhere: install a complete Python, or name one: TENSORCLI_PYTHON=/path/to/python3.11"
        ) from None


def is_ready():
    """Whether .venv was made to the end, here, from these pins."""
    made_in = read(MADE_IN)
    if made_in is None or made_in != marker() or not os.path.exists(PYTHON):
        return False
    return all(read(os.path.join(MADE_FROM, name)) == read(os.path.join(ROOT, name)) for name in PINS)


def marker():
    """What MADE_IN holds: scripts inside an environment name its place, so a moved one is not ready."""
    return os.fsencode(os.path.realpath(ROOT)) + b"\n"


def read(path):
    """The bytes of a file, or None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def write(path, content):
    """Put bytes into a file."""
    with open(path, "wb") as file:
        file.write(content)


@contextlib.contextmanager
def one_at_a_time():
    """Wait while another process sets up. Where files cannot be locked, go on without."""
    with open(os.path.join(ROOT, ".venv.lock"), "w") as file:
        if not lock(file, wait=False):
            say("another set-up is running here: waiting for it")
            lock(file, wait=True)
        yield


def lock(file, *, wait):
    """Lock a file until it is closed; False where another process has it, True where it is ours or cannot be locked."""
    if os.name == "nt":
        import msvcrt

        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False
                time.sleep(1)
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def make():
    """Make .venv from nothing, or bring a whole one to changed pins; the marker goes first and comes back last."""
    started = time.monotonic()
    pins = {name: read(os.path.join(ROOT, name)) for name in PINS}
    if read(MADE_IN) == marker() and os.path.exists(PYTHON):
        say("constraints.txt or pyproject.toml has changed: bringing .venv up to date")
        os.remove(MADE_IN)
        try:
            install()
        except Stop:
            write(MADE_IN, marker())  # pip changes nothing where it fails by itself: whole, and still not up to date
            raise
    else:
        again = "found an unfinished or moved .venv: making it again" if os.path.lexists(VENV) else "making .venv"
        version = ".".join(str(part) for part in sys.version_info[:3])
        say(f"{again} with Python {version} ({sys.executable}); this happens once and takes some minutes")
        remove(VENV)
        run([sys.executable, "-m", "venv", VENV], failure="the environment could not be made")
        install()
    os.makedirs(MADE_FROM, exist_ok=True)
    for name, content in pins.items():
        write(os.path.join(MADE_FROM, name), content)
    write(MADE_IN, marker())
    say(f"ready after {time.monotonic() - started:.0f} s")


def install():
    """Install this checkout and what it needs into .venv, at the pinned versions."""
    bar = [] if sys.stderr.isatty() else ["--progress-bar", "off"]
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *bar]
    run([*pip, "-c", "constraints.txt", "-e", ".[dev]"], failure="pip could not install the packages")


def remove(path):
    """Remove a folder, or whatever else is in its place."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def run(command, *, failure):
    """Run a command with its output on stderr. Raises Stop where it fails, with its last lines just above."""
    sys.stderr.flush()
    status = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), cwd=ROOT)
    if status != 0:
        raise Stop(
            f"{failure} (exit status {status}): its last lines, above, say why.\n"
            "It needs a network and some free disk; nothing unfinished is kept, and the next run begins again."
        )


if __name__ == "__main__":
    sys.exit(main())
