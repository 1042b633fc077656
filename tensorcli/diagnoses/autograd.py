"""Diagnoses of gradients: backward of many numbers, twice, or without a graph; changes in place that it forbids."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import (
    argument_texts,
    atom,
    brackets,
    called_with,
    change,
    dtype_of,
    innermost,
    is_tensor,
    keyword,
    made_by,
    parent,
    renamed,
    shape,
    suffix,
    suffixed,
    text_of,
    with_keyword,
)
from tensorcli.diagnoses.messages import said
from tensorcli.language import Statement

_LOSSES = ("loss", "cross_entropy", "kl_div", "Loss")


def _differentiated(failure: Failure) -> Operand | None:
    """What backward was asked of."""
    call = failure.call
    return call.argument(0, "outputs", "tensors") if call else None


# Backward of many numbers.


def non_scalar(failure: Failure) -> Finding | None:
    """backward() of a tensor of more than one number."""
    output = _differentiated(failure)
    if not said(failure, "implicit grad") or output is None or failure.call is None:
        return None
    sizes = shape(output)
    what = f"{output.text if len(output.text) < 40 else 'this'} is {brackets(sizes)}" if sizes else "these are many"
    return Finding(f"backward starts from one number, and {what}", (), _scalar_edits(failure, output))


def _scalar_edits(failure: Failure, output: Operand) -> Iterator[Edit]:
    node, call = failure.node, failure.call
    given = call.argument(1, "gradient", "grad_tensors") if call and call.name == "backward" else None
    if given is not None and given.node is not None and is_tensor(output.value):
        if isinstance(given.value, list | tuple):
            yield change(failure, (given, f"torch.tensor({given.text})"), title="as a tensor")
            yield change(failure, (given, f"torch.tensor({given.text}, dtype=torch.float32)"), title="as a tensor")
        yield change(failure, (given, f"torch.ones_like({output.text})"), title="a weight for each number")
    means = any(word in _history_text(failure, output) for word in _LOSSES)
    outputs = output.node.elts if isinstance(output.node, ast.List | ast.Tuple) else [output.node]
    for name in ("mean", "sum") if means else ("sum", "mean"):
        pairs = [(part, f"{atom(failure, part)}.{name}()") for part in outputs if part is not None]
        if given is not None and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield change(failure, (node, f"{pairs[0][1]}.backward()"), title=f"the {name} of all")
        else:
            yield change(failure, *pairs, title=f"the {name} of all")
    if isinstance(node, ast.Call) and len(outputs) == 1 and output.node is not None and given is None:
        name = "grad_outputs" if call and call.name == "grad" else "gradient"
        text = with_keyword(text_of(failure, node), f"{name}=torch.ones_like({output.text})")
        yield change(failure, (node, text), title="a weight of 1 for each number")


def _history_text(failure: Failure, output: Operand) -> str:
    found = made_by(failure, output)
    return output.text + (found[0].source if found else "")


# Backward twice.


def twice(failure: Failure) -> Finding | None:
    """backward() through a graph whose values are freed."""
    if not said(failure, "second backward"):
        return None
    notes = (
        "backward frees the values it needed; retain_graph=True keeps them, computing the loss again makes new ones",
    )
    title = "this graph was freed by an earlier backward"
    return Finding(title, notes, _again_edits(failure))


def _again_edits(failure: Failure) -> Iterator[Edit]:
    node = failure.node
    if not isinstance(node, ast.Call) or failure.statement is None:
        return
    loop = _loop_around(failure, node)
    if loop is not None:
        yield from _each_round(failure, loop, node)
    if loop is not None and _trains(loop):
        return  # a kept graph, or one made before the loop, is of weights that are no more
    retained = _retaining(failure, node)
    earlier = [
        part
        for part in ast.walk(failure.statement.node)
        if isinstance(part, ast.Call) and _is_backward(part) and part is not node
    ]
    if earlier:
        yield change(failure, *[(part, _retaining(failure, part)) for part in earlier], title="keep the graph")
    yield change(failure, (node, retained), title="keep the graph")
    output = _differentiated(failure)
    if output is None or output.node is None:
        return
    for depth in (1, 2, 3, 4):
        again = _computed_again(failure, output.node, depth)
        for kept in (True, False) if loop else (False,):
            changed = ((failure.statement, node, retained),) if kept else ()
            yield Edit(again + changed, "computed again") if again else Edit(())


def _each_round(failure: Failure, loop: ast.For | ast.While, node: ast.Call) -> Iterator[Edit]:
    """What a loop computes once computed at each of its steps, and what goes on from step to step detached."""
    inner = innermost(failure)
    stored = {part.id for part in _names_in(loop.body) if isinstance(part.ctx, ast.Store)}
    carried = [
        part
        for step in ast.walk(loop)
        if isinstance(step, ast.Assign)
        for part in _names_in([step.value])
        if part.id in {target.id for target in _names_in(step.targets)} and _is_made(failure, part.id)
    ]
    if carried:
        yield change(failure, *[(part, f"{part.id}.detach()") for part in carried], title="each step by itself")
    output = _differentiated(failure)
    if output is None or output.node is None or inner is None or inner.lineno == loop.lineno:
        return
    for depth in (1, 2, 3, 4):
        texts = [text for written, _, text in _computed_again(failure, output.node, depth)]
        if texts and not any(name in stored for name in _bound_by(texts)):
            lines = f"\n{' ' * inner.col_offset}".join([*texts, text_of(failure, inner)])
            yield change(failure, (inner, lines), title="computed at each step")


def _names_in(parts: Iterable[ast.AST]) -> Iterator[ast.Name]:
    return (name for part in parts for name in ast.walk(part) if isinstance(name, ast.Name))


def _bound_by(texts: list[str]) -> Iterator[str]:
    return (name.id for name in _names_in(map(ast.parse, texts)) if isinstance(name.ctx, ast.Store))


def _trains(loop: ast.For | ast.While) -> bool:
    """Whether a loop changes what its loss is computed from: it calls an optimizer's step, or changes in place."""
    return any(
        isinstance(part, ast.AugAssign)
        or (isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "step")
        for part in ast.walk(loop)
    )


