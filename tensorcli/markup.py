"""Code that stands in something else: in Markdown's fences, in a notebook's cells."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_FENCE = re.compile(r"^( {0,3})(`{3,}(?!.*`)|~{3,})\s*([\w+-]*)")
_LANGUAGES = {"python", "py", "python3", "pycon", "ipython", "ipython3"}


class Fence(NamedTuple):
    """The lines between two marks in Markdown; `line` is the number (from 1) of the first of them."""

    line: int
    text: str
    language: str
    closed: bool

    @property
    def is_python(self) -> bool:
        """Whether it says so."""
        return self.language in _LANGUAGES


def fences(text: str) -> Iterator[Fence]:
    """All fences of a Markdown text, in order. One that is never closed goes on to the end."""
    mark, indent, language, first, body = "", 0, "", 0, list[str]()
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        found = _FENCE.match(line)
        if mark:
            if found and found[2].startswith(mark) and not line.strip(" `~"):
                yield Fence(first, "\n".join(body), language, closed=True)
                mark = ""
            else:
                body.append(line[min(indent, len(line) - len(line.lstrip())) :])
        elif found:
            mark, indent, language = found[2], len(found[1]), found[3].lower()
            first, body = number + 1, []
    if mark:
        yield Fence(first, "\n".join(body), language, closed=False)


def notebook(text: str) -> list[str]:
    """The code cells of a notebook, in order. Raises ValueError where it is no JSON, KeyError where it has no cells."""
    import json  # the first prompt needs none

    try:
        found: list[dict[str, Any]] = json.loads(text)["cells"]
        sources = [cell["source"] for cell in found if cell["cell_type"] == "code"]
        return ["".join(source) if isinstance(source, list) else str(source) for source in sources]
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except TypeError as error:
        raise KeyError("cells") from error
