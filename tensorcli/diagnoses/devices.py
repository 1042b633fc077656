"""Diagnoses of devices: tensors on two of them, and CUDA where there is none."""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import atom, change, is_tensor, quoted, suffix, suffixed, text_of, with_keyword
from tensorcli.diagnoses.messages import said
from tensorcli.language import Statement

_FACTORIES = frozenset(
    "zeros ones empty full rand randn randint arange linspace eye tensor randperm logspace as_tensor".split()
)


def mixed(failure: Failure) -> Finding | None:
    """Tensors on two devices."""
    if not (said(failure, "devices") or said(failure, "index device") or said(failure, "weight device")):
        return None
    operands = _tensors(failure)
    layer = failure.layer
    places = {str(operand.value.device) for operand in operands}
    parameter = next(chain(layer.module.parameters(), layer.module.buffers()), None) if layer is not None else None
    if parameter is not None and layer is not None and layer.inputs:
        given, own = str(layer.inputs[0].device), str(parameter.device)
        if given != own:
            title = f"the layer{' ' + layer.path if layer.path else ''} is on {own}, and its input is on {given}"
            return Finding(title, (), _layer_edits(failure, given, own))
        places |= {own}
    if len(places) < 2 and not (said(failure, "devices") or said(failure, "index device")):
        return None  # the same words are said of two dtypes
    names = [f"{o.text} on {o.value.device}" for o in operands if len(o.text) < 40]
    title = f"the tensors are on two devices: {', '.join(dict.fromkeys(names)) or ' and '.join(sorted(places))}"
    return Finding(title, (), _moves(failure, operands))


def _tensors(failure: Failure) -> list[Operand]:
    """The tensors among the operands; a list's stand for it."""
    call = failure.call
    found = [*failure.operands, *(call.arguments if call else ()), *(call.keywords.values() if call else ())]
    nodes: set[int] = set()
    tensors = []
    for operand in found:
        if is_tensor(operand.value) and operand.node is not None and id(operand.node) not in nodes:
            nodes.add(id(operand.node))
            tensors.append(operand)
    return tensors


def _to(failure: Failure, device: str, operands: list[Operand]) -> str:
    """How a tensor is moved: with the user's own name for the device, another tensor's, or the device itself."""
    for name in ("device", "dev", "DEVICE"):
        value = failure.value(ast.Name(name, ast.Load()))
        if str(value) in (device, device.removesuffix(":0")):
            return f".to({name})"
    if device == "cpu":
        return ".cpu()"
    parameters = _parameters(failure)
    for operand in operands:
        if isinstance(operand.node, ast.Name) and operand.text in parameters and str(operand.value.device) == device:
            return f".to({operand.text}.device)"
    return f'.to("{device.removesuffix(":0")}")'


def _parameters(failure: Failure) -> set[str]:
    """The names of the parameters of functions in the failing statement."""
    whole = failure.statement.node if failure.statement else ast.Pass()
    return {part.arg for part in ast.walk(whole) if isinstance(part, ast.arg)}


def _moves(failure: Failure, operands: list[Operand]) -> Iterator[Edit]:
    call = failure.call
    kinds = {operand.value.device.type for operand in operands}
    stay = kinds & {"meta"} or kinds - {"cpu"}  # what is on meta has no values to bring
    here = [operand for operand in operands if operand.value.device.type not in stay]
    there = [operand for operand in operands if operand.value.device.type in stay]
    lists = [o for o in (call.arguments if call else ()) if isinstance(o.value, list | tuple) and o.node is not None]
    lists = [o for o in lists if not isinstance(o.node, ast.List | ast.Tuple) and any(map(is_tensor, o.value))]
    device = (
        str(there[0].value.device)
        if there
        else next((str(v.device) for o in lists for v in o.value if is_tensor(v) and v.device.type != "cpu"), "cpu")
    )
    for given in lists:
        to = _to(failure, device, operands)
        yield change(failure, (given, f"[t{to} for t in {given.text}]"), title=f"all of them on {device}")
    changed = call.arguments[0] if call and call.arguments else None
    in_place = call is not None and (call.form in ("in place", "assign") or call.name.endswith("_"))
    stays = changed is not None and is_tensor(changed.value) and changed.value.device.type == "cpu"
    if (call is not None and call.form in ("index", "assign") and said(failure, "index device")) or (
        in_place and stays
    ):
        yield _moved(failure, there, ".cpu()", "on the CPU")
    to = _to(failure, device, there)
    made = [operand for operand in here if _is_made(operand.node)]
    if made and len(made) == len(here):
        where = to.removeprefix(".to(").removesuffix(")") if to.startswith(".to(") else f'"{device}"'
        pairs = [(o, with_keyword(o.text, f"device={where}")) for o in made]
        yield change(failure, *pairs, title=f"made on {device}")
    if here and there:
        yield _moved(failure, here, to, f"on {device}")
        yield _moved(failure, there, ".cpu()", "on the CPU")
    for operand in here:
        yield suffix(failure, operand, to, title=f"on {device}")


