"""Where in a text the cursor is: the name begun before it, what stands before the dot, and the call it is in."""

import keyword
import re
from typing import Literal, NamedTuple

LONGEST = 20_000  # characters before the cursor; in a longer text nothing is looked for
NEAR = 5_000  # characters before the cursor that are enough, with the rest of their statement


class Argument(NamedTuple):
    """One argument of a call as written: its keyword, where it has one, and its text."""

    keyword: str | None
    text: str


class Call(NamedTuple):
    """A call that is being written. `before` are the arguments before the one at the cursor.

    `keyword` is that one's, where it has one; `written` is what stands of it before the name begun at the cursor.
    In a list or a parenthesis of the argument's, the call is not `direct`.
    """

    function: str
    before: tuple[Argument, ...]
    keyword: str | None
    written: str
    direct: bool

    @property
    def position(self) -> int:
        """How many arguments before the cursor have no keyword."""
        return sum(each.keyword is None for each in self.before)


class Spot(NamedTuple):
    """What is known of a place in a text: the name begun there, and where it starts.

    `owner` is the expression before the dot, "" where no value stands there, None where there is no dot.
    `importing` is the module that a member is imported from, "" where a module's own name is written.
    `quoted` says that `word` lies in a string: a key of the `owner`, where there is one.
    `indexed` is the expression whose item begins there, where its bracket has just been opened.
    `behind` is what of its statement stands right before it.
    """

    word: str
    start: int
    owner: str | None = None
    call: Call | None = None
    importing: str | None = None
    quoted: bool = False
    indexed: str | None = None
    behind: Literal["nothing", "operand", "operator"] = "operator"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


_PREFIX = r"(?<!\w)(?i:[rbfut]{0,2})"
_TOKEN = re.compile(
    rf'(?P<string>{_PREFIX}(?:"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\''
    r'|"(?!"")(?:\\.|[^"\\\n])*"|\'(?!\'\')(?:\\.|[^\'\\\n])*\'|""(?!")|\'\'(?!\')))'
    rf'|(?P<endless>{_PREFIX}(?:(?:"""|\'\'\').*|"(?:\\.|[^"\\\n])*|\'(?:\\.|[^\'\\\n])*))'
    r"|(?P<number>(?:\d|\.\d)(?:[eE][+-]\d|[\w.])*)|(?P<name>\w+)|(?P<newline>\n)"
    r"|(?P<space>(?:[^\S\n]|\\\n)+)|(?P<comment>#[^\n]*)|(?P<mark>.)",
    re.DOTALL,
)
_CONSTANTS = ("True", "False", "None")
_OPENING = "([{"
_CLOSING = ")]}"


