"""Diagnoses of linear algebra: matrices that are not square, have no inverse, or do not fit the right-hand side."""

import ast
from collections.abc import Iterator

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import brackets, change, is_tensor, renamed, shape, suffix, suffixed, text_of
from tensorcli.diagnoses.messages import said

_INVERSES = ("inv", "inverse", "linalg_inv", "inv_ex")
_SOLVES = ("solve", "solve_ex", "linalg_solve")
_LEADING = ("solve_triangular", "lstsq", "cholesky_solve", "lu_solve", "triangular_solve")


def _matrix(failure: Failure) -> Operand | None:
    """The matrix that the failing function works on."""
    call = failure.call
    return call.argument(0, "A", "input", "self", "matrix") if call else None


def _plain(name: str) -> str:
    return name.removeprefix("linalg_")


def _call_text(failure: Failure, name: str, *arguments: str) -> str:
    """A call of a function of torch.linalg, spelt as the user spells that module."""
    node = failure.node
    owner = "torch.linalg"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        written = text_of(failure, node.func.value)
        owner = written if written.rpartition(".")[2] in ("linalg", "LA", "la") else owner
    return f"{owner}.{name}({', '.join(arguments)})"


# Matrices that are not square.


def not_square(failure: Failure) -> Finding | None:
    """A function of square matrices, on another."""
    matrix, call = _matrix(failure), failure.call
    vector = said(failure, "not a matrix")
    if not (said(failure, "not square") or vector) or matrix is None or call is None:
        return None
    sizes = shape(matrix)
    if sizes is None:
        return None
    name = matrix.text if len(matrix.text) < 40 else "this"
    if vector or len(sizes) < 2:
        return Finding(
            f"{call.name} takes matrices, and {name} is {brackets(sizes)}", (), _vector_edits(failure, matrix)
        )
    if call.name == "trace" or (said(failure, "not square") and len(sizes) > 2 and sizes[-1] == sizes[-2]):
        return Finding(
            f"{call.name} takes one matrix, and {name} is {brackets(sizes)}", (), _batch_edits(failure, matrix)
        )
    title = f"{call.name} takes square matrices, and {name} is {brackets(sizes)}"
    return Finding(title, (), _square_edits(failure, matrix, sizes))


def _vector_edits(failure: Failure, matrix: Operand) -> Iterator[Edit]:
    name = _plain(failure.call.name) if failure.call else ""
    if name in ("matrix_norm", "norm", "cond"):
        text = _call_text(failure, "vector_norm", matrix.text)
        yield change(failure, (failure.node, text), title="the norm of a vector")
    if name == "trace":
        yield change(failure, (failure.node, f"{suffixed(failure, matrix, '.sum()')}"), title="the sum")
    if name in (*_INVERSES, "det", "eig", "eigh", "cholesky", "eigvals", "solve", "matrix_power", "trace"):
        yield change(failure, (matrix, f"torch.diag({matrix.text})"), title="with these on its diagonal")
    yield suffix(failure, matrix, ".unsqueeze(0)", title="a matrix of one row")
    yield suffix(failure, matrix, ".unsqueeze(-1)", title="a matrix of one column")
    yield suffix(failure, matrix, ".flatten(1)", title="a matrix")
    sizes = shape(matrix) or ()
    yield from (
        suffix(failure, matrix, f".squeeze({d})") for d, size in enumerate(sizes) if size == 1 and len(sizes) > 2
    )
    if len(sizes) > 2:
        yield suffix(failure, matrix, "[0]", title="the first")


def _batch_edits(failure: Failure, matrix: Operand) -> Iterator[Edit]:
    own = suffixed(failure, matrix, "")
    text = f"{own}.diagonal(dim1=-2, dim2=-1).sum(-1)"
    yield change(failure, (failure.node, text), title="the trace of each matrix")
    sizes = shape(matrix) or ()
    yield from (suffix(failure, matrix, f".squeeze({d})") for d, size in enumerate(sizes) if size == 1)
    yield suffix(failure, matrix, "[0]", title="the first")


# What does for any matrix what these do for square ones.
_FOR_ANY = {"eig": "svd", "eigh": "svd", "eigvals": "svdvals", "eigvalsh": "svdvals"}


