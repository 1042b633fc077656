"""What inspect draws and says of memory: each picture as it is drawn, and what it says compared with torch."""

from itertools import accumulate, pairwise, product
from operator import mul

import numpy as np
import pytest
import torch

from tensorcli import report, wire
from tensorcli.engine import diagrams, pretend
from tensorcli.engine.session import Session
from tensorcli.render import render
from tensorcli.render.diagrams import draw
from tensorcli.render.theme import ERROR, SPAN

WIDTHS = (20, 40, 60, 80, 100, 120, 160)


def inspected(text: str, setup: str = "", **options) -> report.Trace:
    answers: list[report.AnyReport] = []
    Session(seed=0).ask(report.Inspect(text=text, setup=setup, **options), answers.append)
    return next(answer for answer in answers if isinstance(answer, report.Trace))


def diagram(text: str, setup: str = "") -> report.AnyDiagram | None:
    return next(iter(inspected(text, setup).root.diagrams), None)


def shown(trace: report.Trace, width: int = 80) -> list[str]:
    return str(render(trace, width=width)).split("\n")


def picture(text: str, setup: str, *, width: int = 80) -> list[str]:
    root = inspected(text, setup).root
    return [line.plain for line in draw(root, root.diagrams[0], width=width)]


# Each picture.


X = "x = torch.arange(24.).reshape(2, 3, 4); y = torch.zeros(5, 3, 4); m = torch.ones(4, 5); v = torch.ones(5)"
DRAWN = {
    "m @ v": [
        " m @ v  (4, 5) @ (5,) -> (4,)   40 FLOP",
        "            ╰─────╯",
    ],
    "x @ m": [
        " x @ m  (2 | 3, 4) @ (4, 5) -> (2 | 3, 5)   240 FLOP",
        "                ╰─────╯",
    ],
    "F.linear(m, m)": [
        " F.linear(m, m)  (4, 5) @ (4, 5).T -> (4, 4)   160 FLOP",
        "                     ╰────────╯",
    ],
    "torch.einsum('ijk,kl->lij', x, m)": [
        " torch.einsum('ijk,kl->lij…     i  j  k  l",
        "                             x  2  3  4",
        "                             m        4  5",
        "                                2  3     5",
    ],
    "x.flatten(1)": [
        " x.flatten(1)  (2, 3, 4) -> (2, 12)",
        "                a  b  c      a  bc",
    ],
    "x.unflatten(2, (2, 2))": [
        " x.unflatten(2, (2, 2))  (2, 3, 4) -> (2, 3, 2, 2)",
        "                          a  b cd      a  b  c  d",
    ],
    "x.reshape(6, 4)": [
        " x.reshape(6, 4)  (2, 3, 4) -> (6, 4)",
        "                   a  b  c     ab  c",
    ],
    "x.view(8, 3)": [
        " x.view(8, 3)  (2, 3, 4) -> (8, 3)",
        "               the elements in their order, cut anew",
    ],
    "x.permute(2, 0, 1)": [
        " x.permute(2, 0, 1)  (2, 3, 4) -> (4, 2, 3)",
        "                      a  b  c      c  a  b",
    ],
    "x[:, None]": [
        " x[:, None]  (2, 3, 4) -> (2, 1, 3, 4)",
        "              a  b  c      a  +  b  c",
    ],
    "torch.stack([x, x], 1)": [
        " torch.stack([x, x], 1)  2 of (2, 3, 4) -> (2, 2, 3, 4)",
        "                               a  b  c      a  +  b  c",
    ],
    "torch.cat([x, y])": [
        " torch.cat([x, y])  (2, 3, 4), (5, 3, 4) -> (7, 3, 4)",
        "                     a  b  c    d  b  c    a+d  b  c",
    ],
    "x.chunk(2, dim=-1)": [
        " x.chunk(2, dim=-1)  (2, 3, 4) -> 2 of (2, 3, 2)",
        "                      a  b 2c           a  b  c",
    ],
    "x[:1, 0].expand(3, 4)": [
        " x[:1, 0].expand(3, 4)  (1, 4) -> (3, 4)",
        "                         a  b     3a  b",
    ],
    "m[1:3, ::2]": [
        " m[1:3, ::2]  6 of 20 elements",
        "                0 1 2 3 4",
        "              0 · · · · ·",
        "              1 ■ · ■ · ■",
        "              2 ■ · ■ · ■",
        "              3 · · · · ·",
    ],
    "x[1, [2, 0, 2]]": [
        " x[1, [2, 0, 2]]  8 of 24 elements, 12 with repeats; here [1]",
        "                    0 1 2 3",
        "                  0 ■ ■ ■ ■",
        "                  1 · · · ·",
        "                  2 ■ ■ ■ ■",
    ],
    "torch.arange(3000)[5:8]": [
        " torch.arange(3000)[5:8]  3 of 3,000 elements",
        "                             0 …    4    5    6    7    8 … 2999",
        "                             · …    ·    ■    ■    ■    · …    ·",
    ],
    "m.diagonal()": [
        " m.diagonal()  sizes [4]  strides [6]  offset 0  storage 20",
        "               ■ · · · · · ■ · · · · · ■ · · · · · ■ ·",
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", DRAWN)
def test_pictures(text):
    assert picture(text, X) == DRAWN[text]


def test_a_picture_stands_below_its_expression_where_it_is_narrow_and_is_left_out_where_it_does_not_fit():
    assert picture("x.flatten(1)", X, width=30) == [
        " x.flatten(1)",
        "    (2, 3, 4) -> (2, 12)",
        "     a  b  c      a  bc",
    ]
    assert picture("x.flatten(1)", X, width=20) == []


@pytest.mark.parametrize(
    "text", ["x + 1", "x.sum()", "x[:]", "x.reshape(2, 3, 4)", "x.squeeze()", "torch.cat([x])", "len(x)"]
)
def test_what_is_plain_has_no_picture(text):
    assert inspected(text, X).root.diagrams == ()


def test_an_in_place_method_draws_nothing_and_a_number_is_not_aligned():
    assert inspected("x[0].add_(1)", X).root.diagrams == ()
    assert not any(line.startswith(" broadcast") for line in shown(inspected("x + torch.tensor(1.0)", X)))
    assert sum(line.startswith(" broadcast") for line in shown(inspected("x + torch.ones(4)", X))) == 1


# What they say is what torch does.


@pytest.mark.parametrize(
    "text",
    [
        "a @ b",
        "a.matmul(b)",
        "a.mm(b)",
        "torch.mm(a, b)",
        "torch.matmul(a, other=b)",
        "torch.addmm(bias, a, b)",
        "bias.addmm(a, b)",
    ],
)
def test_every_spelling_of_a_product_is_one(text):
    setup = "a = torch.ones(3, 4); b = torch.ones(4, 5); bias = torch.ones(5)"
    assert diagram(text, setup) == report.Product(left=(3, 4), right=(4, 5), result=(3, 5))


def test_a_linear_layer_is_a_product_inside_a_model_too():
    expected = report.Product(left=(3, 4), right=(2, 4), result=(3, 2), transposed=True)
    setup = "x = torch.ones(3, 4); layer = nn.Linear(4, 2); model = nn.Sequential(layer, nn.ReLU())"
    assert diagram("layer(x)", setup) == expected
    inside = inspected("model(x)", setup).root.children[1]
    assert (inside.text, inside.diagrams) == ("0: Linear(4, 2)", (expected,))


MOVES = [
    "x.permute(2, 0, 1)", "torch.permute(x, (1, 2, 0))", "x.transpose(0, -1)", "x.mT", "x.movedim(0, 2)",
    "torch.moveaxis(x, -1, 0)", "x.swapaxes(0, 1)", "x[0].T", "x[0].t()", "x.swapdims(dim0=1, dim1=2)",
]  # fmt: skip


@pytest.mark.parametrize("text", MOVES)
def test_letters_follow_axes(text):
    x = torch.arange(24).reshape(2, 3, 4)
    picture = diagram(text, "x = torch.arange(24).reshape(2, 3, 4)")
    ((before,), (after,)) = picture.before, picture.after
    source = x[0] if "[0]" in text else x
    expected = torch.einsum(f"{''.join(before.letters)}->{''.join(after.letters)}", source)
    assert torch.equal(expected, eval(text, {"x": x, "torch": torch}))


@pytest.mark.parametrize("before", [(12,), (2, 6), (6, 2), (3, 4), (2, 3, 2), (1, 12), (4, 1, 3)])
@pytest.mark.parametrize("after", [(12,), (2, 6), (6, 2), (3, 4), (2, 2, 3), (12, 1), (2, 1, 6)])
def test_letters_of_a_reshape_have_the_sizes_that_they_stand_for(before, after):
    picture = diagram(f"x.reshape{after}", f"x = torch.zeros{before}")
    if before == after:
        assert picture is None
        return
    (old,), (new,) = picture.before, picture.after
    assert (old.shape, new.shape) == (before, after)
    places = sorted({*accumulate(before, mul), *accumulate(after, mul)})  # after so many elements an axis ends
    assert bool(picture.note) == any(last % first for first, last in pairwise(places))
    if picture.note:
        return
    kept = "".join(old.letters)
    there = [letters for letters in new.letters if letters != "+"]
    dropped = {letters for letters, size in zip(old.letters, old.shape, strict=True) if size == 1} - set(there)
    assert [letter for letter in kept if letter not in dropped] == list("".join(there))
    assert all(size == 1 for letters, size in zip(new.letters, new.shape, strict=True) if letters == "+")


INDICES = [
    "1", "-1", "0, 2", "1:", "::2", "1:3, -2", "..., 0", ":, 1:3", "None, 1", "[0, 2]", "[0, 2], [1, 3]", "i",
    "i, :, 1",    "b", "x > 30", "0, x[0] > 5", ":, i", "-2:, ::3, 1", "torch.tensor(1)", "..., [0]",
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES)
def test_the_marked_cells_are_those_that_the_index_gives(index):
    setup = "x = torch.arange(60).reshape(3, 5, 4); i = torch.tensor([2, 0, 2]); b = torch.tensor([True, False, True])"
    names = {"torch": torch}
    exec(setup, names)
    picture = diagram(f"x[{index}]", setup)
    taken = eval(f"x[{index}]", names).contiguous()
    assert isinstance(picture, report.Selection)
    assert (picture.chosen, picture.taken) == (len(taken.unique()), taken.numel())
    plane = names["x"][picture.plane]
    for row, cells in zip(picture.rows, picture.cells, strict=True):
        for column, cell in zip(picture.columns, cells, strict=True):
            assert (cell == "#") == bool((taken == plane[row, column]).any()), (row, column)
    assert (picture.rows, picture.columns) == ((0, 1, 2, 3, 4), (0, 1, 2, 3))
    planes = torch.isin(names["x"], taken).flatten(1).any(1)
    assert (picture.planes, picture.plane) == (int(planes.sum()), (int(planes.nonzero()[0, 0]),))


PICKED = [
    "x.gather(1, j)", "torch.gather(x, 0, j)", "torch.gather(input=x, dim=1, index=j)", "x.index_select(0, i)",
    "torch.index_select(x, 1, i)", "torch.take_along_dim(x, j, 1)", "torch.take_along_dim(x, i)", "x.take(j)",
    "x.masked_select(x > 5)", "torch.masked_select(x, b[:, None])", "x.select(0, 1)", "x.narrow(1, 1, 2)",
    "torch.take_along_dim(x, x.argmax(1, keepdim=True), dim=1)",
]  # fmt: skip


@pytest.mark.parametrize("text", PICKED)
def test_the_marked_cells_are_those_that_an_operation_takes(text):
    setup = """x = torch.arange(12).reshape(3, 4); i = torch.tensor([2, 0, 2]); b = torch.tensor([True, False, True])
j = torch.tensor([[0, 1], [2, 0], [1, 1]])"""
    names = {"torch": torch}
    exec(setup, names)
    picture = diagram(text, setup)
    taken = eval(text, names)
    assert (picture.chosen, picture.taken, picture.changed) == (len(taken.unique()), taken.numel(), False)
    assert "".join(picture.cells) == "".join("#" if number in taken else "." for number in range(12))


CHANGED = [
    "x[:, 1] += y", "x[m] = 1", "x[1][0] = 7", "x[0] = 5", "x[i] -= 1", "x[i, 1:3] = 2", "x[1:][m[1:]] *= 0",
    "x[-1, ::2] = 3", "x[j[0]] = 1", "d['x'][0][i] = 1", "xs[0][:, None, 2] = 8", "x[b] = y[0]",
    "x[[0, 2], [1, 3]] = 1", "x[..., 0] /= 2", "x[k] = 1", "n[0] = 4", "n[:, 1][2:] = 4",
    "x[x > 50] = 0", "x[i[i > 0]] = 2",
]  # fmt: skip


@pytest.mark.parametrize("text", CHANGED)
def test_the_marked_cells_are_those_that_an_assignment_changes(text):
    setup = """x = torch.arange(1., 13).reshape(3, 4) * 10; y = torch.ones(3); m = x > 50; i = torch.tensor([2, 0])
b = torch.tensor([True, False, True]); j = [i, i]; k = torch.tensor(1); d = {"x": [x]}; xs = (x,); n = x.double()"""
    names = {"torch": torch}
    exec(setup, names)
    whole = names["n" if text.startswith("n") else "x"]
    before = whole.clone()
    exec(text, names)
    changed = whole != before
    picture = diagram(text, setup)
    assert (picture.changed, picture.chosen) == (True, int(changed.sum()))
    assert "".join(picture.cells) == "".join("#" if cell else "." for cell in changed.flatten())


def test_wide_numbers_of_columns_fit_on_the_screen():
    lines = picture("x[5]", "x = torch.zeros(1).expand(10**5, 10**5)")
    assert lines[1].split() == ["0", "1", "2", "3", "4", "5", "…", "99998", "99999"]


def test_a_change_says_so():
    assert picture("m[1, 2:] = 5", X) == [
        " m[1, 2:] = 5  3 of 20 elements changed",
        "                 0 1 2 3 4",
        "               0 · · · · ·",
        "               1 · · ■ ■ ■",
        "               2 · · · · ·",
        "               3 · · · · ·",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "x[:] = 0",
        "x[:, None] = 1",
        "m[m] = False",
        "x[[0]][0] = 1",
        "x[5:] = 1",
        "x[i], b = 1, 2",
    ],
)
def test_a_change_of_all_or_nothing_or_by_what_it_changes_has_no_picture(text):
    setup = "x = torch.arange(12.).reshape(3, 4); m = x[0] > 1; i = torch.tensor([0]); n = torch.tensor([1, 2, 0])"
    assert not any(isinstance(each, report.Selection) for each in inspected(text, setup).root.diagrams)


@pytest.mark.parametrize(
    ("text", "letters", "rows"),
    [
        ("torch.einsum('...ij,jk->...ik', x, w)", "…ijk", [(2, 3, 4, None), (None, None, 4, 5), (2, 3, None, 5)]),
        ("torch.einsum('...i,...i', x, v)", "……i", [(2, 3, 4), (None, None, 4), (2, 3, None)]),
        ("torch.einsum('i...->...', x)", "i……", [(2, 3, 4), (None, 3, 4)]),
        ("torch.einsum('ba', w)", "ba", [(4, 5), (4, 5)]),
        ("torch.einsum('ii', s)", "i", [(3,), (None,)]),
        ("torch.einsum('ij,ij->', [w, w])", "ij", [(4, 5), (4, 5), (None, None)]),
    ],
)
def test_the_sizes_of_the_letters_of_an_einsum(text, letters, rows):
    setup = "x = torch.ones(2, 3, 4); w = torch.ones(4, 5); v = torch.ones(4); s = torch.ones(3, 3)"
    picture = diagram(text, setup)
    assert "".join(picture.letters) == letters
    assert [*(sizes for _, sizes in picture.operands), picture.result] == rows


@pytest.mark.parametrize(
    "text", ["torch.cat([torch.zeros(0), x])", "torch.column_stack([v, x])", "torch.dstack([v, v])"]
)
def test_pieces_of_several_ranks_have_no_picture(text):
    assert diagram(text, "x = torch.ones(3, 4); v = torch.ones(3)") is None


def test_only_a_view_has_strides():
    setup = "x = torch.ones(4, 6); y = x.T"
    assert [type(each) for each in inspected("x.T", setup).root.diagrams] == [report.Axes, report.Strides]
    assert inspected("x.T + 1", setup).root.diagrams == ()
    assert [type(each) for each in inspected("y", setup).root.diagrams] == [report.Strides]
    assert inspected("x", setup).root.diagrams == ()


def test_a_large_selection_is_cut_and_a_huge_one_needs_no_memory():
    picture = diagram("x[500:700:3, -1]", "x = torch.zeros(1000, 500)")
    assert (picture.rows, picture.columns) == ((0, 499, 500, 501, 697, 698, 699, 999), (0, 498, 499))
    assert picture.cells == ("...", "...", "..#", "...", "...", "..#", "...", "...")
    picture = diagram("x[5:-5, 7]", "x = torch.zeros(1).expand(10**7, 10**6)")
    assert (picture.chosen, len(picture.rows), len(picture.columns)) == (10**7 - 10, diagrams.ROWS, 5)
    assert diagram("x[[5]]", "x = torch.zeros(1).expand(10**7, 10)") is None


@pytest.mark.parametrize("text", ["x.T", "x[::2, 1:3]", "x.diagonal(1)", "x.expand(2, 4, 6)", "x[1:].unfold(1, 2, 3)"])
def test_strides_and_the_cells_of_the_storage(text):
    x = torch.arange(24).reshape(4, 6)
    value = eval(text, {"x": x})
    trace = inspected(text, "x = torch.arange(24).reshape(4, 6)")
    picture = trace.root.diagrams[-1]
    assert isinstance(picture, report.Strides)
    assert (picture.sizes, picture.strides) == (tuple(value.shape), value.stride())
    assert (picture.offset, picture.storage) == (value.storage_offset(), 24)
    assert [place for place, cell in enumerate(picture.cells) if cell == "#"] == value.unique().tolist()


def test_pictures_cost_the_statement_nothing():
    """They neither count as its operators nor draw random numbers nor take its memory."""
    trace = inspected("x[[0, 1]].permute(1, 0)", "x = torch.zeros(100, 100)")
    assert (trace.peak_nbytes, trace.seed) == (816, None)  # with the index
    index = trace.root.children[0]
    assert (trace.root.moved_nbytes, index.moved_nbytes) == (None, 2 * 8 + 2 * 800)
    assert not index.flops


def test_the_end_of_a_chain_of_methods_is_what_it_is_named_by():
    assert picture("x.abs().neg().reshape(6, 4)", X, width=50)[0] == " …).reshape(6, 4)  (2, 3, 4) -> (6, 4)"


def test_a_pretended_device_has_the_same_pictures():
    answers = []
    try:
        session = Session(seed=0, pretend="cuda")
        session.ask(report.Inspect(text="x[[0, 2]].T", setup="x = torch.ones(3, 2, device='cuda')"), answers.append)
    finally:
        pretend.stop()
    (trace,) = answers
    assert [type(each) for each in trace.root.diagrams] == [report.Axes, report.Strides]
    assert trace.root.children[0].diagrams[0].cells == ("##", "..", "##")


# Memory.


RELATIONS = [
    "x.T", "x.float()", "x.double()", "x.contiguous()", "x.T.contiguous()", "x.reshape(4)", "x.clone()", "x + 1",
    "x.T.reshape(4)", "x.detach()", "x[0]", "x[[0]]", "x.to(torch.float32)", "x.numpy()", "x.expand(3, 2, 2)",
    "torch.as_tensor(x)", "torch.zeros(3)",
]  # fmt: skip


@pytest.mark.parametrize("text", RELATIONS)
def test_relations_are_those_of_the_memory(text):
    names = {"x": torch.ones(2, 2), "torch": torch}
    value = eval(text, names)
    root = inspected(text, "x = torch.ones(2, 2)").root
    if value is names["x"]:
        expected = ["same object as x"]
    elif isinstance(value, np.ndarray) or value.untyped_storage().data_ptr() == names["x"].untyped_storage().data_ptr():
        expected = ["view of x"] if text.count(".") == 1 or "torch" not in text else ["view of x", "view of its input"]
    else:
        expected = ["new", "copy"]
    assert root.relation in expected
    assert bool(root.new_nbytes) == (root.relation in ("new", "copy"))


@pytest.mark.parametrize("text", ["x.grad", "layer.weight", "pair[1]", "d['w']", "model[0].bias"])
def test_what_was_there_before_is_not_new(text):
    setup = """x = torch.ones(2, requires_grad=True); x.sum().backward(); layer = nn.Linear(2, 3)
pair = (1, torch.ones(2)); d = {"w": torch.ones(2)}; model = nn.Sequential(nn.Linear(2, 3))"""
    root = inspected(text, setup).root
    assert (root.relation, root.new_nbytes) in ((None, None), (f"same object as {text}", 0))


def test_a_view_is_held_against_its_storage():
    (note,) = inspected("x[::2, :2]", "x = torch.ones(48, 4)").root.notes
    assert note == "192 B of a storage of 768 B"


ALIASES = (
    "x = torch.ones(4, 4); v = x[0]; a = x.numpy(); y = torch.ones(4, 4); def change(t): t.mul_(2); return t.sum()"
)
CHANGES = {
    "x += 1": ("x", "v", "a"),
    "x[0] = 5": ("x", "v", "a"),
    "x.add_(1)": ("x", "v", "a"),
    "v.zero_()": ("x", "v", "a"),
    "x[1:].zero_()": ("x", "a"),
    "F.relu_(x)": ("x", "v", "a"),
    "F.relu(x, inplace=True)": ("x", "v", "a"),
    "torch.add(y, 1, out=x)": ("x", "v", "a"),
    "nn.init.ones_(y)": ("y",),
    "change(x)": ("x", "v", "a"),
    "x + 1": None,
    "x.add(1)": None,
    "x = x + 1": None,
}


@pytest.mark.parametrize("text", CHANGES)
def test_what_a_change_in_place_changes(text):
    setup = ALIASES.replace("; def change(t): ", "\ndef change(t):\n    ")
    root = inspected(text, setup).root
    notes = [note for node in (root, *root.children) for note in node.notes if "in place" in note]
    assert notes == ([f"changes {', '.join(CHANGES[text])} in place"] if CHANGES[text] else [])


def test_who_shares_memory_is_said_below_the_tree():
    setup = "x = torch.ones(64, 64); y = x.T; a = x.numpy(); z = torch.ones(2); w = z"
    trace = inspected("x + 1", setup)
    assert trace.shared == (report.Shared(names=(("x", ""), ("y", "view"), ("a", "NumPy")), nbytes=16384),)
    assert " x, y (view), a (NumPy) share 16 KiB; a change in place of one changes the others" in shown(trace, 100)
    assert inspected("z * z", setup).shared == (report.Shared(names=(("z", ""), ("w", "")), nbytes=8),)
    assert inspected("torch.ones(2)", setup).shared == ()
    assert inspected("b = x[0]", "x = torch.ones(4, 4)").shared[0].names == (("x", ""), ("b", "view"))


def test_what_stays_and_the_peak():
    trace = inspected("((x + 1) * 2).sum()", "x = torch.ones(1024)")
    assert (trace.kept_nbytes, trace.peak_nbytes) == (4, 8192)
    assert shown(trace, 100)[-2].startswith(" 4 B new; peak 8 KiB above the inputs; ")
    assert shown(inspected("x.T", "x = torch.ones(2, 2)"))[-2].startswith(" no new memory; ")


# The screen.


def test_what_drew_is_marked_and_its_seed_gives_it_again():
    answers: list[report.AnyReport] = []
    session = Session(seed=8241137)
    session.ask(report.Inspect(text="y = torch.rand(3) + torch.ones(3)"), answers.append)
    (trace,) = answers
    rand, ones = trace.root.children
    assert (rand.result.drew_random, ones.result.drew_random) == (True, False)
    screen = shown(trace, 120)
    assert [line.endswith("  random") for line in screen[1:4]] == [False, True, False]
    assert " random: seed 8241137 gives it again; " in screen[-1]
    torch.manual_seed(trace.seed)
    assert torch.equal(session.names["y"], torch.rand(3) + 1)
    assert "random" in inspected("[torch.rand(2) for i in range(3)]").root.notes


def test_the_columns_of_operations():
    setup = "x = torch.ones(64, 784); w = torch.ones(784, 10)"
    trace = inspected("torch.relu(x @ w).sort().values", setup)
    assert not trace.root.uncounted  # what its input, a tuple, looks like is no operator of its own
    by_text = {line.strip(" └├│").split("  ")[0]: line for line in shown(trace, 140)[:7]}
    assert by_text["expression"].endswith("FLOP  FLOP/B")
    assert by_text["x @ w"].endswith(f"1.0 M     {2 * 64 * 784 * 10 / (4 * (64 * 784 + 784 * 10 + 64 * 10)):.2g}")
    assert by_text["torch.relu(x @ w).sort()"].endswith("not counted")
    assert "not counted: sort; " in shown(trace, 140)[-1]


def test_what_was_evaluated_often_says_how_often_and_how_long():
    root = report.Node(
        text="[i for i in x]", span=None, operation="listcomp", result=report.Value(type="list"), seconds=1.3e-3,
        count=100, shortest_seconds=12e-6, longest_seconds=15e-6,
    )  # fmt: skip
    screen = shown(report.Trace(root=root, total_seconds=1.0))
    assert screen[1] == " [i for i in x]  list    1.3 ms  100 times, 12 .. 15 us each"


def test_what_failed_is_marked_and_nothing_above_it_has_a_result():
    trace = inspected("torch.relu((x + 1) @ x).sum()", "x = torch.ones(2, 3)")
    text = render(trace, width=100)
    lines = text.plain.split("\n")
    assert [line.split("  ")[-1].strip() for line in lines[1:4]] == [
        "torch.relu((x + 1) @ x).sum()",
        "└ torch.relu((x + 1) @ x)",
        "failed",
    ]
    red = {text.plain[span.start : span.end] for span in text.spans if span.style in (ERROR, SPAN)}
    assert red == {"torch.relu((x + 1) @ x).sum()", "torch.relu((x + 1) @ x)", "(x + 1) @ x", "failed"}


def test_members_of_a_tuple_are_named():
    screen = shown(inspected("x.max(0)", "x = torch.ones(3, 64)"))
    assert screen[1].startswith(" x.max(0)    max: float32 [64], int64 [64] ")
    assert shown(inspected("x.chunk(2)", "x = torch.ones(4)"))[1].startswith(" x.chunk(2)  float32 [2], float32 [2] ")


def test_a_few_pictures_are_drawn_those_of_the_outermost_parts_first_and_all_if_asked():
    text, setup = "x.T.T.T.T.T.T", "x = torch.ones(2, 3)"
    few, every = shown(inspected(text, setup)), shown(inspected(text, setup, all=True))
    heads = [" x.T.T.T.T.T.T  (3, 2) -> (2, 3)", " x.T.T.T.T.T  (2, 3) -> (3, 2)"]
    assert [line for line in few if "->" in line][:2] == heads
    assert sum("->" in line for line in few) == 4
    assert " and 2 more pictures with --all" in few
    assert sum("->" in line for line in every) == 6
    assert sum("strides" in line for line in every) == 3


@pytest.mark.parametrize(
    ("text", "width"), list(product([*DRAWN, "x.max(0)", "(x @ m).relu() @ v", "x += torch.rand(4)"], WIDTHS))
)
def test_no_line_is_wider_than_the_screen(text, width):
    trace = inspected(text, X, all=True)
    assert [line for line in shown(trace, width) if len(line) > width] == []


@pytest.mark.parametrize(
    "text", ["x @ m", "torch.einsum('ijk,kl->lij', x, m)", "x.flatten(1)", "x[0, 1:]", "m.diagonal()"]
)
def test_pictures_travel(text):
    trace = inspected(text, X)
    assert trace.root.diagrams
    assert wire.report(wire.encode(trace)) == trace
