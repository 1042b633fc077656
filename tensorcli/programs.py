"""The user's own programs, as environment variables name them."""

import os
import shlex
import shutil


def command(wanted: str) -> list[str]:
    """A command line in its words, or the one program that it names as a whole: a path may have blanks."""
    whole = shutil.which(wanted)
    if whole:
        return [whole]
    try:
        return [part.strip("\"'") for part in shlex.split(wanted, posix=os.name != "nt")]
    except ValueError:  # a quote that is never closed: there is no such program
        return [wanted]