def _is_backward(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("backward", "grad")


def _retaining(failure: Failure, call: ast.Call) -> str:
    text = text_of(failure, call)
    return text if keyword(call, "retain_graph") else with_keyword(text, "retain_graph=True")


def _loop_around(failure: Failure, node: ast.AST) -> ast.For | ast.While | None:
    above = parent(failure, node)
    while above is not None and not isinstance(above, ast.For | ast.While):
        above = parent(failure, above)
    return above


Changes = tuple[tuple[Statement, ast.AST, str], ...]


def _computed_again(failure: Failure, node: ast.AST, depth: int) -> Changes:
    """The definitions of the variables that an expression uses and autograd made, in the order to run them in."""
    found: dict[str, Statement] = {}

    def visit(part: ast.AST, left: int) -> None:
        for name in ast.walk(part):
            if not isinstance(name, ast.Name) or name.id in found or left == 0:
                continue
            value = failure.value(ast.Name(name.id, ast.Load()))
            if is_tensor(value) and value.grad_fn is not None and (written := failure.definition(name.id)):
                visit(getattr(written.node, "value", written.node), left - 1)
                found.setdefault(name.id, written)

    visit(node, depth)
    unique = {written.source: written for written in found.values()}
    return tuple((written, written.node, written.source) for written in unique.values())


# Backward without a graph.


def no_graph(failure: Failure) -> Finding | None:
    """backward() of something that no parameter took part in."""
    if not said(failure, "no grad") or failure.call is None:
        return None
    output = _differentiated(failure)
    named = output.text if output and len(output.text) < 40 else "this"
    title = f"{named} has no gradient: {_why_cut(failure, output)}"
    asked = _asked(failure)
    if "not have been used" in failure.message:
        title = f"{asked} took no part in {named}: there is no gradient with respect to it"
    elif "differentiated Tensors" in failure.message:
        title = f"{asked} does not require gradients: nothing is differentiated with respect to it"
    return Finding(title, (), _graph_edits(failure, output))


def _asked(failure: Failure) -> str:
    """The input of torch.autograd.grad that the failure is about."""
    given = failure.call.argument(1, "inputs") if failure.call else None
    node = given.node if given else None
    parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node] if node else []
    index = re.search(r"Tensor at index (\d+)", failure.message)
    plain = [part for part in parts if is_tensor(value := failure.value(part)) and not value.requires_grad]
    parts = parts[int(index[1]) :] if index else plain
    return text_of(failure, parts[0]) if parts else "one of the tensors"


def _graph_edits(failure: Failure, output: Operand | None) -> Iterator[Edit]:
    node, call = failure.node, failure.call
    if "not have been used" in failure.message and isinstance(node, ast.Call):
        unused = change(failure, (node, with_keyword(text_of(failure, node), "allow_unused=True")), title="None for it")
        yield unused
        if output is not None and output.node is not None:  # the failing call may have freed the graph
            yield Edit(_computed_again(failure, output.node, 3) + unused.changes, "None for it")
    yield from _without_cut(failure, node)
    yield from _without_no_grad(failure, node)
    yield from _classified(failure, node)
    if output is not None and output.node is not None:
        yield from _definitions_uncut(failure, output.node)
    roots = [part.node for part in (*(call.arguments if call else ()), *(call.keywords.values() if call else ()))]
    yield from _blocks_before(failure, [root for root in roots if root is not None])
    leaves, between = _leaves(failure, [root for root in roots if root is not None])
    yield from _requiring(failure, leaves, between)


def _why_cut(failure: Failure, output: Operand | None) -> str:
    """The step at which what was computed lost its graph."""
    here = [(failure.statement, failure.node)] if failure.statement and failure.node else []
    pairs = [*here, *_definitions_behind(failure, output.node if output else None)]
    for written, node in pairs:
        for part in ast.walk(node):
            text = " ".join(written.place_of(part).text.split()) if isinstance(part, ast.expr) else ""
            cut = _last_step(text) if part in _cut_off(failure, node) else ""
            if cut and _requires(failure, part):
                return f"{cut} cut it off from what requires_grad"
            if isinstance(part, ast.Compare | ast.Call) and (kind := _counts(failure, part)):
                return (
                    f"{text if len(text) < 40 else 'a step'} is {kind}, and only floating-point numbers have gradients"
                )
    if (
        failure.statement
        and any(_without_no_grad(failure, failure.node))
        and _requires(failure, failure.statement.node)
    ):
        return "it is computed without gradients here"
    if output is not None and output.node is not None and _requires(failure, output.node):
        return "it was computed without gradients, or cut off from what requires_grad"
    return "nothing it was computed from has requires_grad=True"


