"""Completions from live objects: names, what may stand after a dot, and what a call takes."""

import builtins
import inspect
import keyword
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

import torch

from tensorcli import diagnoses, report
from tensorcli.cursor import Spot, spot
from tensorcli.engine import about, arguments, namespace, pure, signatures, usage
from tensorcli.engine.about import Entry
from tensorcli.engine.peek import NOTHING, Scope, Seen, attributes, peek
from tensorcli.language import EXCEPTIONS

MAX_ITEMS = 2000
MAX_DETAIL = 100  # characters
_OF_VALUES = ("lambda", "not", "True", "False", "None")
_WORDS = {  # by what stands before them
    "nothing": ("assert", "del", "else", "elif", "except", "for", "if", "import", "pass", "return", "try", "while",
                "with", "def", "from", *_OF_VALUES),
    "operand": ("and", "as", "else", "for", "if", "in", "is", "not", "or"),
    "operator": _OF_VALUES,
}  # fmt: skip


def completions(request: report.Complete, scope: Scope) -> report.Completions:
    """What could stand at the cursor, best first. Nothing is run that could have an effect."""
    if request.of != "code":
        word = re.split(r"\s", request.text[: request.cursor])[-1]
        known = _codes() if request.of == "mistakes" else _variables(scope, word)
        return _matching(word, known, request.cursor - len(word))
    place, scope = spot(request.text, request.cursor), scope.at(request.text, request.cursor)
    return report.Completions(items=()) if place is None else _matching(place.word, _entries(place, scope), place.start)


def _matching(word: str, entries: Iterable[Entry], start: int) -> report.Completions:
    """The entries that go on with a word, each once: as it is written, then in any case."""
    known: dict[str, Entry] = {}
    for each in entries:
        known.setdefault(each.text, each)
    found = list(known.values())
    if word:
        folded = word.casefold()
        exact = [each for each in found if each.text.startswith(word) or each.key.startswith(word)]
        chosen = {each.text for each in exact}
        found = exact + [each for each in found if each.text not in chosen and each.text.casefold().startswith(folded)]
    return report.Completions(
        items=tuple(
            report.Completion(text=each.text, start=start, detail=_short(each.detail), label=each.label)
            for each in found[:MAX_ITEMS]
        )
    )


def _short(text: str) -> str:
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 3] + "..."


def _entries(place: Spot, scope: Scope) -> Iterator[Entry]:
    if place.importing is not None:
        yield from _imported(place.importing)
    elif place.quoted and place.owner is not None:
        yield from _quoted_keys(place.owner, scope)
    elif place.owner is not None:
        yield from _after_dot(place, scope)
    else:
        yield from _standing_alone(place, scope)


def _codes() -> list[Entry]:
    rules = {entry.code: entry.rule for entry in diagnoses.entries() if entry.example}
    return [Entry(code, rules[code]) for code in sorted(rules)]


# Names.


def _variables(scope: Scope, begun: str) -> list[Entry]:
    """The variables whose names begin so, latest first; the libraries are among them."""
    folded = begun.casefold()
    found = (name for name in reversed([*scope.names]) if name[0] not in "._" and name.casefold().startswith(folded))
    return [Entry(name, about.detail(scope.names[name])) for name in islice(found, MAX_ITEMS)]


def _builtins(place: Spot, scope: Scope) -> Iterator[Entry]:
    available: Mapping[str, Any] = vars(builtins) if scope.trust else namespace.BUILTINS
    for name in sorted(available):
        if name[0] not in "._" and name not in EXCEPTIONS and not keyword.iskeyword(name):
            yield Entry(name, about.help_of(available[name]))
    yield from map(Entry, _WORDS[place.behind])


def _imported(module: str) -> Iterator[Entry]:
    """The modules, or what can be imported from one."""
    if not module:
        yield from (Entry(name, "module") for name in sorted(namespace.MODULES))
    elif module in namespace.MODULES:
        yield from _of_space(module)


def _quoted_keys(owner: str, scope: Scope) -> Iterator[Entry]:
    """The keys of a dict that can be written as they are, within quotes."""
    for key, value in _keys(owner, scope).items():
        if type(key) is str and key.isprintable() and not {*key} & {*"\"'\\"}:
            yield Entry(key, about.detail(value))


def _whole_keys(owner: str, scope: Scope) -> Iterator[Entry]:
    """The keys of a dict as they are written in its brackets; a text is found by its beginning too."""
    for key, value in _keys(owner, scope).items():
        if type(key) in (str, int, float, bool, type(None)) and len(text := repr(key)) <= MAX_DETAIL:
            yield Entry(text, about.detail(value), key=key if type(key) is str else "")


def _keys(owner: str, scope: Scope) -> dict[Any, Any]:
    """The first items of a dict. (Types of the session's own may do anything when asked.)"""
    seen = peek(owner, scope)
    if seen and not seen.predicted and type(seen.value) in (dict, OrderedDict):
        return dict(islice(seen.value.items(), MAX_ITEMS))
    return {}


