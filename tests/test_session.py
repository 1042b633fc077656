"""A session: names, results, seeds, settings, output, and every failure a diagnosis."""

import os
import threading

import pytest
import torch

from tensorcli import report
from tensorcli.engine.output import Sink
from tensorcli.engine.session import Session


@pytest.fixture
def session():
    """A fresh session with seed 0."""
    yield Session(seed=0)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def ask(session: Session, request: report.AnyRequest | str, **options) -> list[report.AnyReport]:
    answers: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=request, **options) if isinstance(request, str) else request, answers.append)
    return answers


def test_an_assignment_answers_with_its_name_an_expression_without(session):
    assigned, shown = ask(session, "x = torch.ones(2, 3); x")
    assert (assigned.name, assigned.statement, assigned.source) == ("x", 1, "x = torch.ones(2, 3)")
    assert (shown.name, shown.statement, shown.source) == (None, 2, "x")
    assert shown.values == [[1.0] * 3] * 2
    assert shown.seconds > 0


def test_only_the_last_expression_answers_or_all_of_them(session):
    kinds = [type(answer) for answer in ask(session, "1\n2\n3")]
    assert kinds == [report.Nothing, report.Nothing, report.Value]
    assert [answer.text for answer in ask(session, "1\n2\n3", echo="all")] == ["1", "2", "3"]


def test_a_semicolon_at_the_end_silences_a_value_which_is_kept(session):
    for text in ("'é'; torch.ones(2);", "torch.ones(2) ;  # quiet"):
        said = ask(session, text)[-1]
        assert isinstance(said, report.Nothing)
        assert said.unsaid
        assert ask(session, "_.tolist()")[-1].text == "[1.0, 1.0]"
    assert ask(session, "Out[1] is Out[3]")[-1].text == "False"
    assert [a.text for a in ask(session, "1; 2", echo="all")] == ["1", "2"]


def test_unpacking_and_changes_in_place_answer_for_each_variable(session):
    a, b = ask(session, "a, b = torch.tensor([[3, 1]]).max(dim=1)")
    assert (a.name, a.values, b.name, b.values) == ("a", [3], "b", [0])
    (c,) = ask(session, "a[0] = 7")
    assert (c.name, c.values) == ("a", [7])
    (d,) = ask(session, "a += 1")
    assert (d.name, d.values) == ("a", [8])
    ask(session, "f = torch.ones(2)")
    (e,) = ask(session, "f.requires_grad = True")
    assert (e.name, e.requires_grad) == ("f", True)


def test_the_last_value_and_numbered_results(session):
    ask(session, "40 + 2")
    ask(session, "x = 5")
    assert ask(session, "_ + 1")[0].text == "43"
    assert ask(session, "Out[1], Out[3]")[0].text == "(42, 43)"
    assert ask(session, "Out[2]")[0].code == "key-error"


def test_the_results_are_not_kept_among_themselves(session):
    ask(session, "torch.ones(3)")
    for _ in range(2):
        (answer,) = ask(session, "Out")
        assert answer.text == "{1: float32 [3]}"
    assert ask(session, "_ is Out")[-1].text == "True"
    assert ask(session, "list(Out)")[-1].text == "[1, 4]"


def test_no_statistics_are_made_for_the_table_of_names(session):
    ask(session, "x = torch.rand(100)\nxs = [x, x]")
    (names,) = ask(session, report.ListNames())
    x, xs = names.items
    assert [x.stats, *(item.stats for item in xs.items)] == [None] * 3


def test_builtins_can_be_variables(session):
    assert ask(session, "sum = 3; input = 4; dict = 5; sum + input + dict")[-1].text == "12"
    ask(session, report.Reset())
    assert ask(session, "sum([1, 2])")[0].text == "3"


def test_the_seed_repeats_everything(session):
    draws = "torch.rand(2).tolist(), np.random.rand()"
    first = ask(session, draws)[0].text
    ask(session, report.Configure(seed=0))
    assert ask(session, draws)[0].text == first
    assert ask(Session(seed=0), draws)[0].text == first
    assert ask(Session(seed=1), draws)[0].text != first