def _last_step(text: str) -> str:
    """`.detach()` of `(x * 2).detach()`; all of `torch.tensor(x)`."""
    found = re.search(r"\.\w+(?:\(\))?$", text)
    return found[0] if found else text


def _counts(failure: Failure, part: ast.expr) -> str:
    """The dtype of whole numbers or truth values that an operation gave for numbers that require gradients."""
    value = failure.value(part)
    if not is_tensor(value) or value.is_floating_point() or value.is_complex() or not _requires(failure, part):
        return ""
    inner = [child for child in ast.walk(part) if child is not part and isinstance(child, ast.Compare | ast.Call)]
    return "" if any(_counts(failure, child) for child in inner) else dtype_of(value)


def _requires(failure: Failure, node: ast.AST) -> bool:
    """Whether something that an expression is computed from requires gradients: a tensor or a layer's parameter."""
    nodes = [node, *(inner for _, inner in _definitions_behind(failure, node))]
    values = [failure.value(ast.Name(name.id, ast.Load())) for name in _names_in(nodes)]
    tensors = chain.from_iterable(
        value.parameters() if hasattr(value, "parameters") and not isinstance(value, type) else [value]
        for value in values
    )
    return any(is_tensor(value) and value.requires_grad for value in tensors)


def _definitions_behind(failure: Failure, node: ast.AST | None) -> Iterator[tuple[Statement, ast.AST]]:
    """The definitions of the variables behind an expression that have no graph, the last first."""
    waiting, seen = [node] if node is not None else [], set()
    while waiting:
        for name in _names_in([waiting.pop(0)]):
            value: Any = None if name.id in seen else failure.value(ast.Name(name.id, ast.Load()))
            seen.add(name.id)
            if is_tensor(value) and not value.requires_grad and (written := failure.definition(name.id)):
                inner = getattr(written.node, "value", written.node)
                waiting.append(inner)
                yield written, inner


def _cut_off(failure: Failure, node: ast.AST | None) -> list[ast.AST]:
    """The pieces of an expression that cut it off from its graph: x.detach(), x.data, torch.tensor(x)."""
    found: list[ast.AST] = []
    for part in ast.walk(node) if node else ():
        match part:
            case ast.Call(func=ast.Attribute(attr="detach" | "item"), args=[]):
                found.append(part)
            case ast.Attribute(attr="data"):
                found.append(part)
            case ast.Call(func=ast.Attribute(attr="tensor"), args=[first]) if is_tensor(failure.value(first)):
                found.append(part)
    return found


