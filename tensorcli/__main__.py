"""The `tensorcli` command, and `python -m tensorcli`."""

import os
import sys
import warnings
from typing import NoReturn


def main() -> NoReturn:
    """Run the command. A mistake of ours ends in one sentence."""
    from tensorcli.opening import at_terminal, ended, seed_or_any, unwritten

    warnings.simplefilter("ignore", SyntaxWarning)  # of what is only read: what runs tells its own
    try:
        if asks_for_a_prompt():
            sys.exit(ended(lambda: at_terminal(seed=seed_or_any())))
        from tensorcli.cli import app  # with the parser of arguments, which takes a while

        sys.exit(app(prog_name="tensorcli"))
    except OSError as error:
        sys.exit(unwritten(error))
    except Exception as error:
        fault = f"tensorcli made a mistake of its own: {type(error).__name__}: {str(error)[:300]!r}"
        sys.stderr.write(f"error: {fault}\nPlease report it, with the command you ran.\n")
        sys.exit(1)


def asks_for_a_prompt() -> bool:
    """Whether it is `tensorcli` or `tensorcli repl` at a terminal, and no shell that asks for completions."""
    at_terminal = sys.stdin is not None and sys.stdin.isatty()
    return sys.argv[1:] in ([], ["repl"]) and at_terminal and "_TENSORCLI_COMPLETE" not in os.environ


if __name__ == "__main__":
    main()