# After a dot.


def _after_dot(place: Spot, scope: Scope) -> list[Entry]:
    seen = peek(place.owner, scope) if place.owner else None
    if seen is None:
        return []
    if isinstance(seen.value, namespace.Namespace):
        found = [*_of_space(namespace.name_of(seen.value))]
    elif issubclass(seen.kind, torch.Tensor) and about.is_of_library(seen.kind) and not scope.trust:
        at_hand = {} if seen.value is NOTHING else _at_hand(seen, scope)
        found = [each._replace(detail=at_hand.get(each.text, each.detail)) for each in _of_kind(seen.kind)]
    else:
        found = [Entry(name, _of_attribute(seen, name, scope)) for name in _names(seen, scope)]
    if place.call and place.call.keyword == "dtype" and not place.call.written:
        found.sort(key=lambda each: not isinstance(getattr(torch, each.text, None), torch.dtype))
    return found


@cache
def _of_space(name: str) -> tuple[Entry, ...]:
    """What is in a namespace, which never changes."""
    space = namespace.MODULES[name]
    return tuple(
        Entry(each, about.entry(vars(space)[each]))
        for each in usage.ranked(name, [each for each in dir(space) if each[0] != "_"])
    )


@cache
def _of_kind(kind: type) -> tuple[Entry, ...]:
    """What all tensors of a type have."""
    names = attributes(Seen(kind), Scope({}, trust=False))
    return tuple(Entry(each, about.member(kind, each)) for each in usage.ranked("Tensor", names))


def _names(seen: Seen, scope: Scope) -> list[str]:
    names = usage.ranked(_group(seen), attributes(seen, scope))
    if issubclass(seen.kind, tuple):  # the fields of a named result come first
        names.sort(key=lambda name: inspect.isroutine(about.static(seen.kind, name)) or name.startswith("n_"))
    return names


def _group(seen: Seen) -> str:
    """Under which name `usage` has the owner of an attribute."""
    if isinstance(seen.value, namespace.Namespace):
        return namespace.name_of(seen.value)
    if inspect.ismodule(seen.value):
        return seen.value.__name__
    groups = {torch.Tensor: "Tensor", torch.nn.Module: "Module"}
    return next((group for kind, group in groups.items() if issubclass(seen.kind, kind)), "")


_METADATA = frozenset("shape dtype device ndim requires_grad is_leaf itemsize nbytes layout".split())
_VIEWS = frozenset("T mT grad real imag data grad_fn".split())


def _at_hand(seen: Seen, scope: Scope) -> dict[str, str]:
    """Lines about those attributes of a tensor that cost nothing."""
    names = _METADATA if seen.predicted else _METADATA | _VIEWS
    values = {name: _had(seen, name, scope) for name in names}
    return {name: about.entry(value) for name, value in values.items() if value is not NOTHING}


def _of_attribute(seen: Seen, name: str, scope: Scope) -> str:
    """A line about an attribute: its value where that is the object's own, else what it does."""
    if seen.value is not NOTHING and about.static(seen.kind, name) is None:
        value = _had(seen, name, scope)
        if value is not NOTHING:
            return about.entry(value)
    if about.is_of_library(seen.kind):
        return about.member(seen.kind, name)
    return about.help_of(about.static(seen.kind, name))


def _had(seen: Seen, name: str, scope: Scope) -> Any:
    try:
        return pure.attribute(seen.value, name, trust=scope.trust)
    except Exception:
        return NOTHING


# What stands by itself: names, and in a call what that takes.


def _standing_alone(place: Spot, scope: Scope) -> Iterator[Entry]:
    if place.indexed is not None:
        yield from _whole_keys(place.indexed, scope)
    called = peek(place.call.function, scope) if place.call else None
    ways = signatures.overloads(called.value) if called else ()
    fixed = list(arguments.values(place.call, ways, place, scope)) if place.call else []
    yield from fixed
    if place.quoted or (fixed and place.call and place.call.keyword and not place.word):
        return
    fresh = place.call and place.call.direct and not place.call.written and place.call.keyword is None
    keywords = list(arguments.keywords(place.call, ways, called)) if place.call and fresh else []
    if place.word or not arguments.wants_value(place.call, ways):
        yield from keywords
        keywords = []
    yield from (Entry(name) for name in reversed(scope.bound) if name[0] != "_")
    yield from _variables(scope, place.word)
    yield from keywords
    if place.word:
        yield from _builtins(place, scope)


def warm_up() -> None:
    """Read the documentation that the first completions would wait for, while nobody waits."""
    for name in namespace.MODULES:
        _of_space(name)
    _of_kind(torch.Tensor)
    _of_kind(torch.nn.Parameter)