class _Tokens:
    """The tokens of a text without blanks, the brackets that belong together, and those that are open at its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.all: list[_Token] = []
        self.partner: dict[int, int] = {}
        self.open: list[int] = []
        self.in_comment = False
        for match in _TOKEN.finditer(text):
            token = _Token(match.lastgroup or "", match[0], match.start(), match.end())
            self.in_comment = token.kind == "comment"
            if token.kind in ("space", "comment") or (token.kind == "newline" and self.open):
                continue
            if token.kind == "mark" and token.text in _OPENING:
                self.open.append(len(self.all))
            elif token.kind == "mark" and token.text in _CLOSING and self.open:
                opener = self.open.pop()
                self.partner[opener], self.partner[len(self.all)] = len(self.all), opener
            self.all.append(token)

    def between(self, first: int, end: int) -> str:
        """The text of the tokens from one to before another."""
        return self.text[self.all[first].start : self.all[end - 1].end] if first < end else ""

    def primary(self, end: int) -> int:
        """Where the name, constant, bracket, attribute, index or call begins that ends before `end`; `end` if none."""
        at = end
        while at:
            token = self.all[at - 1]
            if token.kind == "mark" and token.text in _CLOSING:
                if at - 1 not in self.partner:
                    return end
                at = self.partner[at - 1]
                if token.text != "}" and at and self._is_operand(at - 1):
                    continue
            elif token.kind == "string":
                while at and self.all[at - 1].kind == "string":
                    at -= 1
            elif self._is_operand(at - 1):
                at -= 1
            else:
                return end
            if not at or self.all[at - 1].text != ".":
                return at
            at -= 1
        return end

    def _is_operand(self, at: int) -> bool:
        token = self.all[at]
        if token.kind == "name":
            return not keyword.iskeyword(token.text) or token.text in _CONSTANTS
        return token.kind in ("string", "number") or (token.kind == "mark" and token.text in _CLOSING)

    def call(self, end: int) -> Call | None:
        """The innermost call that is open; what is begun at the cursor has its first token at `end`."""
        for opener in reversed(self.open):
            if self.all[opener].text != "(" or (first := self.primary(opener)) == opener:
                continue
            if first and self.all[first - 1].text in ("def", "class"):
                return None
            *before, (begin, _) = self._arguments(opener)
            arguments = tuple(self._argument(*each) for each in before)
            named = self._keyword(begin, len(self.all))
            begin += 2 if named else 0
            return Call(
                self.between(first, opener), arguments, named, self.between(begin, end), opener == self.open[-1]
            )
        return None

    def _arguments(self, opener: int) -> list[tuple[int, int]]:
        """Where the arguments of an open call begin and end, the last one at the end of the text."""
        found, begin, at, in_lambda = [], opener + 1, opener + 1, False
        while at < len(self.all):
            text = self.all[at].text
            if text == "lambda":
                in_lambda = True
            elif text == ":":
                in_lambda = False
            elif text == "," and not in_lambda:
                found.append((begin, at))
                begin = at + 1
            elif at in self.open:
                break
            at = self.partner.get(at, at) + 1
        return [*found, (begin, len(self.all))]

    def _argument(self, begin: int, end: int) -> Argument:
        named = self._keyword(begin, end)
        return Argument(named, self.between(begin + (2 if named else 0), end))

    def _keyword(self, begin: int, end: int) -> str | None:
        if end - begin < 2 or self.all[begin].kind != "name" or self.all[begin + 1].text != "=":
            return None
        return None if end - begin > 2 and self.all[begin + 2].text == "=" else self.all[begin].text

    def before(self, end: int) -> Literal["nothing", "operand", "operator"]:
        """What stands before `end` in its statement."""
        if self.statement(end) == end or (self.all[end - 1].text == ":" and not self.open):
            return "nothing"
        return "operand" if self._is_operand(end - 1) else "operator"

    def indexed(self, end: int) -> str | None:
        """The expression whose bracket of an index is the last token before `end`."""
        if not end or self.all[end - 1].text != "[" or (first := self.primary(end - 1)) == end - 1:
            return None
        return self.between(first, end - 1)

    def statement(self, end: int) -> int:
        """Where the statement begins that goes on at `end`."""
        while end and self.all[end - 1].kind != "newline" and self.all[end - 1].text != ";":
            end -= 1
        return end


def near(before: str) -> str:
    """The end of a long text, from a line at the margin on: all that a cursor at its end has to do with."""
    begin = len(before) - NEAR
    while begin > 0:
        begin = before.rfind("\n", 0, begin) + 1
        if before[begin] not in " \t\n#)]}":
            break
        begin -= 1
    return before[max(begin, 0) :]


def spot(text: str, cursor: int) -> Spot | None:
    """What is being written at `cursor`; None where no name can stand, as in a comment, a number or a string."""
    before = text[:cursor]
    if len(before) > LONGEST:
        return None
    tokens = _Tokens(before)
    if tokens.in_comment:
        return None
    last = tokens.all[-1] if tokens.all else None
    if last and last.kind == "endless":
        return _in_string(before, tokens, last)
    if last and last.kind in ("number", "string") and last.end == len(before):
        return None
    begun = last is not None and last.kind == "name" and last.end == len(before)
    end = len(tokens.all) - begun  # of the tokens before the name
    word, start = (last.text, last.start) if begun and last else ("", len(before))
    first = tokens.statement(end)
    if first < end and tokens.all[first].text in ("import", "from"):
        return _imported(tokens, first, end, word, start)
    owner, at = None, end
    if end and tokens.all[end - 1].text == ".":
        at = tokens.primary(end - 1)
        owner = tokens.between(at, end - 1)
    return Spot(word, start, owner, tokens.call(at), indexed=tokens.indexed(end), behind=tokens.before(end))


def bound(text: str, cursor: int) -> tuple[str, ...]:
    """The names that a text binds before the cursor, the latest last: assignments, loops, `as`, functions, parameters.

    What such a name is when the text has run may be something else than what the session has under it now.
    """
    if cursor > LONGEST:
        return ()
    tokens = _Tokens(text[:cursor])
    found: list[str] = []
    clause, parameters = "", [False]  # within `for` or `lambda`; whether brackets that are open are those of a def
    for at, token in enumerate(tokens.all):
        one, two, *_ = [each.text for each in reversed(tokens.all[max(at - 2, 0) : at])] + ["", ""]
        if token.kind == "mark" and token.text in _OPENING:
            parameters.append(two == "def")
        elif token.kind == "mark" and token.text in _CLOSING:
            parameters = parameters[:-1] or [False]
        elif token.text in ("for", "lambda", "in", ":"):
            clause = token.text
        elif token.text == "=" and one == ":":
            found.append(two)
        elif token.text == "=" and "=" not in (one, tokens.text[token.end : token.end + 1]) and len(parameters) == 1:
            found += _targets(tokens, at)
        elif token.kind == "name" and not keyword.iskeyword(token.text):
            listed = one in (",", "(", "*") and (parameters[-1] or clause in ("for", "lambda"))
            if listed or one in ("as", "def", "for", "lambda"):
                found.append(token.text)
    names = (name for name in reversed(found) if name.isidentifier() and not keyword.iskeyword(name))
    return tuple(dict.fromkeys(names))[::-1]


def _targets(tokens: _Tokens, at: int) -> list[str]:
    """The names before an = that it assigns to."""
    found = []
    while at and (tokens.all[at - 1].kind == "name" or tokens.all[at - 1].text == ","):
        at -= 1
        found.append(tokens.all[at].text)
    return [] if at and tokens.all[at - 1].text == "." else [each for each in reversed(found) if each != ","]


def call(text: str, cursor: int) -> Call | None:
    """The call that `cursor` is in, whatever is being written there."""
    if cursor > LONGEST:
        return None
    tokens = _Tokens(text[:cursor])
    return tokens.call(len(tokens.all))


def _in_string(before: str, tokens: _Tokens, last: _Token) -> Spot | None:
    """A place in a string that is not closed: in a field of an f-string, or the beginning of a value."""
    quote = re.match(r"\w*(\"\"\"|'''|.)", last.text, re.DOTALL)
    inside = last.text[quote.end() :] if quote else ""
    if quote and "f" in quote[0].lower() and (field := _field(inside)) is not None:
        found = spot(field, len(field))
        shift = len(before) - len(field)
        return found and found._replace(start=found.start + shift)
    if "\n" in inside or not tokens.open:
        return None
    at, opener = len(tokens.all) - 1, tokens.open[-1]
    if at == opener + 1 and (owner := tokens.indexed(at)) is not None:
        return Spot(inside, len(before) - len(inside), owner, quoted=True)
    call = tokens.call(at)
    return Spot(inside, len(before) - len(inside), None, call, quoted=True) if call else None


def _field(inside: str) -> str | None:
    """What stands in the field of an f-string that is open at its end."""
    depth: list[int] = []
    for match in re.finditer(r"\{\{|\}\}|[{}]", inside):
        if match[0] == "{" or (match[0] == "{{" and depth):
            depth.append(match.end())
        elif match[0] == "}" and depth:
            depth.pop()
    return inside[depth[-1] :] if depth else None


def _imported(tokens: _Tokens, first: int, end: int, word: str, start: int) -> Spot | None:
    """A place in an import, whose words are the tokens from `first` to before `end`."""
    words = [token.text for token in tokens.all[first:end]]
    if words[0] == "from" and "import" in words:
        module = "".join(words[1 : words.index("import")])
        return Spot(word, start, importing=module) if words[-1] in ("import", ",", "(") else None
    path = end
    while tokens.all[path - 1].text not in ("import", "from", ","):
        path -= 1
    if path == end:
        return Spot(word, start, importing="")
    if tokens.all[end - 1].text != ".":  # a second word
        return None
    return Spot(tokens.between(path, end) + word, tokens.all[path].start, importing="")


def named(text: str, cursor: int) -> str | None:
    """The expression that ends with the name at the cursor, or else the function of the call that it is in."""
    rest = re.match(r"\w*", text[cursor:])
    cursor += rest.end() if rest else 0
    found = spot(text, cursor)
    if found and found.word and found.owner != "" and not found.quoted:
        return f"{found.owner}.{found.word}" if found.owner else found.word
    if found and found.owner is not None:
        return found.owner or None
    around = call(text, cursor)
    return around.function if around else None
