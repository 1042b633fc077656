"""The colours of what is typed. They are imported once the first prompt is drawn."""

from prompt_toolkit.document import Document
from prompt_toolkit.lexers import PygmentsLexer, SyntaxSync
from prompt_toolkit.styles import Style
from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]

from tensorcli.config import Background
from tensorcli.render import theme

NEAR = 40  # lines


class _Near(SyntaxSync):
    """Colours go by the lines just before: reading all of a long input at every key would be felt."""

    def get_sync_start_position(self, document: Document, lineno: int) -> tuple[int, int]:
        """Where to begin for this line."""
        return max(0, lineno - NEAR), 0


LEXER = PygmentsLexer(PythonLexer, sync_from_start=False, syntax_sync=_Near())
STYLES: dict[Background, Style] = {name: Style.from_dict(each) for name, each in theme.PROMPT.items()}