_OF_SQUARES = "cholesky det logdet slogdet eigh eigvalsh eig eigvals matrix_power matrix_exp".split()


def _square_edits(failure: Failure, matrix: Operand, sizes: tuple[int, ...]) -> Iterator[Edit]:
    call, node = failure.call, failure.node
    assert call is not None
    name = _plain(call.name)
    own = suffixed(failure, matrix, "")
    turned = ".T" if len(sizes) == 2 else ".mT"
    rows, columns = sizes[-2:]
    if name in _INVERSES:
        yield change(failure, (node, _call_text(failure, "pinv", matrix.text)), title="the pseudo-inverse")
    if name in _SOLVES:
        second = call.argument(1, "B")
        b = shape(second) or ()
        if second is not None and len(b) > 1 and b[-1] == b[-2]:
            yield _swapped(failure, matrix, second)
        yield from _least_squares(failure)
    yield from _made_square(failure, matrix)
    gram = f"{own}{turned} @ {own}" if rows > columns else f"{own} @ {own}{turned}"
    other = f"{own} @ {own}{turned}" if rows > columns else f"{own}{turned} @ {own}"
    if name in _OF_SQUARES:
        if name in _FOR_ANY and name not in ("eigh", "eigvalsh"):
            yield change(failure, (node, _call_text(failure, _FOR_ANY[name], matrix.text)), title="for any matrix")
        yield change(failure, (matrix, _braced(failure, matrix, gram)), title="the product with its transpose")
        yield change(failure, (matrix, _braced(failure, matrix, other)), title="the product with its transpose")
        if name in _FOR_ANY:
            yield change(failure, (node, _call_text(failure, _FOR_ANY[name], matrix.text)), title="for any matrix")
    if len(sizes) == 2:
        n = min(rows, columns)
        index = f"[:{n}]" if rows > columns else f"[:, :{n}]"
        yield suffix(failure, matrix, index, title=f"the square of {n}")
    if len(sizes) == 3:
        yield suffix(failure, matrix, ".transpose(0, 1)")
        if sizes[0] == sizes[1]:
            yield suffix(failure, matrix, ".permute(2, 0, 1)", title="the batch first")
        if sizes[0] == sizes[2]:
            yield suffix(failure, matrix, ".transpose(0, 1)", title="the batch first")
    if name in _LEADING and call.arguments[1:]:
        yield _swapped(failure, call.arguments[0], call.arguments[1])


def _made_square(failure: Failure, matrix: Operand) -> Iterator[Edit]:
    """A square matrix that was computed from this one: its covariance, for instance."""
    for name, value in reversed(list(failure.names.items())) if isinstance(matrix.node, ast.Name) else ():
        sizes = tuple(value.shape) if name[0] not in "_." and is_tensor(value) else ()
        written = failure.definition(name) if len(sizes) == 2 and sizes[0] == sizes[1] else None
        if written and any(isinstance(n, ast.Name) and n.id == matrix.text for n in ast.walk(written.node)):
            yield change(failure, (matrix, name), title=f"{name}, which is square")


def _braced(failure: Failure, matrix: Operand, text: str) -> str:
    """A product in brackets where it stands before a dot."""
    call = failure.call
    return f"({text})" if call is not None and call.form == "method" and matrix is call.arguments[0] else text


def _least_squares(failure: Failure) -> Iterator[Edit]:
    call, node = failure.call, failure.node
    if call is None:
        return
    left, right = call.argument(0, "A"), call.argument(1, "B")
    if left is None or right is None:
        return
    tall = shape(right) or ()
    solution = f"{_call_text(failure, 'lstsq', left.text, right.text)}.solution"
    yield change(failure, (node, solution), title="the least-squares solution")
    if len(tall) == 1:
        column = suffixed(failure, right, ".unsqueeze(-1)")
        text = f"{_call_text(failure, 'lstsq', left.text, column)}.solution.squeeze(-1)"
        yield change(failure, (node, text), title="the least-squares solution")
    text = f"{_call_text(failure, 'pinv', left.text)} @ {suffixed(failure, right, '')}"
    yield change(failure, (node, text), title="with the pseudo-inverse")
    a = suffixed(failure, left, "")
    if len(shape(left) or ()) == 2:
        normal = _call_text(failure, "solve", f"{a}.T @ {a}", f"{a}.T @ {suffixed(failure, right, '')}")
        yield change(failure, (node, normal), title="the normal equations")


