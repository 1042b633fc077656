"""Text from values, names and sources made harmless: what would steer a terminal is shown instead of obeyed."""

import re

# C0 and C1 controls, DEL, line and paragraph separators, bidirectional overrides and isolates, lone surrogates,
# and what no XML may hold.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff"
_UNSAFE = re.compile(f"[{_CONTROLS}]")
_UNSAFE_OR_BREAK = re.compile(f"[{_CONTROLS}\\t\\n]")
_SHORT = {"\n": "\\n", "\t": "\\t"}


def safe(text: str) -> str:
    """The text with its control characters written out (\\x1b, \\u202e); newlines and tabs are kept."""
    return _UNSAFE.sub(_escaped, text)


def safe_line(text: str) -> str:
    """The text as one line: newlines and tabs are written out as well."""
    return text if text.isprintable() else _UNSAFE_OR_BREAK.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