def test_random_numbers_are_marked(session):
    assert ask(session, "x = torch.rand(2)")[0].drew_random
    assert not ask(session, "x + 1")[0].drew_random


def test_settings(session):
    (settings,) = ask(session, report.Configure(dtype="float64"))
    assert (settings.dtype, settings.device, settings.seed) == ("float64", "cpu", 0)
    assert ask(session, "torch.ones(1)")[0].dtype == "float64"
    (problem,) = ask(session, report.Configure(dtype="int64"))
    assert problem.title == "int64 cannot be the default dtype: choose one of float32, float64, float16, bfloat16"
    (problem,) = ask(session, report.Configure(device="gpu"))
    assert problem.title == "there is no device called gpu: try cpu, cuda or cuda:1"
    (settings,) = ask(session, report.Configure(device="meta"))
    assert ask(session, "torch.ones(2)")[0].device == "meta"


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no CUDA device")
@pytest.mark.parametrize("threads", [0, (os.cpu_count() or 1) + 1])
def test_threads_that_cannot_be_are_told_and_nothing_is_changed(session, threads):
    (before,) = ask(session, report.Configure())
    (problem,) = ask(session, report.Configure(dtype="float64", seed=9, threads=threads))
    cores = os.cpu_count()
    advice = f"this machine has {cores} cores, so choose from 1 to {cores}"
    assert problem.title == f"{threads} threads cannot be: {advice}"
    assert ask(session, report.Configure()) == [before]


def test_what_is_held_is_what_the_table_of_names_says(session):
    ask(session, "model = nn.Linear(4, 2); opt = torch.optim.SGD(model.parameters(), momentum=0.9)")
    ask(session, "model(torch.ones(4)).sum().backward(); opt.step()")
    ask(session, "xs = [torch.ones(5), {'y': torch.ones(7)}]; x = xs[0][1:]; n = np.ones(3)")
    (settings,) = ask(session, report.Configure())
    (names,) = ask(session, report.ListNames())
    assert settings.memory_nbytes == names.nbytes == 3 * 4 * 10 + 4 * 5 + 4 * 7 + 8 * 3


def test_of_very_many_things_some_are_looked_at_for_what_is_held(session):
    ask(session, "xs = [*range(20_000), torch.ones(5)]; x = torch.ones(3)")
    (settings,) = ask(session, report.Configure())
    assert settings.memory_nbytes == 4 * 3


def test_no_cuda_says_why(session):
    (problem,) = ask(session, report.Configure(device="cuda"))
    assert (problem.code, problem.category) == ("no-cuda", "device")
    assert problem.title


def test_who_shares_memory(session):
    ask(session, "a = torch.arange(6); b = a.view(2, 3); c = a.clone(); n = a.numpy(); d = a; k = 3")
    names = {item.name: item for item in ask(session, report.ListNames())[0].items}
    assert list(names) == ["a", "b", "c", "n", "d", "k"]
    shared = {name: item.shares_memory_with for name, item in names.items()}
    assert shared == {
        "a": ("b", "n", "d"),
        "b": ("a", "n", "d"),
        "c": (),
        "n": ("a", "b", "d"),
        "d": ("a", "b", "n"),
        "k": (),
    }
    (view,) = ask(session, "a.view(3, 2)")
    assert view.view_of == "a"
    (itself,) = ask(session, "a")
    assert itself.shares_memory_with == ("b", "n")


def test_reset_forgets(session):
    ask(session, "x = 1; torch = 2")
    ask(session, report.Reset())
    assert ask(session, report.ListNames())[0].items == ()
    assert ask(session, "x")[0].code == "unknown-name"
    assert ask(session, "torch.ones(1)")[0].shape == (1,)