def _swapped(failure: Failure, first: Operand, second: Operand) -> Edit:
    texts = [suffixed(failure, operand, "") for operand in (first, second)]
    return change(failure, (first, texts[1]), (second, texts[0]), title="swap the two")


# Matrices without an inverse, or not positive-definite.


def singular(failure: Failure) -> Finding | None:
    """A matrix that has no inverse, or no Cholesky factor."""
    matrix, call = _matrix(failure), failure.call
    if not (said(failure, "singular") or said(failure, "ill conditioned")) or call is None:
        return None
    if call.name == "MultivariateNormal":
        matrix = call.argument(1, "covariance_matrix", "precision_matrix", "scale_tril")
    if matrix is None or shape(matrix) is None:
        return None
    name = matrix.text if len(matrix.text) < 40 else "this matrix"
    definite = "positive" in failure.message.lower()
    if said(failure, "ill conditioned"):
        bad = not bool(matrix.value.isfinite().all())
        title = f"{name} holds nan or infinity" if bad else f"{name} is too ill-conditioned"
        return Finding(title, (), [suffix(failure, matrix, ".nan_to_num()", title="0 for nan")])
    title = f"{name} is not positive-definite" if definite else f"{name} is singular: it has no inverse"
    notes = _notes(matrix)
    return Finding(title, notes, _definite_edits(failure, matrix) if definite else _singular_edits(failure, matrix))


def _notes(matrix: Operand) -> tuple[str, ...]:
    value = matrix.value
    if not is_tensor(value) or value.ndim != 2 or value.shape[0] != value.shape[1] or value.shape[0] > 512:
        return ()
    import torch

    rank = int(torch.linalg.matrix_rank(value.detach().double()))
    return (f"its rank is {rank}, and it has {value.shape[0]} rows",) if rank < value.shape[0] else ()


def _eye(matrix: Operand) -> str:
    size = (shape(matrix) or (1,))[-1]
    double = ", dtype=torch.float64" if str(matrix.value.dtype) == "torch.float64" else ""
    return f"torch.eye({size}{double})"


def _with_jitter(failure: Failure, matrix: Operand) -> Iterator[Edit]:
    own = text_of(failure, matrix.node) if matrix.node is not None else matrix.text
    simple = isinstance(matrix.node, ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.BinOp)
    own = own if simple else f"({own})"
    for eps in ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2"):
        text = _braced(failure, matrix, f"{own} + {eps} * {_eye(matrix)}")
        yield change(failure, (matrix, text), title=f"{eps} more on its diagonal")


def _singular_edits(failure: Failure, matrix: Operand) -> Iterator[Edit]:
    call, node = failure.call, failure.node
    name = _plain(call.name) if call else ""
    if name in _INVERSES:
        yield change(failure, (node, _call_text(failure, "pinv", matrix.text)), title="the pseudo-inverse")
    if name in _SOLVES:
        yield from list(_least_squares(failure))[:1]
        yield from list(_with_jitter(failure, matrix))[:1]
        yield from _least_squares(failure)
    yield from _with_jitter(failure, matrix)


def _definite_edits(failure: Failure, matrix: Operand) -> Iterator[Edit]:
    value = matrix.value
    own = suffixed(failure, matrix, "")
    turned = ".T" if value.ndim == 2 else ".mT"
    symmetric = bool((value - value.transpose(-2, -1)).abs().max() <= 1e-5 * value.abs().max())
    gram = _braced(failure, matrix, f"{own} @ {own}{turned}")
    if symmetric:
        yield from _with_jitter(failure, matrix)
    yield change(failure, (matrix, gram), title="the product with its transpose")
    size = (shape(matrix) or (1,))[-1]
    yield change(failure, (matrix, _braced(failure, matrix, f"{own} @ {own}{turned} + 1e-6 * {_eye(matrix)}")))
    yield change(
        failure, (matrix, _braced(failure, matrix, f"{own} + {size} * {_eye(matrix)}")), title="more on its diagonal"
    )
    yield suffix(failure, matrix, ".abs()")


# Right-hand sides that do not fit.