def _uncut(part: ast.AST, text: Any) -> str:
    match part:
        case ast.Call(func=ast.Attribute(attr="tensor"), args=[first]):
            return str(text(first))
        case ast.Call(func=ast.Attribute(value=owner)) | ast.Attribute(value=owner):
            simple = isinstance(owner, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
            return str(text(owner)) if simple else f"({text(owner)})"
    return str(text(part))


def _without_cut(failure: Failure, node: ast.AST | None) -> Iterator[Edit]:
    pieces = _cut_off(failure, node)
    if pieces:
        yield change(
            failure, *[(part, _uncut(part, lambda inner: text_of(failure, inner))) for part in pieces],
            title="not cut off from its graph",
        )  # fmt: skip


def _cut_definitions(failure: Failure, node: ast.AST | None) -> list[tuple[Statement, list[ast.AST]]]:
    """The definitions behind an expression, first to last, and where they cut it off from its graph."""
    pairs = [(written, _cut_off(failure, inner)) for written, inner in _definitions_behind(failure, node)][::-1]
    return pairs if any(pieces for _, pieces in pairs) else []


def _definitions_uncut(failure: Failure, node: ast.AST) -> Iterator[Edit]:
    changes: list[tuple[Statement, ast.AST, str]] = []
    for written, pieces in _cut_definitions(failure, node):
        if pieces:
            changes += [(written, p, _uncut(p, lambda inner, w=written: w.place_of(inner).text)) for p in pieces]
        elif changes:
            changes.append((written, written.node, written.source))
    if changes:
        yield Edit(tuple(changes), "not cut off from its graph")


def _is_no_grad(node: ast.AST, text: Any) -> bool:
    """Whether this is a block without gradients."""
    return isinstance(node, ast.With) and any(
        word in text(item.context_expr) for item in node.items for word in ("no_grad", "inference_mode")
    )


def _blocks_before(failure: Failure, roots: list[ast.expr]) -> Iterator[Edit]:
    """An earlier block without gradients that computed what is needed, without that."""
    wanted = {name.id for root in roots for name in ast.walk(root) if isinstance(name, ast.Name)}
    for written in reversed(list(failure.history())):
        node = written.node
        if not isinstance(node, ast.With) or not _is_no_grad(node, lambda part, w=written: w.place_of(part).text):
            continue
        stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        if stored & wanted:
            texts = [_dedented(written.place_of(part).text, part.col_offset) for part in node.body]
            yield Edit(((written, node, "\n".join(texts)),), "with gradients")


def _without_no_grad(failure: Failure, node: ast.AST | None) -> Iterator[Edit]:
    """The block of `with torch.no_grad():` without it."""
    above = parent(failure, node)
    while above is not None:
        if isinstance(above, ast.With) and any(
            "no_grad" in text_of(failure, item.context_expr) or "inference_mode" in text_of(failure, item.context_expr)
            for item in above.items
        ):
            lines = [text_of(failure, part) for part in above.body]
            indent = " " * above.col_offset
            body = f"\n{indent}".join(_dedented(line, above.body[0].col_offset - above.col_offset) for line in lines)
            yield change(failure, (above, body), title="with gradients")
        above = parent(failure, above)


def _dedented(text: str, by: int) -> str:
    first, *rest = text.split("\n")
    return "\n".join([first, *(line[by:] if line[:by].isspace() else line for line in rest)])


def _classified(failure: Failure, node: ast.AST | None) -> Iterator[Edit]:
    """`F.cross_entropy(logits, labels)` for the accuracy, which has no gradient."""
    for part in ast.walk(node) if node else ():
        match part:
            case ast.Compare(left=ast.Call(func=ast.Attribute(value=owner, attr="argmax")), comparators=[labels]):
                if is_tensor(failure.value(owner)) or isinstance(owner, ast.Call):
                    text = f"F.cross_entropy({text_of(failure, owner)}, {text_of(failure, labels)})"
                    yield change(failure, (node, f"{text}.backward()"), title="a loss that has gradients")


Leaf = tuple[str, Statement, ast.expr]


def _leaves(failure: Failure, roots: list[ast.expr]) -> tuple[list[Leaf], list[Statement]]:
    """The variables that an expression starts from, made by a call each, and the definitions between."""
    leaves: dict[str, Leaf] = {}
    between: dict[str, Statement] = {}
    seen: set[str] = set()

    def visit(part: ast.AST) -> bool:
        any_tensor = False
        for name in ast.walk(part):
            if not isinstance(name, ast.Name):
                continue
            value = failure.value(ast.Name(name.id, ast.Load()))
            if not is_tensor(value):
                continue
            any_tensor = True
            if name.id in seen or value.requires_grad:
                continue
            seen.add(name.id)
            written = failure.definition(name.id)
            inner = getattr(written.node, "value", None) if written else None
            if written is None or inner is None:
                continue
            if visit(inner):
                between[written.source] = written
            elif dtype_of(value) != "bool":
                leaves[name.id] = (name.id, written, inner)
        return any_tensor

    for root in roots:
        visit(root)
    return list(leaves.values()), list(between.values())


_WEIGHTS = (
    "w",
    "b",
    "weight",
    "bias",
    "theta",
    "beta",
    "param",
    "k",
    "m",
    "c",
    "a",
    "alpha",
    "W",
    "B",
    "coef",
    "slope",
)


def _requiring(failure: Failure, leaves: list[Leaf], between: list[Statement]) -> Iterator[Edit]:
    """Leaves made with requires_grad=True, and everything computed from them again."""
    floats = [leaf for leaf in leaves if "float" in dtype_of(failure.value(ast.Name(leaf[0], ast.Load())))]
    weights = [leaf for leaf in floats if leaf[0].rstrip("0123456789_").lower() in _WEIGHTS]
    given = failure.call.argument(1, "inputs") if failure.call and failure.call.name == "grad" else None
    asked = [part.id for part in ast.walk(given.node) if isinstance(part, ast.Name)] if given and given.node else []
    wanted = [leaf for leaf in leaves if leaf[0] in asked]
    later = tuple((written, written.node, written.source) for written in between)
    for chosen in (wanted, weights, *([leaf] for leaf in floats), floats, leaves):
        if chosen:
            changes = tuple(
                (written, inner, _with_gradient(failure, leaf)) for leaf in chosen for _, written, inner in [leaf]
            )
            names = " and ".join(leaf[0] for leaf in chosen)
            yield Edit(changes + later, f"{names} with requires_grad")
    whole = failure.statement.node if failure.statement else None
    for chosen in (wanted, weights, floats[:1]):
        if chosen and whole is not None and failure.statement and not isinstance(whole, ast.FunctionDef):
            lines = [f"{leaf[0]}.requires_grad_()" for leaf in chosen]
            lines += [written.source for written in between]
            yield change(
                failure, (whole, "\n".join([*lines, failure.statement.source])), title="requires_grad from now on"
            )


_MAKERS = frozenset(
    "tensor zeros ones rand randn full empty arange linspace eye zeros_like ones_like randn_like".split()
)


def _with_gradient(failure: Failure, leaf: Leaf) -> str:
    name, written, inner = leaf
    text = str(written.place_of(inner).text)
    floating = "float" in dtype_of(failure.value(ast.Name(name, ast.Load())))
    if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr in _MAKERS:
        text = text if floating or keyword(inner, "dtype") else with_keyword(text, "dtype=torch.float32")
        return with_keyword(text, "requires_grad=True")
    text = text if isinstance(inner, ast.Call | ast.Name | ast.Subscript | ast.Attribute) else f"({text})"
    return f"{text}{'' if floating else '.float()'}.requires_grad_()"


# Changes in place.


def leaf_in_place(failure: Failure) -> Finding | None:
    """A change in place of a parameter, outside of no_grad."""
    found = said(failure, "leaf in place")
    target = _changed(failure)
    if not found or target is None or _is_part(failure):
        return None
    title = f"{target.text} requires gradients, and may be changed in place only under torch.no_grad()"
    return Finding(title, (), _leaf_edits(failure, target))


def _is_part(failure: Failure) -> bool:
    """Whether it is a view that is changed, other than by an assignment to a part."""
    return failure.message.startswith("a view of") and bool(failure.call and failure.call.form != "assign")


def _changed(failure: Failure) -> Operand | None:
    return failure.call.arguments[0] if failure.call and failure.call.arguments else None


def _leaf_edits(failure: Failure, target: Operand) -> Iterator[Edit]:
    inner = innermost(failure)
    if inner is None or failure.statement is None:
        return
    yield from _used_edits(failure, inner)
    whole = _with_its_header(failure, inner)
    yield change(failure, (whole, _under_no_grad(failure, whole)), title="without gradients")
    trains = _is_step(failure, inner)
    if isinstance(inner, ast.AugAssign) and not trains:
        from tensorcli.diagnoses.dtypes import right_side

        left = text_of(failure, inner.target)
        if isinstance(inner.target, ast.Name | ast.Attribute):
            yield change(failure, (inner, f"{left} = {right_side(failure, inner, left)}"), title="a new tensor")
    owner: ast.AST | None = target.node
    while isinstance(owner, ast.Subscript):
        owner = owner.value
    if owner is not None:
        for part in ast.walk(inner):
            if isinstance(part, ast.expr) and _same_place(part, owner):
                yield change(failure, (part, f"{atom(failure, part)}.data"), title="on its data")
                break
    if isinstance(owner, ast.Name) and inner is failure.statement.node and not trains:
        text = f"{owner.id} = {owner.id}.clone()\n{failure.statement.source}"
        yield change(failure, (inner, text), title="on a copy")
    if isinstance(failure.node, ast.Call) and not isinstance(inner, ast.Expr):
        yield suffix(failure, target, ".clone()", title="on a copy")


def _used_edits(failure: Failure, inner: ast.stmt) -> Iterator[Edit]:
    """The operation that gives a new tensor, where it is that which is used: F.relu(x) for F.relu(x, inplace=True)."""
    node = failure.node
    if not isinstance(node, ast.Call) or failure.call is None:
        return
    for made in (node, node.func):  # nn.ReLU(inplace=True)(x) too
        if isinstance(made, ast.Call) and keyword(made, "inplace") is not None:
            texts = [text for text in argument_texts(failure, made) if not text.startswith("inplace=")]
            yield called_with(failure, made, texts, title="a new tensor")
    if not isinstance(inner, ast.Expr) and _in_place_name(failure.call.name):
        yield renamed(failure, failure.call.name.rstrip("_"), title="a new tensor")


def _is_step(failure: Failure, inner: ast.stmt) -> bool:
    """Whether parameters are trained: a gradient is used, or it is what a loop goes over that is changed."""
    changed, above = _changed(failure), parent(failure, inner)
    looped = (
        [part.id for part in ast.walk(above.target) if isinstance(part, ast.Name)] if isinstance(above, ast.For) else []
    )
    attributes = [part.attr for part in ast.walk(inner) if isinstance(part, ast.Attribute)]
    return "grad" in attributes or (changed is not None and changed.text in looped)


def _with_its_header(failure: Failure, inner: ast.stmt) -> ast.stmt:
    """A statement, with the one whose header stands on the same line: no block can begin there."""
    above = parent(failure, inner)
    while isinstance(above, ast.stmt) and above.lineno == inner.lineno:
        inner, above = above, parent(failure, above)
    return inner


def _same_place(a: ast.AST, b: ast.AST) -> bool:
    places = [(getattr(n, "lineno", 0), getattr(n, "col_offset", 0), getattr(n, "end_col_offset", 0)) for n in (a, b)]
    return places[0] == places[1]


def _under_no_grad(failure: Failure, inner: ast.stmt) -> str:
    indent = " " * inner.col_offset
    body = textwrap.indent(text_of(failure, inner), "    ").lstrip(" ")
    return f"with torch.no_grad():\n{indent}    {body}"


def view_in_place(failure: Failure) -> Finding | None:
    """A change in place of a view that may not be changed."""
    target = _changed(failure)
    leaf = said(failure, "leaf in place")
    if not (said(failure, "view in place") or leaf) or target is None:
        return None
    text = target.text if len(target.text) < 40 else "this"
    if leaf:
        title = f"{text} is a part of a tensor that requires gradients: it is changed under torch.no_grad() only"
        return Finding(title, (), _leaf_edits(failure, target))
    title = f"{text} is one of several views of a tensor, and may not be changed in place"
    source = _read_while_changed(failure, target)
    if source is not None:
        title = f"{source.text} shares its memory with {text}, and would be changed while it is read: read a copy"
        return Finding(title, (), chain([suffix(failure, source, ".clone()")], _view_edits(failure, target)))
    if "memory location" in failure.message:
        title = f"{text} has several elements in one place of memory, as expand makes them: change a copy"
    return Finding(title, (), _view_edits(failure, target))


def _read_while_changed(failure: Failure, target: Operand) -> Operand | None:
    """The operand on the memory of the one that is changed in place."""
    if "input tensor and the written-to" not in failure.message:
        return None
    place = storage_of(target.value)
    others = (one for one in failure.operands if one.value is not target.value and storage_of(one.value) == place)
    return next(others, None) if place is not None else None


def storage_of(value: Any) -> int | None:
    """Where a tensor's memory begins; None for any other value."""
    try:
        return int(value.untyped_storage().data_ptr())
    except (AttributeError, RuntimeError, NotImplementedError):
        return None


def _view_edits(failure: Failure, target: Operand) -> Iterator[Edit]:
    inner = innermost(failure)
    if isinstance(inner, ast.AugAssign) and isinstance(inner.target, ast.Name | ast.Attribute):
        from tensorcli.diagnoses.dtypes import right_side

        left = text_of(failure, inner.target)
        yield change(failure, (inner, f"{left} = {right_side(failure, inner, left)}"), title="a new tensor")
    elif isinstance(failure.node, ast.Call):  # a part of a copy that is assigned would be lost with the copy
        yield suffix(failure, target, ".clone()", title="on a copy")
    found = made_by(failure, target)
    if found is not None:
        written, value = found
        text = written.place_of(value).text
        text = text if isinstance(value, ast.Call | ast.Name | ast.Subscript | ast.Attribute) else f"({text})"
        if isinstance(getattr(written.node, "targets", [None])[0], ast.Tuple):
            yield Edit(((written, value, f"(part.clone() for part in {text})"),), "copies of the parts")
        else:
            yield Edit(((written, value, f"{text}.clone()"),), "a copy from the start")
    if (
        inner is not None
        and isinstance(target.node, ast.Name)
        and failure.statement
        and inner is failure.statement.node
    ):
        name = target.node.id
        text = f"{name} = {name}.clone(); {failure.statement.source}"
        yield change(failure, (inner, text), title="on a copy")


def saved_in_place(failure: Failure) -> Finding | None:
    """backward() through a value that was changed in place after it was needed."""
    if not said(failure, "saved in place"):
        return None
    notes = ("write y = y + 1 for y += 1, y = y.relu() for y.relu_(): a new tensor leaves the old one as it was",)
    needed = _needed(failure, list(failure.history()))
    changes = [statement.source for statement in needed if _apart(statement) is not None]
    what = f"{changes[0]} changed a tensor in place" if len(changes) == 1 and len(changes[0]) < 40 else ""
    title = f"{what or 'a tensor was changed in place'} after it was used, and backward needs it as it was"
    return Finding(title, notes, _saved_edits(failure))


def _saved_edits(failure: Failure) -> Iterator[Edit]:
    """The changes in place, in this statement or those before it, made new tensors; then what follows, again."""
    from tensorcli.diagnoses.dtypes import right_side

    whole = failure.statement
    if whole is None:
        return
    for part in ast.walk(whole.node):
        if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
            left = part.target.id
            yield change(failure, (part, f"{left} = {right_side(failure, part, left)}"), title="a new tensor")
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and _in_place_name(part.func.attr):
            apart = text_of(failure, part).replace(f".{part.func.attr}(", f".{part.func.attr.rstrip('_')}(", 1)
            above = parent(failure, part)
            if isinstance(above, ast.Expr) and isinstance(part.func.value, ast.Name):
                yield change(failure, (above, f"{part.func.value.id} = {apart}"), title="a new tensor")
            else:
                yield change(failure, (part, apart), title="a new tensor")
    yield from _replayed(failure)


def _in_place_name(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__") and name not in ("requires_grad_", "zero_grad_")


def _replayed(failure: Failure) -> Iterator[Edit]:
    """The statements before, from the first that computed what backward needs, with one change made apart."""
    history = list(failure.history())
    needed = _needed(failure, history)
    for k in reversed(range(len(needed))):
        text = _apart(needed[k])
        if text is not None:
            changes = [(s, s.node, text if s is needed[k] else s.source) for s in needed]
            yield Edit(tuple(changes), "a new tensor instead of a changed one")


def _needed(failure: Failure, history: list[Statement]) -> list[Statement]:
    """Of the statements before, those that bind or change what autograd made of the variables needed."""
    wanted = {part.id for part in ast.walk(failure.node) if isinstance(part, ast.Name)} if failure.node else set()
    kept: dict[int, Statement] = {}
    while True:
        fresh = [
            k
            for k, statement in enumerate(history)
            if k not in kept
            and not isinstance(statement.node, ast.FunctionDef)
            and any(
                _is_made(failure, name) for name in (set(statement.bound) | _changed_names(statement.node)) & wanted
            )
        ]
        if not fresh:
            return [kept[k] for k in sorted(kept)]
        for k in fresh:
            kept[k] = history[k]
            wanted |= {part.id for part in ast.walk(history[k].node) if isinstance(part, ast.Name)}


def _is_made(failure: Failure, name: str) -> bool:
    value = failure.value(ast.Name(name, ast.Load()))
    return is_tensor(value) and value.grad_fn is not None


def _changed_names(node: ast.AST) -> set[str]:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method))) if _in_place_name(
            method
        ):
            return {name}
    return set()