def test_output_comes_first_and_whole(session):
    printed, nothing = ask(session, "for i in range(3):\n    print(i, end=', ')")
    assert (printed.text, type(nothing)) == ("0, 1, 2, ", report.Nothing)
    printed, problem = ask(session, "print('before'); 1 / 0")[0], ask(session, "print('x'); 1 / 0")[-1]
    assert printed.text == "before\n"
    assert problem.title == "ZeroDivisionError: division by zero"


def test_much_output_comes_in_pieces(session):
    pieces = [a.text for a in ask(session, "for i in range(5000): print('0123456789')") if isinstance(a, report.Output)]
    assert len(pieces) > 3
    assert "".join(pieces) == "0123456789\n" * 5000


@pytest.mark.parametrize("printed", ["print('here')", "print('here', end='', flush=True)"])
def test_what_is_printed_in_a_long_statement_is_told_before_it_ends(printed):
    session, told, said = Session(seed=0, trust=True), threading.Event(), []
    session.names["told"] = told

    def emit(answer):
        said.append(answer)
        if isinstance(answer, report.Output) and answer.text.strip().endswith("here"):
            told.set()

    session.ask(report.Evaluate(text=f"print('first')\n{printed}\ntold.wait(20)"), emit)
    assert told.is_set()
    told.clear()  # now in one statement, that waits between two lines
    session.ask(report.Evaluate(text=f"for i in range(3): print(i); {printed}; told.wait(20); told.clear()"), emit)
    text = "".join(each.text for each in said if isinstance(each, report.Output))
    assert text.replace("\n", "") == "firsthere0here1here2here"


def test_what_was_flushed_comes_at_once_but_not_each_of_many():
    said = []
    sink = Sink(said.append, source="s", statement=1)
    sink.write("a")
    sink.flush()
    assert [each.text for each in said] == ["a"]
    for number in range(20_000):
        sink.write(f"{number}\n")
        sink.flush()
    sink.finish()
    assert "".join(each.text for each in said) == "a" + "".join(f"{number}\n" for number in range(20_000))
    assert len(said) < 10_000


def test_text_without_a_line_is_not_held_without_end():
    said = []
    sink = Sink(said.append, source="s", statement=1)
    for _ in range(1_000):
        sink.write("x" * 20)
        sink.overdue()
    assert len(said) == 2
    sink.finish()
    assert "".join(each.text for each in said) == "x" * 20_000


def test_who_writes_hears_that_nobody_reads():
    heard = threading.Event()

    def emit(_):
        heard.set()
        raise BrokenPipeError

    sink = Sink(emit, source="s", statement=1)
    sink.write("a\n")
    assert heard.wait(20)
    with pytest.raises(BrokenPipeError):
        sink.finish()


def test_a_warning_is_a_notice(session):
    notice, value = ask(session, "F.mse_loss(torch.ones(2), torch.ones(3, 2))")
    assert notice.text.startswith("UserWarning: Using a target size (torch.Size([3, 2])) that is different")
    assert value.values == 0.0


def test_what_is_collected_meanwhile_is_not_the_users():
    session = Session(seed=0, trust=True)
    said = ask(session, "import tempfile\nf = tempfile.TemporaryFile()\ndel f")  # which is not closed
    assert not any(isinstance(each, report.Notice) for each in said)


def test_a_warning_of_the_line_that_fails_is_left_to_the_error(session):
    ask(session, "x = torch.ones(2, requires_grad=True)")
    kinds = [type(answer) for answer in ask(session, "float(x)")]
    assert kinds == [report.Diagnosis]
    kinds = [type(answer) for answer in ask(session, "if True:\n    F.softmax(x)\n    float(x)")]
    assert kinds == [report.Notice, report.Diagnosis]