def _moved(failure: Failure, operands: list[Operand], to: str, title: str) -> Edit:
    return change(failure, *[(operand, suffixed(failure, operand, to)) for operand in operands], title=title)


def _is_made(node: ast.AST | None) -> bool:
    """Whether an expression makes a tensor without saying where."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in _FACTORIES and not any(k.arg == "device" for k in node.keywords)


def _layer_edits(failure: Failure, given: str, own: str) -> Iterator[Edit]:
    call, node = failure.call, failure.node
    operands = _tensors(failure)
    to = _to(failure, own if own != "cpu" else given, operands)
    inputs = [operand for operand in operands if str(operand.value.device) == given]
    if own != "cpu":
        made = [operand for operand in inputs if _is_made(operand.node)]
        if made and len(made) == len(inputs):
            pairs = [(o, with_keyword(o.text, f"device={to.removeprefix('.to(').removesuffix(')')}")) for o in made]
            yield change(failure, *pairs, title=f"made on {own}")
        if inputs:
            yield _moved(failure, inputs, to, f"on {own}")
    elif isinstance(node, ast.Call) and call is not None and call.form == "module":
        model = _looped(failure, node.func) or node.func
        yield change(failure, (model, f"{atom(failure, model)}{to}"), title=f"the model on {given}")
        if isinstance(node.func, ast.Name) and (written := failure.definition(node.func.id)):
            value = getattr(written.node, "value", None)
            if value is not None:
                yield Edit(((written, value, f"{written.place_of(value).text}{to}"),), f"the model made on {given}")
        if inputs:
            yield _moved(failure, inputs, ".cpu()", "on the CPU")


def generator(failure: Failure) -> Finding | None:
    """A generator on another device than the numbers that are drawn with it."""
    match = said(failure, "generator device")
    given = failure.call.keywords.get("generator") if failure.call else None
    if match is None or given is None or given.node is None:
        return None
    return Finding(
        f"the generator is on {match[2]}, and the numbers are drawn on {match[1]}",
        (),
        _made_on(failure, given, match[1]),
    )


def _made_on(failure: Failure, given: Operand, device: str) -> Iterator[Edit]:
    """The generator made on a device, where it stands or where its variable was assigned."""
    named = failure.definition(given.text) if isinstance(given.node, ast.Name) else None
    written = named or failure.statement
    for part in ast.walk(named.node if named else given.node or ast.Pass()):
        if written and isinstance(part, ast.Call) and written.place_of(part.func).text.endswith("Generator"):
            text = f'{written.place_of(part.func).text}(device="{device}")'
            yield Edit(((written, part, text),), f"a generator on {device}")


def _looped(failure: Failure, layer: ast.expr) -> ast.expr | None:
    """The model through whose layers a loop goes, of which this is one."""
    for part in ast.walk(failure.statement.node if failure.statement else ast.Pass()):
        if not isinstance(part, ast.For | ast.comprehension) or not isinstance(layer, ast.Name):
            continue
        methods = isinstance(part.iter, ast.Call) and isinstance(part.iter.func, ast.Attribute)
        model = part.iter.func.value if methods else part.iter  # type: ignore[attr-defined]
        targets = {node.id for node in ast.walk(part.target) if isinstance(node, ast.Name)}
        if layer.id in targets and hasattr(failure.value(model), "named_parameters"):
            return model
    return None


# CUDA where there is none.


def no_cuda(failure: Failure) -> Finding | None:
    """A CUDA device asked for where there is none, or one with a number that is not there."""
    if said(failure, "ordinal"):
        return Finding(
            "there is no CUDA device of that number here",
            (),
            [*_other_devices(failure, "cuda"), *_first_device(failure)],
        )
    match = said(failure, "device name")
    if match and not re.match(r"(?:b?float|u?int|bool|complex|double|half|long)", match[1] or match[2]):  # else a dtype
        title = f"there is no kind of device called {match[1]}: there are cpu, cuda and mps"
        return Finding(title, (), [*_other_devices(failure, "cuda"), *_other_devices(failure, "cpu")])
    if match := said(failure, "no device"):
        kind = str(match[1] or match[2]).lower()
        return Finding(f"there is no {kind} device here", (), _other_devices(failure, "cpu"))
    if not said(failure, "no cuda"):
        return None
    notes = ("tensorcli --pretend cuda behaves as if there were one",)
    return Finding("there is no CUDA device here that torch can use", notes, _cpu_edits(failure))


_CUDA = re.compile(r"^(cuda|gpu)(:\d+)?$")


def _constants(node: ast.AST | None, kind: type = str) -> Iterator[ast.Constant]:
    for part in ast.walk(node) if node else ():
        if isinstance(part, ast.Constant) and type(part.value) is kind:
            yield part


def _other_devices(failure: Failure, device: str) -> Iterator[Edit]:
    for part in _constants(failure.node):
        yield change(failure, (part, quoted(failure, part, device)), title=f"on {device}")
    for operand in _names(failure):
        for written, part in _constants_of(failure, operand):
            yield Edit(((written, part, f'"{device}"'),), f"on {device}")


def _first_device(failure: Failure) -> Iterator[Edit]:
    """The first CUDA device, where another is asked for by its number."""
    for part in _constants(failure.node, int):
        yield change(failure, (part, "0"), title="the first CUDA device")
    for operand in _names(failure):
        for written, part in _constants_of(failure, operand, int):
            yield Edit(((written, part, "0"),), "the first CUDA device")


def _names(failure: Failure) -> list[ast.Name]:
    """The variables among the operands that hold a device, or what stands for one."""
    call = failure.call
    found = [*failure.operands, *(call.keywords.values() if call else ())]
    kinds = ("int", "str", "device")
    return [o.node for o in found if isinstance(o.node, ast.Name) and type(o.value).__name__ in kinds]


def _constants_of(failure: Failure, name: ast.Name, kind: type = str) -> Iterator[tuple[Statement, ast.Constant]]:
    """The constants in the statement that last assigned a variable, which it is read anew with."""
    if written := failure.definition(name.id):
        yield from ((written, part) for part in _constants(written.node, kind))


def _cpu_edits(failure: Failure) -> Iterator[Edit]:
    node, call = failure.node, failure.call
    for part in _constants(node):
        if _CUDA.match(str(part.value)):
            yield change(failure, (part, quoted(failure, part, "cpu")), title="on the CPU")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("cuda", "pin_memory"):
        yield change(failure, (node, text_of(failure, node.func.value)), title="it stays on the CPU")
        yield change(failure, (node.func, f"{text_of(failure, node.func.value)}.cpu"), title="on the CPU")
    chosen = '"cuda" if torch.cuda.is_available() else "cpu"'
    names = [o for o in failure.operands if isinstance(o.node, ast.Name) and _is_cuda(o.value)]
    for operand in [*names, *(call.keywords.values() if call else ())]:
        written = failure.definition(operand.node.id) if isinstance(operand.node, ast.Name) else None
        for part in _constants(written.node) if written else ():
            if written is not None and _CUDA.match(str(part.value)):
                yield Edit(((written, part, chosen),), "CUDA where it is there")
                yield Edit(((written, part, '"cpu"'),), "on the CPU")
        for asked in ast.walk(written.node) if written is not None else ():
            if written is not None and isinstance(asked, ast.Attribute) and asked.attr == "is_available":
                yield Edit(((written, asked, f"{written.place_of(asked).text}()"),), "is_available is a function")
    for operand in names:
        yield change(failure, (operand, '"cpu"'), title="on the CPU")


def _is_cuda(value: Any) -> bool:
    return str(value).startswith("cuda") and type(value).__name__ in ("str", "device")


ENTRIES = (
    Entry(
        "mixed-devices",
        "device",
        mixed,
        "x = torch.rand(3, device='cuda')\nx + torch.rand(3)",
        "All tensors of an operation are on one device: move the others there with .to(device).",
        pretend=True,
    ),
    Entry(
        "generator-device",
        "device",
        generator,
        "torch.rand(3, device='cuda', generator=torch.Generator())",
        "A generator draws on its own device: torch.Generator(device='cuda') for tensors on CUDA.",
        pretend=True,
    ),
    Entry(
        "no-cuda",
        "device",
        no_cuda,
        "torch.rand(3).cuda()",
        "Write device = 'cuda' if torch.cuda.is_available() else 'cpu', and .to(device).",
    ),
)