def _apart(statement: Statement) -> str | None:
    """A statement that changes a variable in place, written so that it makes a new tensor."""
    match statement.node:
        case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
            from tensorcli.diagnoses.dtypes import sign_of

            text = statement.place_of(value).text
            text = text if isinstance(value, ast.Name | ast.Constant | ast.Call | ast.Attribute) else f"({text})"
            return f"{name} = {name} {sign_of(operator)} {text}"
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) as call):
            if _in_place_name(method):
                plain = method.rstrip("_")
                return f"{name} = {statement.place_of(call).text.replace(f'.{method}(', f'.{plain}(', 1)}"
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]):
            return f"{name} = {name}.clone()\n{statement.source}"
    return None


# Gradients that are not there.


def not_yet(failure: Failure) -> Finding | None:
    """A gradient read before any backward."""
    if not isinstance(failure.error, AttributeError | TypeError) or not said(failure, "none"):
        return None
    for part in ast.walk(failure.node) if failure.node else ():
        if isinstance(part, ast.Attribute) and part.attr == "grad":
            owner = failure.value(part.value)
            if is_tensor(owner) and _grad(owner) is None:
                text = text_of(failure, part.value)
                title = _why(text, owner)
                if owner.grad_fn is not None and (step := _own_step(failure, text)):
                    made = f"{' '.join(step[0].place_of(step[1]).text.split())} made a new tensor"
                    title = f"{text}.grad is None: {text} is no leaf any more, as {made}; only leaves keep gradients"
                return Finding(title, (), _gradient_edits(failure, part, owner, text))
    return None