SPANS = {
    "A @ A": "A @ A",
    "x = 1; y = (A @ A).sum()": "A @ A",
    "[A[j] for j in range(9)]": "A[j]",
    "(lambda q: q + torch.ones(7))(A)": "q + torch.ones(7)",
    "torch.cat([A,\n   torch.ones(3)\n])": "torch.cat([A,\n   torch.ones(3)\n])",
    "é = A; f'{é @ é}'": "é @ é",
    "A.shpae": "A.shpae",
    "missing + 1": "missing",
    "torch.ones(2).reshape(3, 5)": "torch.ones(2).reshape(3, 5)",
    "{'k': A[..., 5]}": "A[..., 5]",
    "A.sum() if A @ A else 1": "A @ A",
    "for i in range(2):\n    z = A @ A": "A @ A",
    "A[0, 0, 0] = 1": "A[0, 0, 0]",
    "if A: pass": "A",
    "while A > 2:\n    pass": "A > 2",
    "1 if A else 2": "A",
    "for i in 5: pass": "5",
    "with torch.no_grad():\n    A.view(7)": "A.view(7)",
}


@pytest.mark.parametrize("text", SPANS)
def test_the_smallest_failing_expression_is_underlined(session, text):
    ask(session, "A = torch.tensor([[1, 2], [3, 4], [5, 6]])")
    problem = ask(session, text)[-1]
    assert problem.span.text == SPANS[text]
    lines = problem.source.split("\n")
    first = lines[problem.span.line - 1][problem.span.column :]
    assert first.startswith(SPANS[text].split("\n")[0])


def test_operands_are_named_with_their_facts(session):
    ask(session, "A = torch.ones(3, 2)")
    (problem,) = ask(session, "A @ torch.rand(5, 2).half()[1:]")
    facts = [(o.text, o.shape, o.dtype, o.device) for o in problem.operands]
    assert facts == [("A", (3, 2), "float32", "cpu"), ("torch.rand(5, 2).half()[1:]", (4, 2), "float16", "cpu")]


def test_explaining_changes_nothing(session):
    ask(session, "A = torch.ones(3, 2); log = []\ndef noisy(t):\n    log.append(1)\n    return t")
    before = torch.get_rng_state()
    (problem,) = ask(session, "noisy(A) @ torch.rand(5, 5)")
    assert [operand.shape for operand in problem.operands] == [(3, 2), (5, 5)]
    assert ask(session, "log")[0].text == "[1]"
    expected = torch.get_rng_state()
    torch.set_rng_state(before)
    torch.rand(5, 5)
    assert torch.equal(torch.get_rng_state(), expected)  # the statement itself drew once, its explanation nothing
    assert problem.torch == "mat1 and mat2 shapes cannot be multiplied (3x2 and 5x5)"


def test_explaining_calls_no_function_of_the_users_and_draws_nothing(session):
    ask(session, "calls = []\ndef f(t):\n    calls.append(1)\n    return t")
    ask(session, "torch.autograd.functional.jacobian(f, torch.ones(2)) + 'a'")
    assert ask(session, "len(calls)")[0].text == "1"
    ask(session, "np.random.seed(0); np.random.rand(3) @ np.random.rand(2)")
    drawn = ask(session, "np.random.rand()")[0].text
    ask(session, "np.random.seed(0); a = np.random.rand(5)")
    assert ask(session, "np.random.rand()")[0].text == drawn


@pytest.mark.parametrize("text", ["return 5", "break", "yield_ = (return)"])
def test_what_cannot_be_compiled_is_a_syntax_error_everywhere(session, text):
    for request in (report.TimeIt(text=text), report.Inspect(text=text), report.Evaluate(text=text)):
        assert ask(session, request)[-1].code in ("syntax", "syntax-error", "not-an-expression")


def test_settings_say_what_torch_was_seeded_with_since():
    session = Session(seed=5)
    ask(session, "torch.manual_seed(1); x = torch.rand(3)")
    assert (session.settings().seed, session.settings().torch_seed) == (5, 1)
    session.ask(report.Outlook(text="torch.manual_seed(7)", cursor=0), lambda _: None)
    assert session.settings().torch_seed == 1
    session.ask(report.Configure(seed=2), lambda _: None)
    assert (session.settings().seed, session.settings().torch_seed) == (2, None)


