"""Diagnoses of names and attributes that are not there."""

import ast
import builtins
import keyword
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tensorcli import units
from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Unknown
from tensorcli.diagnoses.edits import argument_texts, atom, calling, change, is_tensor, parent, text_of
from tensorcli.diagnoses.messages import said
from tensorcli.diagnoses.words import distance, folded, near

_OUT_OF_REACH = "files, processes and Python's internals are out of reach: --trust lifts this for your own code"

# Where a bare name is looked for, and how it is written there.
_LIBRARIES = {
    "torch": "torch", "torch.nn.functional": "F", "torch.nn": "nn", "torch.optim": "torch.optim",
    "torch.linalg": "torch.linalg", "torch.nn.init": "nn.init", "torch.utils.data": "torch.utils.data",
    "torch.cuda": "torch.cuda", "torch.optim.lr_scheduler": "torch.optim.lr_scheduler", "torch.fft": "torch.fft",
    "torch.autograd": "torch.autograd", "torch.nn.utils": "nn.utils", "torch.nn.utils.rnn": "nn.utils.rnn",
    "torch.distributions": "torch.distributions", "torch.special": "torch.special", "torch.func": "torch.func",
    "math": "math", "numpy": "np", "numpy.random": "np.random", "torch.amp": "torch.amp",
}  # fmt: skip
_OTHER_WORDS = {
    "true": "True", "false": "False", "null": "None", "nil": "None", "none": "None", "NULL": "None",
    "undefined": "None", "numpy": "np", "pytorch": "torch", "Torch": "torch", "th": "torch", "functional": "F",
    "f": "F", "tf": "torch", "device": '"cpu"', "NaN": "torch.nan", "Infinity": "torch.inf", "puts": "print",
    "echo": "print", "printf": "print", "console": "print", "display": "print", "disp": "print", "length": "len",
    "numel": "torch.numel", "this": "self",
}  # fmt: skip
_PYTHON = """
    print len range sum max min abs round int float str bool list tuple dict set zip enumerate sorted reversed type
    isinstance map filter any all True False None
""".split()
# Arguments that are given in words: a bare name there has lost its quotes.
_TEXTS = {"reduction", "mode", "indexing", "padding_mode", "padding", "device", "nonlinearity", "activation", "norm",
          "approximate", "equation", "rounding_mode", "ord", "p", "side", "kind"}  # fmt: skip
_METHODS_OF_NUMBERS = 5  # at most this many of each source are proposed


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to `word`, or None where none is near."""
    return next(near(word, known), None)


# Names


def refused_builtin(failure: Failure) -> Finding | None:
    """One of Python's builtins that does no tensor work."""
    name = getattr(failure.error, "name", None)
    if isinstance(failure.error, NameError) and name in dir(builtins):
        return Finding(f"{name} is not tensor work", (_OUT_OF_REACH,))
    return None


def unknown_name(failure: Failure) -> Finding | None:
    """A variable that was never assigned, or a function written without its library."""
    if not isinstance(failure.error, NameError) or failure.error.name in dir(builtins):
        return None
    if isinstance(failure.error, UnboundLocalError):
        found = said(failure, "unbound")
        return Finding(f"{found[1] if found else 'a variable'} is used before this function gives it a value")
    name = failure.error.name or ""
    node = failure.node if isinstance(failure.node, ast.Name) else _name_node(failure, name)
    if dotted := _after_comma(failure, name, node):
        return dotted
    texts = list(dict.fromkeys(_texts_for_name(failure, name, node)))
    hint = next((text for text in texts if len(text) < 40), None)
    advice = f": import {name} first" if failure.place(name) and name != "numpy" else f": did you mean {hint}?"
    title = f"there is no variable {name}{advice if hint or failure.place(name) else ''}"
    return Finding(title, (), _name_edits(failure, name, node, texts))