def _own_step(failure: Failure, name: str) -> tuple[Statement, ast.Assign] | None:
    """Where a parameter was stepped to a new tensor, `w = w - 0.1 * w.grad`: in this statement, or one before."""
    statements = [*([failure.statement] if failure.statement else []), *reversed(list(failure.history()))]
    for written in statements:
        for part in ast.walk(written.node) if not isinstance(written.node, ast.FunctionDef) else ():
            match part:
                case ast.Assign(
                    targets=[ast.Name(id=target)],
                    value=ast.BinOp(left=ast.Name(id=left), op=ast.Add() | ast.Sub(), right=right),
                ) if target == left == name and any(getattr(one, "attr", "") == "grad" for one in ast.walk(right)):
                    return written, part
    return None


def _stepped(failure: Failure, name: str, written: Statement, step: ast.Assign) -> Edit:
    """The step made in place, and all that is computed of the parameter from where it was made on, again."""
    from tensorcli.diagnoses.dtypes import sign_of

    assert isinstance(step.value, ast.BinOp)
    indent = " " * step.col_offset
    text = f"{name} {sign_of(step.value.op)}= {written.place_of(step.value.right).text}"
    changed = (written, step, f"with torch.no_grad():\n{indent}    {text}")
    before = [one for one in failure.history() if any(part.id == name for part in _names_in([one.node]))]
    first = next((k for k in reversed(range(len(before))) if _makes(before[k], name)), None)
    if first is None:
        return Edit(())
    again = [(one, one.node, one.source) for one in before[first:]]
    again = [changed if one.source == written.source else (one, node, text) for one, node, text in again]
    return Edit(tuple(again if changed in again else [*again, changed]), "a step in place")