def test_what_cannot_be_raised_is_told_why():
    told = {
        "KeyboardInterrupt": "KeyboardInterrupt is what ends a program, no error: Python's built-in errors, such as "
        "ValueError, can be raised",
        "UserWarning('x')": "UserWarning is a warning: Python's built-in errors, such as ValueError, can be raised",
        "ValueError('x') from None": "raise with from is not tensor work: leave the from out",
        "3": "only Python's built-in errors, such as ValueError, can be raised",
    }
    assert {text: ask(Session(seed=0), f"raise {text}")[-1].title for text in told} == told


def test_variables_say_what_matters_of_models_and_optimizers():
    session = Session(seed=0)
    ask(session, "net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)); tied = nn.ModuleList([net, net])")
    ask(session, "opt = torch.optim.AdamW(net.parameters(), lr=0.1, betas=(0.5, 0.9))")
    ask(session, "opt.add_param_group({'params': [torch.ones(2)]}); sgd = torch.optim.SGD([torch.ones(2)], 0.5)")
    found = []
    session.ask(report.ListNames(), found.append)
    items = {item.name: item for item in found[0].items}
    size = sum(each.nbytes for each in session.names["net"].state_dict().values())
    assert items["net"].nbytes == items["tied"].nbytes == size
    assert items["opt"].text == "AdamW(lr=0.1, betas=(0.5, 0.9), 5 parameters in 2 groups)"
    assert items["sgd"].text == "SGD(lr=0.5, 1 parameter)"


def test_the_source_of_a_class_that_was_typed_is_shown():
    session = Session(seed=0, trust=True)
    for size in (1, 2):
        ask(session, f"class Net(nn.Module):\n    size = {size}")
    ask(session, "net = Net()")
    for text in ("Net", "net"):
        found = []
        session.ask(report.Document(text=text, source=True), found.append)
        assert found[0].definition == "class Net(nn.Module):\n    size = 2"


def test_time_may_pass():
    found = ask(Session(seed=0), "import time\nbefore = time.perf_counter()\ntime.sleep(0.01)\n"
                "time.perf_counter() - before >= 0.01")  # fmt: skip
    assert found[-1].text == "True"


def test_an_exception_of_any_kind_is_a_diagnosis():
    session = Session(seed=0, trust=True)
    ask(session, "class Odd(BaseException): pass")
    assert ask(session, "raise Odd('x')")[-1].title == "Odd: x"


def test_a_failure_in_an_earlier_function_is_shown_there(session):
    ask(session, "def f(t):\n    return t @ t")
    (problem,) = ask(session, "f(torch.ones(3, 2))")
    assert problem.span.text == "t @ t"
    assert problem.within == "def f(t):\n    return t @ t"
    assert (problem.function, problem.source) == ("f", "f(torch.ones(3, 2))")


@pytest.mark.parametrize(
    ("text", "call", "function"),
    [
        ("def outer(a):\n    def inner(b):\n        return b @ a\n    return inner(a)", "outer", "inner"),
        ("def f(t):\n    return [x @ t for x in (t,)]", "f", "f"),
        ("g = lambda t: t @ t", "g", None),
        ("class N(nn.Module):\n    def __init__(self):\n        super().__init__()\n\n    def forward(self, t):\n"
         "        return t @ t", "N()", "N.forward"),
    ],
)  # fmt: skip
def test_the_function_that_failed_is_named(text, call, function):
    session = Session(seed=0, trust=True)
    ask(session, text)
    (problem,) = ask(session, f"{call}(torch.ones(3, 2))")
    assert (problem.function, problem.within) == (function, text)


def test_a_failure_says_where_in_its_file(session):
    (problem,) = ask(session, "1 / 0", filename="a.md", first_line=7)
    assert problem.location == "a.md:7"
    problem = ask(session, "x = 1\n\ny = (1 +\n  x[0])", filename="a.py")[-1]
    assert problem.location == "a.py:4"
    (problem,) = ask(session, "x = 1\nx x", filename="a.py", first_line=3)
    assert (problem.location, problem.code) == ("a.py:4", "syntax")


