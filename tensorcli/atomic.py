"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Put a file in its place once all of it is written; until then what was there stays. Raises OSError."""
    if path.exists() and not path.is_file():  # a pipe or a device
        path.write_bytes(data)
        return
    try:
        with replacing(path) as fresh:
            fresh.write_bytes(data)
    except PermissionError:  # a file of ours in a folder of others'
        if not path.exists():
            raise
        _write_over(path.resolve(), data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Within it, a file to write to; at its end that takes the place of `path`. Raises OSError."""
    path = path.resolve()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tensorcli.")
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _write_over(path: Path, data: bytes) -> None:
    """Write where no second file can be: what was there is put back where that fails."""
    before = path.read_bytes()
    try:
        path.write_bytes(data)
    except BaseException:
        path.write_bytes(before)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