def _makes(statement: Statement, name: str) -> bool:
    """Whether a statement assigns a variable, and not from itself."""
    return (
        isinstance(statement.node, ast.Assign)
        and name in statement.bound
        and name not in {part.id for part in _names_in([statement.node.value])}
    )


def _grad(tensor: Any) -> Any:
    """A tensor's gradient, without the warning that computed tensors keep none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tensor.grad


def _why(text: str, owner: Any) -> str:
    if not owner.requires_grad:
        return f"{text}.grad is None: {text} has no requires_grad=True"
    if owner.grad_fn is not None and not owner.retains_grad:
        return f"{text}.grad is None: {text} is computed, and its gradient is not kept without {text}.retain_grad()"
    return f"{text}.grad is None: no backward() has reached {text} yet"


def _gradient_edits(failure: Failure, part: ast.Attribute, owner: Any, text: str) -> Iterator[Edit]:
    inner = innermost(failure)
    whole = failure.statement
    if whole is None or inner is None:
        return
    indent = " " * inner.col_offset
    if owner.grad_fn is not None and isinstance(part.value, ast.Name) and (step := _own_step(failure, text)):
        yield _stepped(failure, text, *step)
        return
    if isinstance(failure.node, ast.Attribute) and failure.node.attr in ("zero_", "data", "detach_"):
        guarded = f"if {text}.grad is not None:\n{indent}    {text_of(failure, inner)}"
        yield change(failure, (inner, guarded), title="where there is one")
    in_function = isinstance(whole.node, ast.FunctionDef)
    for loss in _losses(failure) if not in_function else ():
        again = _computed_again(failure, ast.Name(loss, ast.Load()), 3)
        backward = (whole, whole.node, f"{loss}.backward()\n{whole.source}")
        if owner.grad_fn is None and owner.requires_grad:
            yield Edit((backward,), "backward first")
            yield Edit((*again, backward), "computed again, and backward")
        elif owner.requires_grad and isinstance(part.value, ast.Name):
            name = part.value.id
            kept = tuple(
                (w, w.node, f"{s}\n{name}.retain_grad()" if name in w.bound else s) for w, _, s in again
            )  # fmt: skip
            yield Edit((*kept, backward), f"the gradient of {name} kept")
    if not owner.requires_grad and isinstance(part.value, ast.Name):
        leaves, _ = _leaves(failure, [part.value])
        for loss in _plain_results(failure):
            _, between = _leaves(failure, [ast.Name(loss, ast.Load())])
            changes = tuple(
                (w, inner_value, _with_gradient(failure, leaf)) for leaf in leaves[:1] for _, w, inner_value in [leaf]
            )
            later = tuple((w, w.node, w.source) for w in between)
            backward = (whole, whole.node, f"{loss}.backward()\n{whole.source}")
            if changes and not in_function:
                yield Edit((*changes, *later, backward), f"{text} with requires_grad")


def _losses(failure: Failure) -> list[str]:
    """The variables that backward can start from, the last made first."""
    found = [n for n, v in failure.names.items() if n[0] not in "_." and is_tensor(v) and v.grad_fn is not None]
    scalars = [name for name in found if failure.names[name].numel() == 1]
    return scalars[::-1]


def _plain_results(failure: Failure) -> list[str]:
    found = [n for n, v in failure.names.items() if n[0] not in "_." and is_tensor(v) and v.numel() == 1]
    return found[::-1]


def asked_of_a_tensor(failure: Failure) -> Finding | None:
    """`loss.zero_grad()`: what optimizers and models do, asked of a tensor."""
    node = failure.node
    if not isinstance(failure.error, AttributeError) or not isinstance(node, ast.Attribute):
        return None
    owner = failure.value(node.value)
    if node.attr not in ("zero_grad", "step") or not is_tensor(owner):
        return None
    values = {name: value for name, value in failure.names.items() if name[0] not in "_."}
    kinds = ("param_groups", "named_parameters")
    able = [name for kind in kinds for name, value in values.items() if _has(value, kind) and _has(value, node.attr)]
    who = "optimizers and models have" if node.attr == "zero_grad" else "optimizers have"
    title = f"{text_of(failure, node.value)} is a tensor: {who} a {node.attr}, tensors have none"
    edits = [change(failure, (node.value, name)) for name in able]
    if node.attr == "zero_grad" and owner.is_leaf and not able:
        edits = [change(failure, (node, f"{text_of(failure, node.value)}.grad.zero_"))]
    return Finding(title, (), edits)


def _has(value: Any, name: str) -> bool:
    return hasattr(value, name) and not isinstance(value, type)


# Leaves and inference tensors.


def not_a_leaf(failure: Failure) -> Finding | None:
    """Something that is for leaves alone, asked of a computed tensor."""
    inference = said(failure, "inference tensor")
    if not (said(failure, "not a leaf") or inference) or failure.call is None:
        return None
    call, node = failure.call, failure.node
    target = call.arguments[0] if call.arguments else None
    if inference:
        title = "a tensor made in inference mode takes no part in autograd: use a clone"
        edits = [suffix(failure, operand, ".clone()", title="a clone") for operand in failure.operands]
        return Finding(title, (), edits)
    named = target.text if target and len(target.text) < 40 else "this"
    title = f"{named} is computed from other tensors, and this is for tensors made by themselves"
    return Finding(title, (), _detached(failure, target, node))


def _detached(failure: Failure, target: Operand | None, node: ast.AST | None) -> Iterator[Edit]:
    inner = innermost(failure)
    if target is None or target.node is None:
        return
    own = suffixed(failure, target, ".detach()")
    if failure.call and failure.call.name in ("requires_grad", "requires_grad_"):
        if isinstance(node, ast.Call):
            yield change(failure, (node, own), title="without gradients")
        elif inner is not None:
            yield change(failure, (inner, f"{target.text} = {own}"), title="without gradients")
    parts = target.node.elts if isinstance(target.node, ast.List | ast.Tuple) else [target.node]
    for text in (".detach().requires_grad_()", ".detach()"):
        yield change(failure, *[(part, f"{atom(failure, part)}{text}") for part in parts], title="by itself")


ENTRIES = (
    Entry(
        "backward-non-scalar",
        "autograd",
        non_scalar,
        "x = torch.ones(3, requires_grad=True)\n(x * 2).backward()",
        "backward starts from one number: y.sum().backward(), or a loss with its mean.",
    ),
    Entry(
        "backward-twice",
        "autograd",
        twice,
        "x = torch.ones(3, requires_grad=True)\ny = (x ** 2).sum()\ny.backward()\ny.backward()",
        "backward frees the graph: compute the loss again, or keep it with retain_graph=True.",
    ),
    Entry(
        "backward-no-grad",
        "autograd",
        no_graph,
        "x = torch.ones(3)\n(x * 2).sum().backward()",
        "Gradients flow to tensors with requires_grad=True, through operations outside of no_grad and detach.",
    ),
    Entry(
        "inplace-leaf",
        "autograd",
        leaf_in_place,
        "w = torch.ones(3, requires_grad=True)\nw -= 0.1",
        "Parameters are changed in place under torch.no_grad(), as optimizers do.",
    ),
    Entry(
        "inplace-view",
        "autograd",
        view_in_place,
        "row = torch.ones(1).expand(3)\nrow += 1",
        "Views that share elements are cloned before they are changed in place.",
    ),
    Entry(
        "inplace-saved",
        "autograd",
        saved_in_place,
        "x = torch.ones(3, requires_grad=True)\ny = x.exp()\ny += 1\ny.sum().backward()",
        "What backward needs is not changed in place: y = y + 1 instead of y += 1.",
    ),
    Entry(
        "no-gradient-yet",
        "autograd",
        not_yet,
        "w = torch.ones(3, requires_grad=True)\n0.1 * w.grad",
        "x.grad is None until backward() has reached x; computed tensors keep theirs after retain_grad().",
    ),
    Entry(
        "no-optimizer",
        "autograd",
        asked_of_a_tensor,
        "w = torch.ones(3, requires_grad=True)\nw.sum().zero_grad()",
        "loss.backward() fills the gradients, optimizer.step() uses them, optimizer.zero_grad() forgets them.",
    ),
    Entry(
        "not-a-leaf",
        "autograd",
        not_a_leaf,
        "x = torch.ones(3, requires_grad=True)\n(x * 2).requires_grad_(False)",
        "requires_grad is set on leaves; y.detach() is y without its history.",
    ),
)