def _after_comma(failure: Failure, name: str, node: ast.AST | None) -> Finding | None:
    """`torch,zeros(3)` and `x,mean()`: a comma where a dot is meant."""
    last = calling(failure, node) or node
    pair = parent(failure, last)
    if not isinstance(pair, ast.Tuple) or len(pair.elts) != 2 or pair.elts[1] is not last:
        return None
    owner, text = pair.elts[0], text_of(failure, pair)
    first, second = text_of(failure, owner), text_of(failure, pair.elts[1])
    if f"{first},{second}" not in text or name not in failure.attributes(failure.value(owner)):
        return None
    title = f"there is no variable {name}: {first}.{name} is written with a dot"
    return Finding(title, (), [change(failure, (pair, f"{first}.{second}"))])


def _name_node(failure: Failure, name: str) -> ast.AST | None:
    tree = failure.statement.node if failure.statement else ast.Pass()
    return next((node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name), None)


def _name_edits(failure: Failure, name: str, node: ast.AST | None, texts: list[str]) -> Iterator[Edit]:
    if node is None or failure.statement is None:
        return
    if failure.place(name) and name != "numpy":
        yield change(failure, (failure.statement.node, f"import {name}\n{failure.statement.source}"))
    called = calling(failure, node)
    if called and called.args and called.args[0] is not node:
        yield from _as_method(failure, name, called)
    same = [part for part in ast.walk(failure.statement.node) if isinstance(part, ast.Name) and part.id == name]
    for text in texts:
        yield change(failure, *((part, text) for part in same if isinstance(part.ctx, ast.Load)))


def _as_method(failure: Failure, name: str, called: ast.Call) -> Iterator[Edit]:
    """`shape(x)` as `x.shape`, where a tensor has it and torch has no function of that name."""
    value = failure.value(called.args[0]) if called.args else Unknown
    torch = failure.place("torch")
    if not is_tensor(value) or not hasattr(value, name) or (torch and name in failure.attributes(torch)):
        return
    owner, (_, *rest) = atom(failure, called.args[0]), argument_texts(failure, called)
    brackets = f"({', '.join(rest)})" if callable(getattr(type(value), name, None)) else ""
    yield change(failure, (called, f"{owner}.{name}{brackets}"))


def _texts_for_name(failure: Failure, name: str, node: ast.AST | None) -> Iterator[str]:
    """What may stand in the place of an unknown name, likeliest first."""
    variables = [*_local_names(failure), *(v for v in reversed(list(failure.names)) if v[0] not in "._" and v != "Out")]
    variables = [v for v in dict.fromkeys(variables) if v != name]
    called = calling(failure, node) is not None
    if _is_text_place(failure, name, node):
        yield f'"{name}"'
    close = list(near(name, variables, habits=False))
    yield from (v for v in close if folded(v) == folded(name))
    words = [word for word in _OTHER_WORDS if word == name or (len(word) > 4 and distance(word, name) == 1)]
    yield from (other := [_OTHER_WORDS[word] for word in words])
    if len(name) == 1:
        yield from _kin(name, variables)
        return
    exact = [text for text in _in_libraries(failure, name) if called or _could_stand(failure, node, text)]
    usual = [word for word in near(name, _PYTHON, habits=False) if _is_slip(name, word)]
    usual = [word for word in usual if called or _could_stand(failure, node, word)]
    certain = [word for word in usual if folded(word) == folded(name)]
    own = [text for text in exact if not text.startswith(("np.", "math."))]
    misspelt = [] if own or other or certain else list(_misspelt(failure, name, node))
    if own or other:  # a library has it: words that are only near it are not meant
        usual = certain
    else:
        exact = [*(misspelt[:2] if exact else []), *exact]
    if called:
        yield from [*certain, *exact, *usual, *misspelt[:2], *close, *misspelt]
    else:
        constant = not all(callable(_named(failure, text)) for text in exact)
        yield from [*certain, *(exact if constant else ()), *close[:1], *exact, *close[1:], *usual]
        yield from [*_kin(name, variables), *misspelt]
    yield from _kin(name, variables)


def _is_slip(name: str, word: str) -> bool:
    """Whether a word of Python's is meant: True, False and None have no near ones that begin otherwise."""
    return abs(len(word) - len(name)) < 2 and (word not in ("True", "False", "None") or word[0] == name[0].upper())