def test_nothing_runs_of_an_input_that_is_not_python(session):
    (problem,) = ask(session, "y = 1\ny = (")
    assert problem.code == "syntax"
    assert ask(session, "y")[0].code == "unknown-name"


def test_the_session_survives_what_it_is_given(session):
    for text in (
        "1/0",
        "def f(): return f()\nf()",
        "[].pop()",
        "raise ValueError",
        "assert False",
        "torch.ones(10**15)",
    ):
        problem = ask(session, text)[-1]
        assert isinstance(problem, report.Diagnosis)
        assert problem.code != "engine-fault"
    assert ask(session, "1 + 1")[0].text == "2"


def test_more_memory_than_there_is_ends_in_a_diagnosis(session):
    for text in (
        "torch.ones(10**13)",
        "n = 10**12; zeros = [0]; zeros * n",
        "np.ones(10**13)",
        "'a' * 3 + str(2) * (10**13)",
    ):
        problem = ask(session, text)[-1]
        assert (problem.code, problem.category) == ("out-of-memory", "memory"), text
    assert ask(session, "torch.ones(10**13)")[0].title.startswith("36.4 TiB were asked for, and ")


def test_did_you_mean(session):
    ask(session, "weights = torch.ones(3)")
    titles = {
        "wieghts": "there is no variable wieghts: did you mean weights?",
        "weights.shpae": "a Tensor has no shpae: did you mean shape?",
        "torch.matmull": "torch has no matmull: did you mean matmul?",
        "torch.linalg.nrom": "torch.linalg has no nrom: did you mean norm?",
        "np.arrray": "numpy has no arrray: did you mean array?",
    }
    for text, title in titles.items():
        assert ask(session, text)[0].title == title


def test_trace_of_an_expression(session):
    setup = "x = torch.rand(64, 784); w = torch.rand(784, 10); b = torch.rand(10)"
    (trace,) = ask(session, report.Inspect(text="torch.relu(x @ w + b).mean(dim=0)", setup=setup))
    root = trace.root
    assert (root.text, root.operation, root.result.shape) == ("torch.relu(x @ w + b).mean(dim=0)", "method mean", (10,))
    (relu,) = root.children
    (add,) = relu.children
    matmul, b = add.children
    assert [child.text for child in matmul.children] == ["x", "w"]
    assert (matmul.operation, matmul.flops, matmul.new_nbytes, matmul.relation) == (
        "matmul",
        2 * 64 * 784 * 10,
        2560,
        "new",
    )
    assert (b.text, b.seconds, b.new_nbytes) == ("b", None, None)
    assert add.broadcast.operands == (("x @ w", (64, 10)), ("b", (None, 10)))
    assert add.broadcast.result == (64, 10)
    assert trace.total_seconds >= matmul.seconds > 0


def test_trace_keeps_what_was_assigned_and_says_what_is_a_view(session):
    (trace,) = ask(session, report.Inspect(text="y = x.T", setup="x = torch.rand(2, 3)"))
    assert (trace.root.relation, trace.root.new_nbytes) == ("view of x", 0)
    assert ask(session, "y")[0].shape == (3, 2)
    (trace,) = ask(session, report.Inspect(text="x.float()"))
    assert trace.root.relation == "same object as x"
    (problem,) = ask(session, report.Inspect(text="x @ x"))
    assert (problem.code, problem.span.text) == ("matmul-inner-sizes", "x @ x")


def test_completions(session):
    ask(session, "tensor_a = torch.ones(2)")

    def complete(text: str) -> list[str]:
        return [item.text for item in ask(session, report.Complete(text=text, cursor=len(text)))[0].items]

    assert complete("tens") == ["tensor_a"]
    assert "shape" in complete("tensor_a.sh")
    assert complete("torch.matm") == ["matmul"]
    assert complete("x = torch.nn.functional.cross_") == ["cross_entropy"]
    assert complete("import nump")[0] == "numpy"
    assert complete("tensor_a.untyp") == []
    assert complete("nothing.here.") == []