def solve_shape(failure: Failure) -> Finding | None:
    """A right-hand side whose rows are not those of the matrix."""
    call = failure.call
    vector = call is not None and _plain(call.name) in (*_SOLVES, *_LEADING) and said(failure, "not a matrix")
    if not (said(failure, "solve shape") or vector) or call is None:
        return None
    left, right = call.argument(0, "A", "input"), call.argument(1, "B", "other", "b")
    a, b = shape(left), shape(right)
    if left is None or right is None or not a or not b:
        return None
    if vector:
        flat = left if len(a) < 2 else right
        title = f"{call.name} takes matrices, and {flat.text} is {brackets(shape(flat) or ())}"
        return Finding(title, (), _flat_edits(failure, left, right))
    rows = b[0] if len(b) == 1 else b[-2]
    title = f"the right-hand side {brackets(b)} has {rows} rows, and the matrix {brackets(a)} has {a[-2]}"
    return Finding(title, (), _side_edits(failure, left, right, a, b))


def _flat_edits(failure: Failure, left: Operand, right: Operand) -> Iterator[Edit]:
    """The sides swapped, or a vector as a matrix of one column."""
    a, b = shape(left) or (), shape(right) or ()
    if len(a) < 2 and len(b) >= 2 and b[-1] == b[-2] and _plain(failure.call.name if failure.call else "") in _SOLVES:
        yield _swapped(failure, left, right)
    for operand, sizes in ((left, a), (right, b)):
        if len(sizes) == 1:
            yield suffix(failure, operand, ".unsqueeze(1)", title="one column")
            yield suffix(failure, operand, ".unsqueeze(0)", title="one row")
    yield _swapped(failure, left, right)


def _side_edits(
    failure: Failure, left: Operand, right: Operand, a: tuple[int, ...], b: tuple[int, ...]
) -> Iterator[Edit]:
    rows = a[-2]
    if len(b) > 1 and b[-1] == rows:
        yield suffix(failure, right, ".T" if len(b) == 2 else ".transpose(-2, -1)", title="transpose the right side")
    if len(a) > 1 and len(b) > 1 and b[-2] == b[-1] and a[-1] != a[-2]:
        yield _swapped(failure, left, right)
    if len(b) > 1 and (b[-2] == b[-1] or len(a) == 1) and b[-1] == a[0]:
        yield _swapped(failure, left, right)
    if len(b) >= 1 and b[-1] == rows:
        yield suffix(failure, right, ".unsqueeze(-1)", title="one column for each")
    if len(b) == 2 and len(a) == 2 and a[-1] == b[0]:
        yield suffix(failure, left, ".T", title="transpose the matrix")
    if len(b) == 1 and a[-1] == b[0] and a[-1] != a[-2]:
        yield suffix(failure, left, ".T", title="transpose the matrix")
    if len(b) == 3:
        for text in (".squeeze(0)", ".squeeze(-1)", ".flatten(1)"):
            yield suffix(failure, right, text)
    if len(b) == 2 and b[0] == 1:
        yield suffix(failure, right, ".squeeze(0)", title="as a vector")
    yield _swapped(failure, left, right)
    size = b[0] if len(b) == 1 else b[-2]
    if size > rows:
        yield suffix(failure, right, f"[:{rows}]", title=f"the first {rows}")
    if len(a) == 2 and a[0] != a[1]:
        yield suffix(failure, left, f"[:{size}]", title=f"the first {size}")
    if size < rows and len(a) == 2 and failure.call and failure.call.name in _SOLVES:
        yield suffix(failure, left, f"[:{size}, :{size}]", title=f"the first {size} of each")
    yield renamed(failure, "lstsq")


ENTRIES = (
    Entry(
        "solve-shape",
        "linalg",
        solve_shape,
        "torch.linalg.solve(torch.eye(3), torch.rand(2, 3))",
        "solve(A, B) takes a B with as many rows as A: one column for each right-hand side.",
    ),
    Entry(
        "not-square",
        "linalg",
        not_square,
        "torch.linalg.inv(torch.rand(2, 3))",
        "Inverses, determinants and eigenvalues are of square matrices; pinv, lstsq and svd take any.",
    ),
    Entry(
        "singular",
        "linalg",
        singular,
        "torch.linalg.inv(torch.ones(2, 2))",
        "A singular matrix has no inverse: pinv and lstsq, or a little more on its diagonal.",
    ),
)