def _named(failure: Failure, text: str) -> Any:
    """What a library has under a text such as torch.nan."""
    library, _, name = text.rpartition(".")
    place = next((place for place, written in _LIBRARIES.items() if written == library), library)
    return getattr(failure.place(place), name, None)


def _local_names(failure: Failure) -> Iterator[str]:
    tree = failure.statement.node if failure.statement else ast.Pass()
    if isinstance(tree, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return  # what it assigns is not there yet
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def _kin(name: str, variables: list[str]) -> Iterator[str]:
    """Variables that share a part of the name: `loss` for `train_loss`, `x` for `x1`."""
    parts = set(re.findall(r"[a-z]+", name.lower()))
    yield from (v for v in variables if parts & set(re.findall(r"[a-z]+", v.lower())) and not keyword.iskeyword(v))


def _is_text_place(failure: Failure, name: str, node: ast.AST | None) -> bool:
    above = parent(failure, node)
    if isinstance(above, ast.keyword):
        return above.arg in _TEXTS and name not in ("device",)
    if isinstance(above, ast.Subscript) and above.slice is node:
        owner = failure.value(above.value)
        return isinstance(owner, dict) and any(isinstance(key, str) and folded(key) == folded(name) for key in owner)
    if isinstance(above, ast.Call) and isinstance(above.func, ast.Attribute):
        return name in ("cuda", "cpu", "mps", "meta") and above.func.attr in ("to", "device")
    return False


def _in_libraries(failure: Failure, name: str) -> Iterator[str]:
    """`F.relu` for `relu`: the libraries that have exactly this name, and its spelling with other capitals."""
    tables = {place: set(failure.attributes(space)) for place in _LIBRARIES if (space := failure.place(place))}
    order = list(_LIBRARIES)
    if name[:1].isupper():
        order.sort(key=lambda place: place not in ("torch.nn", "torch.optim"))
    elif name in tables.get("torch.nn.functional", ()):
        order.sort(key=lambda place: place != "torch.nn.functional")
    yield from (f"{_LIBRARIES[place]}.{name}" for place in order if name in tables.get(place, ()))
    for place in order[:4]:
        same = (known for known in sorted(tables.get(place, ())) if known.lower() == name.lower() and known != name)
        yield from (f"{_LIBRARIES[place]}.{known}" for known in same)


# What people call their own variables: these are not torch.less, torch.atan and torch.mode misspelt.
_ORDINARY = frozenset(
    "loss losses attn model models data net mask masks head heads label labels batch pred preds logits target test "
    "targets output outputs inputs input hidden feature features score scores weights bias step steps acc".split()
)


def _could_stand(failure: Failure, node: ast.AST | None, text: str) -> bool:
    """Whether what a library has can stand in the place of a name: no function where a value is computed with."""
    value, above = _named(failure, text) or getattr(builtins, text, None), parent(failure, node)
    if isinstance(above, ast.Subscript | ast.Attribute) and isinstance(value, type):
        return True
    computed = isinstance(above, ast.BinOp | ast.UnaryOp | ast.Compare | ast.Subscript | ast.Attribute)
    return not computed or not callable(value)


def _misspelt(failure: Failure, name: str, node: ast.AST | None) -> Iterator[str]:
    if len(name) < 3 or name in _ORDINARY:
        return
    used = calling(failure, node) is not None or isinstance(parent(failure, node), ast.keyword)
    words: dict[str, str] = {}
    for place in ("torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.linalg"):
        space = failure.place(place)
        for word in failure.attributes(space) if space else ():
            words.setdefault(word, f"{_LIBRARIES[place]}.{word}")
    found = [word for word in near(name, words) if used or distance(name.lower(), word.lower()) <= 1]
    yield from (words[word] for word in found[:4] if used or _could_stand(failure, node, words[word]))


# Attributes


def unknown_attribute(failure: Failure) -> Finding | None:
    """An attribute or method that the value does not have."""
    if not isinstance(failure.error, AttributeError):
        return None
    match = said(failure, "no attribute")
    name = failure.error.name or (match and match["name"])
    if not name:
        return None
    owner = failure.error.obj
    if owner is None and failure.call and failure.call.form == "attribute" and failure.call.arguments:
        owner = failure.call.arguments[0].value
    owner = None if owner is Unknown else owner
    space = match and match["space"]
    what = space or (units.one(type(owner).__name__) if owner is not None else "this value")
    node = failure.node if isinstance(failure.node, ast.Attribute) and failure.node.attr == name else None
    edits = list(_attribute_edits(failure, node, owner, name)) if node else []
    hint = _hint(failure, owner, name, edits)
    return Finding(f"{what} has no {name}{f': did you mean {hint}?' if hint else ''}", (), edits)


def _hint(failure: Failure, owner: Any, name: str, edits: list[Edit]) -> str | None:
    if owner is None:
        return None
    changed = [edit.changes[0] for edit in edits if edit.changes]
    if not changed and not _is_space(failure, owner):
        return did_you_mean(name, failure.attributes(owner))
    if _is_space(failure, owner):
        changed = [one for one in changed if one[1] is failure.node]
    first = changed[0][2] if changed else ""
    inside = isinstance(failure.node, ast.Attribute) and text_of(failure, failure.node.value)
    return first.removeprefix(f"{inside}.") or None


def _is_space(failure: Failure, owner: Any) -> bool:
    return type(owner).__name__ in ("Namespace", "module")


def _attribute_edits(failure: Failure, node: ast.Attribute, owner: Any, name: str) -> Iterator[Edit]:
    """Edits of `owner.name`, likeliest first."""
    called = calling(failure, node)
    known = list(failure.attributes(owner)) if owner is not None else []
    close = list(near(name, known))
    same = [word for word in close if folded(word) == folded(name)]
    if owner is not None and _is_space(failure, owner):
        yield from _as_numpy(failure, node, name)
        yield from _elsewhere(failure, node, name, called, same)
    yield from _templates(failure, node, owner, name, called)
    if is_tensor(owner) and called and not same:
        yield from _as_function(failure, node, name, called)
    for word in close[:_METHODS_OF_NUMBERS]:
        yield from _attribute_as(failure, node, owner, word, called)
    if owner is not None and _is_space(failure, owner):
        yield from (change(failure, (node, text)) for text in _in_libraries(failure, name) if text.startswith("np."))


def _attribute_as(
    failure: Failure, node: ast.Attribute, owner: Any, word: str, called: ast.Call | None
) -> Iterator[Edit]:
    """Another attribute in the place of the unknown one, with or without brackets as it needs them."""
    text = f"{text_of(failure, node.value)}.{word}"
    method = callable(getattr(owner if _is_space(failure, owner) else type(owner), word, None))
    if called and not method and is_tensor(owner):
        arguments = argument_texts(failure, called)
        yield change(failure, (called, f"{text}[{arguments[0]}]" if arguments and word == "shape" else text))
    elif not called and method and not _is_space(failure, owner):
        above = parent(failure, node)
        if isinstance(above, ast.Subscript) and above.value is node and word == "size":
            yield change(failure, (above, f"{text_of(failure, node.value)}.shape[{text_of(failure, above.slice)}]"))
        yield change(failure, (node, f"{text}()"))
    else:
        yield change(failure, (node, text))


def _elsewhere(
    failure: Failure, node: ast.Attribute, name: str, called: ast.Call | None, same: list[str]
) -> Iterator[Edit]:
    """What another module has under this name, this one with other capitals, or a tensor as a method."""
    given = [failure.value(part) for part in called.args] if called else []
    of_tensors = any(is_tensor(value) for value in given)
    owner = text_of(failure, node.value)
    texts = [f"{owner}.{word}" for word in same] + [
        text for text in _in_libraries(failure, name) if text != f"{owner}.{name}" and not text.startswith("np.")
    ]
    is_class = {text: text.rpartition(".")[2][:1].isupper() for text in texts}
    texts.sort(key=lambda text: (is_class[text] == of_tensors if called else False, text.rpartition(".")[2] != name))
    if called and given and is_tensor(given[0]) and hasattr(given[0], name):
        yield from _as_method(failure, name, called)
    if called and name in _PYTHON:
        yield change(failure, (node, name))
    yield from (change(failure, (node, text)) for text in texts)


# What NumPy calls torch's functions.
_NUMPY = {
    "cat": "concatenate", "tensor": "array", "unsqueeze": "expand_dims", "clamp": "clip", "rand": "random.rand",
    "randn": "random.randn", "randint": "random.randint", "permute": "transpose", "numel": "size", "view": "reshape",
    "mul": "multiply", "sub": "subtract", "div": "divide", "mm": "matmul", "bmm": "matmul", "pow": "power",
    "remainder": "mod", "topk": "argpartition", "randperm": "random.permutation", "manual_seed": "random.seed",
    "neg": "negative", "gather": "take_along_axis", "nonzeros": "nonzero", "norm": "linalg.norm", "inv": "linalg.inv",
    "det": "linalg.det", "svd": "linalg.svd", "ndarray": "array", "list": "array", "chunk": "array_split",
}  # fmt: skip


def _as_numpy(failure: Failure, node: ast.Attribute, name: str) -> Iterator[Edit]:
    owner = text_of(failure, node.value)
    if owner in ("np", "numpy") and name in _NUMPY:
        yield change(failure, (node, f"{owner}.{_NUMPY[name]}"))


def _as_function(failure: Failure, node: ast.Attribute, name: str, called: ast.Call) -> Iterator[Edit]:
    """`F.one_hot(x)` for `x.one_hot()`."""
    arguments = [text_of(failure, node.value), *argument_texts(failure, called)]
    if name in _PYTHON:
        yield change(failure, (called, f"{name}({', '.join(arguments)})"))
    for text in _in_libraries(failure, name):
        if text.startswith(("torch.", "F.")):
            yield change(failure, (called, f"{text}({', '.join(arguments)})"))


# What is written in another way here: {x} is the object, {first} and {rest} the arguments of the call.
_CALLED_OTHERWISE = {
    "len": ("len({x})",),
    "length": ("len({x})", "{x}.numel()"),
    "print": ("print({x})",),
    "append": ("torch.cat([{x}, {first}])", "torch.stack([{x}, {first}])"),
    "concatenate": ("torch.cat([{x}, {first}]{rest})",),
    "concat": ("torch.cat([{x}, {first}]{rest})",),
    "extend": ("torch.cat([{x}, {first}])",),
    "cat": ("torch.cat([{x}, {first}]{rest})", "torch.cat({x}{rest})"),
    "stack": ("torch.stack([{x}, {first}]{rest})",),
    "hstack": ("torch.hstack([{x}, {first}])",),
    "vstack": ("torch.vstack([{x}, {first}])",),
    "zero_grad": ("{x}.grad.zero_()",),
    "head": ("{x}[:{first}]", "{x}[:5]"),
    "to_numpy": ("{x}.numpy()", "{x}.detach().numpy()"),
    "has_key": ("{first} in {x}",),
    "push": ("{x}.append({first})",),
    "add": ("{x}.append({first})",),
    "push_back": ("{x}.append({first})",),
    "lr": ('{x}.param_groups[0]["lr"]',),
    "learning_rate": ('{x}.param_groups[0]["lr"]',),
}
_OTHERWISE = {"length": ("len({x})", "{x}.numel()"), "len": ("len({x})",), "lr": ('{x}.param_groups[0]["lr"]',)}


def _templates(failure: Failure, node: ast.Attribute, owner: Any, name: str, called: ast.Call | None) -> Iterator[Edit]:
    text = atom(failure, node.value)
    if isinstance(owner, dict) and name in owner:
        yield change(failure, (node, f'{text}["{name}"]'))
    if _is_space(failure, owner):
        return
    if called and name == "astype":
        yield from _astype(failure, called, text)
    arguments = argument_texts(failure, called) if called else []
    fields = {"x": text, "first": arguments[0] if arguments else "", "rest": "".join(f", {a}" for a in arguments[1:])}
    templates = (_CALLED_OTHERWISE if called else _OTHERWISE).get(name, ())
    for template in templates:
        if "{first}" not in template or arguments:
            yield change(failure, (called or node, template.format(**fields)))
    torch: Any = failure.place("torch")
    if is_tensor(owner) and called and not arguments and type(getattr(torch, name, None)).__name__ == "dtype":
        yield change(failure, (called, f"{text}.to(torch.{name})"))
    if isinstance(owner, (list, tuple, str, dict)) and name in _PYTHON:
        yield change(failure, (called or node, f"{name}({text})"))


def _astype(failure: Failure, called: ast.Call, text: str) -> Iterator[Edit]:
    if len(called.args) == 1:
        for name in dtype_names(failure, called.args[0]):
            yield change(failure, (called, f"{text}.to({name})"))


_DTYPES = {
    "float": ("float32", "float64"), "int": ("int64", "int32"), "str": (), "f4": ("float32",), "f8": ("float64",),
    "i4": ("int32",), "i8": ("int64",), "u1": ("uint8",), "integer": ("int64", "int32"), "boolean": ("bool",),
    "fp32": ("float32",), "fp16": ("float16",), "bf16": ("bfloat16",), "float_": ("float64",), "int_": ("int64",),
    "bool_": ("bool",), "single": ("float32",), "complex": ("complex64",), "FloatTensor": ("float32",),
    "LongTensor": ("int64",), "IntTensor": ("int32",), "DoubleTensor": ("float64",), "number": ("float32",),
}  # fmt: skip


def dtype_names(failure: Failure, node: ast.expr) -> Iterator[str]:
    """`torch.float32` for a dtype that was given as text, as NumPy's, or as one of Python's types."""
    torch: Any = failure.place("torch")
    if isinstance(node, ast.Attribute) and isinstance(failure.value(node), torch.dtype):
        yield text_of(failure, node)
        return
    match node:
        case ast.Constant(value=str(word)):
            written = word.rpartition(".")[2]
        case ast.Attribute(attr=word) | ast.Name(id=word):
            written = word
        case _:
            written = str(failure.value(node))
    names = [*(_DTYPES.get(written, ()) if not isinstance(node, ast.Constant) else ()), written]
    names += _DTYPES.get(written, ())
    table = [key for key in failure.attributes(torch) if type(getattr(torch, key, None)).__name__ == "dtype"]
    if written not in table and written not in _DTYPES:
        names += list(near(written, table, habits=False))[:3]
    found: dict[Any, str] = {}
    for name in names:
        if name in table:
            found.setdefault(getattr(torch, name), f"torch.{name}")
    yield from found.values()


# Imports


def unknown_import(failure: Failure) -> Finding | None:
    """`import torch.nn.functionnal`, `from torch.nn import functionnal`: a name that a module does not have."""
    error, tree = failure.error, failure.statement.node if failure.statement else None
    for node in ast.walk(tree) if isinstance(error, ImportError) and tree else ():
        aliases = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        names = [f"{module}.{name}" for name in aliases] if failure.place(module) else [str(getattr(error, "name", ""))]
        for name in names if aliases else ():
            holder, _, last = name.rpartition(".")
            space = failure.place(holder)
            known = failure.attributes(space) if space else ()
            if last in known or not space:
                continue
            close = list(near(last, known))[:3]
            title = f"{holder} has no {last}{f': did you mean {holder}.{close[0]}?' if close else ''}"
            texts = (re.sub(rf"\b{last}\b", word, text_of(failure, node)) for word in close)
            return Finding(title, (), [change(failure, (node, text)) for text in texts])
    return None


ENTRIES = (
    Entry(
        "unknown-import",
        "name",
        unknown_import,
        "import torch.nn.functionnal as F",
        "An import names modules, and the names in them, exactly as they are spelt: torch.nn.functional.",
    ),
    Entry(
        "refused",
        "refused",
        refused_builtin,
        "open('notes.txt')",
        "What is typed here does tensor work and nothing else; --trust lifts this for code of your own.",
    ),
    Entry(
        "unknown-name",
        "name",
        unknown_name,
        "tensor_a + 1",
        "A name is a variable that was assigned before; torch's functions are written torch.sum, F.relu, nn.Linear.",
    ),
    Entry(
        "unknown-attribute",
        "name",
        unknown_attribute,
        "torch.rand(3).shpae",
        "Layers that hold weights are classes in nn, functions without state are in F and torch, dtypes in torch.",
    ),
)
