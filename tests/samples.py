"""Sample reports: every kind, ordinary and nasty ones, for the tests of the wire and of rendering."""

from tensorcli import report as r

NASTY = "a\x1b[31mred\x07\x9b2J\x7f[bold]markup[/bold]\u202eabc\u2069 日本語 e\u0301 \U0001f600 \r back"
LONG = "a_very_long_name_" * 20
MATRIX_TEXT = "tensor([[1, 3, 5],\n        [2, 4, 6]])"

A = r.Tensor(
    shape=(3, 2), dtype="int64", stride=(2, 1), nbytes=48, storage_nbytes=48, values=[[1, 2], [3, 4], [5, 6]],
    text="tensor([[1, 2],\n        [3, 4],\n        [5, 6]])", name="A", source="A = torch.tensor(...)", statement=1,
    seconds=1.2e-5,
)  # fmt: skip
VIEW = r.Tensor(
    shape=(2, 3), dtype="int64", stride=(1, 2), contiguous=False, nbytes=48, storage_nbytes=48,
    shares_memory_with=("A",), view_of="A", values=[[1, 3, 5], [2, 4, 6]], text=MATRIX_TEXT, source="A.T", statement=1,
    seconds=6e-6,
)  # fmt: skip
LARGE = r.Tensor(
    shape=(4096, 4096), stride=(4096, 1), nbytes=64 << 20, storage_nbytes=64 << 20, drew_random=True, seconds=9e-3,
    stats=r.Stats(
        min=-5.41, max=5.37, mean=-1.2e-4, std=1.0, histogram=(12, 900, 5000, 16000, 15800, 5100, 880, 10)
    ),
    text="tensor([[ 0.3367,  0.1288,  0.2345,  ..., -0.4820,  1.1229, -0.1863],\n        ...,\n"
    "        [ 2.2082, -0.6380,  0.4617,  ...,  0.2674,  0.5349,  0.8094]])",
)  # fmt: skip
SAMPLED = r.Tensor(
    shape=(200_000_000,), stride=(1,), nbytes=800_000_000, storage_nbytes=800_000_000, requires_grad=True,
    stats=r.Stats(
        min="-inf", max=1.5, mean=0.25, std="nan", nan=1_234_567, inf=3, zeros=17, sampled=1_000_000,
        histogram=(0, 0, 0, 0, 0, 0, 0, 5),
    ),
    text="tensor([0.1, 0.2,  ..., 0.3])", seconds=1.31,
)  # fmt: skip
ARRAY = r.Value(
    type="numpy.ndarray", shape=(3,), dtype="float64", nbytes=24, shares_memory_with=("t",), seconds=2e-6,
    text="array([1., 2., 3.])",
)  # fmt: skip
PAIR = r.Value(
    type="torch.return_types.max",
    text="torch.return_types.max(values=float32 [3], indices=int64 [3])",
    items=(
        r.Tensor(key="values", shape=(3,), stride=(1,), nbytes=12, storage_nbytes=12, text="tensor([1., 2., 3.])"),
        r.Tensor(
            key="indices",
            shape=(3,),
            dtype="int64",
            stride=(1,),
            nbytes=24,
            storage_nbytes=24,
            text="tensor([0, 1, 2])",
        ),
    ),
    seconds=8e-6,
)
NESTED = r.Value(
    type="dict",
    text="{'a': [...], 'b': 3}",
    items=(
        r.Value(
            key="a", type="list", text="[float32 [2]]", items=(r.Tensor(key="0", shape=(2,), text="tensor([1., 2.])"),)
        ),
        r.Value(key="b", type="int", text="3"),
        r.Value(key="c", type="numpy.ndarray", shape=(2,), dtype="float32", nbytes=8, text="array([1., 2.])"),
    ),
)
NAMED_TENSORS = (
    A,
    r.Tensor(name="x", shape=(4096, 4096), nbytes=64 << 20, storage_nbytes=64 << 20, stride=(4096, 1)),
    r.Tensor(
        name="y", shape=(64, 4096), nbytes=1 << 20, storage_nbytes=64 << 20, stride=(4096, 1), shares_memory_with=("x",)
    ),
)
NAMED_VALUES = (
    r.Value(name="n", type="int", text="5"),
    r.Value(name="s", type="str", text="'abc'"),
    r.Value(name="none", type="NoneType", text="None"),
    r.Value(name="model", type="torch.nn.Linear", text="Linear(in_features=3, out_features=2, bias=True)"),
    r.Value(name="f", type="function", text="<function f>"),
    r.Value(name="a", type="numpy.ndarray", shape=(3,), dtype="float64", nbytes=24, text="array([1., 2., 3.])"),
)

SIZES = r.Diagnosis(
    code="matmul-inner-sizes",
    category="shape",
    title="the inner sizes differ: 2 and 3",
    torch="mat1 and mat2 shapes cannot be multiplied (3x2 and 3x2)",
    source="B = torch.relu(A @ A) + 1",
    statement=2,
    span=r.Span(line=1, column=15, end_line=1, end_column=20, text="A @ A"),
    operands=(
        r.Operand(text="A", shape=(3, 2), dtype="int64", device="cpu", note="2 columns"),
        r.Operand(text="A", shape=(3, 2), dtype="int64", device="cpu", note="3 rows"),
    ),
    suggestions=(
        r.Suggestion(
            title="transpose the second", edit="A @ A.T", source="B = torch.relu(A @ A.T) + 1",
            result=r.Result(shape=(3, 3), dtype="int64", device="cpu"),
        ),
        r.Suggestion(
            title="transpose the first", edit="A.T @ A", source="B = torch.relu(A.T @ A) + 1",
            result=r.Result(shape=(2, 2), dtype="int64", device="cpu"),
        ),
    ),
    notes=("the size that both share is summed over: it must be the same in both",),
    reference="matmul",
)  # fmt: skip
WITHIN = r.Diagnosis(
    code="name-unknown",
    category="name",
    title="there is no name wieght: did you mean weight?",
    torch="name 'wieght' is not defined",
    source="forward(x)",
    within="def forward(x):\n\ty = x @ weight\n\treturn 日本 + (wieght *\n\t\ty)\n",
    function="Net.forward",
    exception="NameError",
    calls=(
        r.Caller(text="train(\n\tmodel)", line=3),
        r.Caller(text="", times=1200),
        r.Caller(text="model(x)", function="train", line=7, times=3),
        r.Caller(text="forward(x)", function="call"),
    ),
    variables=(r.Operand(text="y", shape=(2, 3), dtype="float32", device="cpu"), r.Operand(text="n", note="int 3")),
    location="train.py:17",
    span=r.Span(line=3, column=14, end_line=4, end_column=3, text="wieght *\n\t\ty"),
)
LONG_LINE = r.Diagnosis(
    code="value",
    category="value",
    title="one of many numbers is not one: " + "very long, " * 30,
    source="x = [" + "1, " * 4000 + "bad, " + "2, " * 4000 + "]",
    span=r.Span(line=1, column=12_005, end_line=1, end_column=12_008, text="bad"),
    torch="first line\n" + "a line of the message that is long enough to be wrapped somewhere\n" * 30,
)
MANY_LINES = r.Diagnosis(
    code="syntax",
    category="syntax",
    title="( is never closed",
    source="f(\n" + "    1,\n" * 3000,
    span=r.Span(line=1, column=1, end_line=3000, end_column=5, text=""),
)
NASTY_DIAGNOSIS = r.Diagnosis(
    code="refused",
    category="refused",
    title=NASTY,
    torch=NASTY * 3,
    source=f"x = '{NASTY}'\n\ty",
    span=r.Span(line=1, column=5, end_line=2, end_column=99, text=NASTY),
    location=NASTY,
    calls=(r.Caller(text=NASTY, function=NASTY, line=3), r.Caller(text=NASTY)),
    operands=(r.Operand(text=NASTY, note=NASTY, dtype=NASTY, device=NASTY, shape=()), r.Operand(text="")),
    suggestions=(r.Suggestion(title=NASTY, edit=NASTY, source=NASTY, result=r.Result()),),
    notes=(NASTY, ""),
    reference=NASTY,
)
INTERRUPTED = r.Diagnosis(code="interrupted", category="interrupted", title="interrupted", source="while True: pass")


def _node(text: str, result: r.Tensor | r.Value, *children: r.Node, operation: str = "name", **facts: object) -> r.Node:
    return r.Node(text=text, span=None, operation=operation, result=result, children=children, **facts)  # type: ignore[arg-type]


def _float32(*shape: int, nbytes: int) -> r.Tensor:
    return r.Tensor(shape=shape, nbytes=nbytes, storage_nbytes=nbytes)


_SUM = r.Broadcast(operands=(("x @ w", (64, 10)), ("b", (None, 10))), result=(64, 10))
TRACE = r.Trace(
    root=_node(
        "torch.relu(x @ w + b).mean(dim=0)",
        _float32(10, nbytes=40),
        _node(
            "torch.relu(x @ w + b)",
            _float32(64, 10, nbytes=2560),
            _node(
                "x @ w + b",
                _float32(64, 10, nbytes=2560),
                _node(
                    "x @ w",
                    _float32(64, 10, nbytes=2560),
                    _node("x", _float32(64, 784, nbytes=200704)),
                    _node("w", _float32(784, 10, nbytes=31360)),
                    operation="matmul",
                    seconds=21e-6,
                    flops=1_003_520,
                    new_nbytes=2560,
                    relation="new",
                ),
                _node("b", _float32(10, nbytes=40)),
                operation="add",
                seconds=3e-6,
                new_nbytes=2560,
                relation="new",
                broadcast=_SUM,
            ),
            operation="relu",
            seconds=4e-6,
            new_nbytes=2560,
            relation="new",
        ),
        operation="method mean",
        seconds=9e-6,
        new_nbytes=40,
        relation="new",
    ),
    total_seconds=37e-6,
    peak_nbytes=7720,
    environment={"torch": "2.13.0", "device": "cpu", "threads": 2},
    source="torch.relu(x @ w + b).mean(dim=0)",
    statement=1,
)


def _deep(depth: int) -> r.Node:
    node = _node(NASTY, r.Value(type="int", text=NASTY), notes=(NASTY,), relation=f"view of {LONG}")
    for _ in range(depth):
        node = _node(f"f({LONG})", _float32(*[10**6] * 8, nbytes=1 << 60), node, seconds=1e-3, broadcast=_SUM)
    return node


_ODD = r.Axis(shape=(10**9, 1), letters=(NASTY,), times=7)
PICTURES: tuple[r.AnyDiagram, ...] = (
    r.Product(left=(), right=(), result=()),
    r.Product(left=(3, 5, 7), right=(5, 2), result=(3, 7, 2), transposed=True),
    r.Einsum(letters=("i", NASTY), operands=((NASTY, (None, 10**12)), (LONG, (1, None))), result=(1, 10**12)),
    r.Axes(before=(_ODD,), after=(r.Axis(shape=()), _ODD), note=NASTY),
    r.Axes(before=(r.Axis(shape=()),), after=(_ODD,)),
    r.Selection(shape=(), chosen=0, taken=0),
    r.Selection(
        shape=(9, 10**6, 10**6),
        chosen=1,
        taken=2,
        plane=(8,),
        planes=2,
        rows=(0, 10**5),
        columns=(1, 10**5),
        cells=("#.", ".."),
    ),
    r.Strides(sizes=(2,), strides=(0,), offset=-1, storage=10**9, cells="#." * 40),
)

DEVICES = r.Devices(
    devices=(
        r.Device(
            device="cpu",
            name="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
            total_nbytes=32 << 30,
            free_nbytes=22 << 30,
        ),
        r.Device(
            device="cuda:0",
            name="NVIDIA H100 80GB HBM3",
            total_nbytes=79 << 30,
            free_nbytes=78 << 30,
            capability="9.0",
            driver="580.65.06",
            utilization=3.0,
            temperature=34.0,
            power_watts=71.2,
        ),
    ),
    default="cuda",
)
NO_CUDA = "torch 2.13.0+cpu was built without CUDA: install a CUDA build from pytorch.org to use a GPU"
SETTINGS = r.Settings(
    version="0.1.0", torch="2.13.0+cpu", device="cpu", dtype="float32", seed=8241137, threads=2, no_cuda=NO_CUDA
)
MEASURED = r.Variant(
    name="matmul", status="measured", seconds=(4.0e-6, 4.1e-6, 4.0e-6), calls_per_sample=1000, median=4.0e-6, iqr=5e-8,
    low=4.0e-6, high=4.1e-6, flops=524_288, nbytes=49_152, gflops_per_second=131.0, gbytes_per_second=12.3,
    ratio=r.Ratio(to="python loop", value=327_000.0, low=320_000.0, high=331_000.0),
    agrees=r.Agreement(with_="float64", max_abs_error=1e-6, max_rel_error=3e-7, ok=True),
)  # fmt: skip
BENCH = r.Benchmark(
    workload="matmul",
    environment={"torch": "2.13.0", "python": "3.11.9", "cpu": "Xeon", "threads": 2, "gpu": None},
    cases=(
        r.Case(
            device="cpu",
            dtype="float32",
            size={"n": 64},
            variants=(
                r.Variant(name="python loop", status="extrapolated", reason="from 4,096 of 262,144 steps", median=1.31),
                MEASURED,
                r.Variant(name="broadcast", status="skipped", reason="it would need 40 GiB"),
                r.Variant(name=NASTY, status="failed", reason=NASTY),
            ),
            warnings=('the samples of "matmul" spread by 14 %: close other programs, or raise --min-time',),
        ),
        r.Case(device="cuda:0", dtype="float16", size={}, variants=()),
    ),
)
TIMING = r.Timing(
    samples=(4.0e-6, 4.1e-6, 4.2e-6), calls_per_sample=10_000, median=4.1e-6, iqr=1e-7, low=4.0e-6, high=4.2e-6,
    warnings=("the samples spread by 14 %",),
)  # fmt: skip

SAMPLES: dict[str, r.AnyReport] = {
    "tensor named": A,
    "tensor view": VIEW,
    "tensor large": LARGE,
    "tensor sampled": SAMPLED,
    "tensor 0-dim": r.Tensor(shape=(), nbytes=4, storage_nbytes=4, values=3.5, text="tensor(3.5000)"),
    "tensor empty": r.Tensor(shape=(0, 3), dtype="int64", text="tensor([], size=(0, 3), dtype=torch.int64)", values=[]),
    "tensor not finite": r.Tensor(
        shape=(3,),
        nbytes=12,
        values=["nan", "inf", "-inf"],
        text="tensor([nan, inf, -inf])",
        stats=r.Stats(nan=1, inf=2),
        stride=(1,),
    ),
    "tensor complex": r.Tensor(
        shape=(2,),
        dtype="complex64",
        nbytes=16,
        values=["1+2j", "nan"],
        text="tensor([1.+2.j, nan+0.j])",
        stats=r.Stats(mean="1+2j"),
    ),
    "tensor sparse": r.Tensor(shape=(3, 3), layout="sparse_coo", stride=None, nbytes=60, text="tensor(indices=...)"),
    "tensor nested": r.Tensor(shape=(2, -1), layout="jagged", nbytes=60, requires_grad=True, grad_fn="CatBackward0"),
    "tensor slice of much": r.Tensor(
        shape=(2,), nbytes=8, storage_nbytes=1 << 30, shares_memory_with=tuple("abcdefghi")
    ),
    "tensor huge shape": r.Tensor(shape=(10**12,) * 12, nbytes=1 << 62, text="tensor(...)"),
    "tensor long line": r.Tensor(shape=(300,), nbytes=1200, text="tensor([" + "1, " * 300 + "])"),
    "tensor nasty": r.Tensor(name=NASTY, dtype=NASTY, device=NASTY, layout=NASTY, view_of=NASTY, text=NASTY),
    "tensor nasty unnamed": r.Tensor(dtype=NASTY, shares_memory_with=(NASTY, LONG, NASTY), text=NASTY),
    "tensor long name": r.Tensor(name=LONG, shape=(3,), nbytes=12),
    "value int": r.Value(type="int", text="5", seconds=1e-6),
    "value array": ARRAY,
    "value pair": PAIR,
    "value nested": NESTED,
    "value module": r.Value(
        type="torch.nn.Sequential", text="Sequential(\n  (0): Linear(in_features=3)\n  (1): ReLU()\n)"
    ),
    "value nasty": r.Value(type=NASTY, text=NASTY, items=(r.Value(key=NASTY, type=NASTY, text=NASTY),)),
    "value nasty named": r.Value(name=LONG, type=NASTY, text=NASTY * 1000),
    "value empty": r.Value(type="object", text=""),
    **{f"value named {value.name}": value for value in NAMED_VALUES},
    "output": r.Output(text="hello\n\tworld\n"),
    "output nasty": r.Output(text=NASTY * 5),
    "output empty": r.Output(text=""),
    "explanation": r.Explanation(
        code="matmul-inner-sizes",
        category="shape",
        rule="In A @ B the last size of A must equal the size before the last of B.",
        example="A = torch.rand(3, 2)\nA @ A",
        diagnosis=r.Diagnosis(
            code="matmul-inner-sizes",
            category="shape",
            title="the inner sizes differ: 2 and 3",
            source="A @ A",
            span=r.Span(line=1, column=0, end_line=1, end_column=5, text="A @ A"),
        ),
    ),
    "explanation nasty": r.Explanation(code=NASTY, category="shape", rule=NASTY, example=NASTY),
    "notice": r.Notice(
        text="UserWarning: something will change in a later release, which takes more than one line to say"
    ),
    "notice nasty": r.Notice(text=NASTY),
    "nothing": r.Nothing(source="pass", statement=3, seconds=0.0),
    "diagnosis": SIZES,
    "diagnosis within": WITHIN,
    "diagnosis long line": LONG_LINE,
    "diagnosis many lines": MANY_LINES,
    "diagnosis nasty": NASTY_DIAGNOSIS,
    "diagnosis interrupted": INTERRUPTED,
    "diagnosis bare": r.Diagnosis(code="engine", category="engine", title="the engine died"),
    "diagnosis empty": r.Diagnosis(code="", category="other", title="", source=""),
    "diagnosis span outside": r.Diagnosis(
        code="x",
        category="other",
        title="x",
        source="a",
        span=r.Span(line=9, column=70, end_line=3, end_column=2, text=""),
    ),
    "trace": TRACE,
    "trace deep": r.Trace(root=_deep(30), total_seconds=1.0, predicted=True, environment={"torch": NASTY}),
    "trace pictures": r.Trace(
        root=_node(NASTY, A, diagrams=PICTURES, flops=10**15, moved_nbytes=1, uncounted=(NASTY, LONG), failed=True),
        total_seconds=1.0,
        all=True,
        seed=2**63,
        probe_seconds=1e-6,
        kept_nbytes=1 << 60,
        shared=(r.Shared(names=((NASTY, "view"), (LONG, ""), ("a", "NumPy")), nbytes=1 << 50),),
    ),
    "plot line": r.Plot(
        drawn="line",
        text="x",
        shape=(4,),
        low=-1.0,
        high=2.0,
        nan=1,
        lows=(0.0, -1.0, None, 2.0),
        highs=(0.0, 1.0, None, 2.0),
        notes=("magnitudes of complex numbers",),
    ),
    "plot histogram": r.Plot(
        drawn="histogram", text="x", shape=(9,), dtype="int64", low=0.0, high=2.0, counts=(2, 0, 7)
    ),
    "plot heatmap": r.Plot(
        drawn="heatmap",
        text="x",
        shape=(2, 3),
        low=-1.5,
        high=1e300,
        inf=2,
        cells=((0.0, None, 1e300), (-1.5, None, 3.0)),
    ),
    "plot image": r.Plot(drawn="image", text="x", shape=(3, 1, 2), low=0.0, high=1.0, pixels=("ff0000ffffff",)),
    "plot of nothing": r.Plot(drawn="line", text="x", shape=(0,)),
    "plot nasty": r.Plot(
        drawn="histogram",
        text=NASTY,
        dtype=NASTY,
        device=NASTY,
        low=-1e300,
        high=1e300,
        counts=(10**18,) * 300,
        notes=(NASTY, LONG),
    ),
    "bench": BENCH,
    "bench empty": r.Benchmark(workload=NASTY, environment={}, cases=()),
    "timing": TIMING,
    "timing once": r.Timing(seconds=0.0123, cpu_seconds=0.02),
    "devices": DEVICES,
    "devices no cuda": r.Devices(devices=DEVICES.devices[:1], default="cpu", no_cuda=NO_CUDA),
    "devices nasty": r.Devices(devices=(r.Device(device=NASTY, name=NASTY, driver=NASTY),), default="", no_cuda=NASTY),
    "names": r.Names(items=(*NAMED_TENSORS, *NAMED_VALUES)),
    "names in all": r.Names(
        items=NAMED_TENSORS, nbytes=65 << 20, storages=2, results_nbytes=1 << 20, process_nbytes=1 << 30
    ),
    "names empty": r.Names(items=()),
    "names brief": r.Names(items=(*NAMED_TENSORS, *NAMED_VALUES), brief=True),
    "names brief nasty": r.Names(items=(r.Value(name=NASTY), r.Value(name=LONG)), brief=True),
    "names of no such type": r.Names(items=(), types=("int", NASTY, LONG)),
    "loaded": r.Loaded(path="/a/data.csv", python="X = 1", imports=("import csv",), text="columns: a and b"),
    "loaded nasty": r.Loaded(path=NASTY, python=NASTY, text=f"{NASTY}\n{LONG}"),
    "undone": r.Undone(texts=("x.add_(1)",), inputs=(3,), text="the session is back in 2.1 s"),
    "undone long": r.Undone(texts=("\n".join(f"x{n} = {n}" for n in range(9)), NASTY, LONG), inputs=(3, 4)),
    "judged": r.Judged(may_change=(True, False)),
    "names nasty": r.Names(
        items=(r.Tensor(name=NASTY, shape=(10**9,) * 9), r.Value(name=LONG, type=NASTY, text=NASTY))
    ),
    "settings": SETTINGS,
    "settings nasty": r.Settings(
        version=NASTY, torch=NASTY, device=NASTY, dtype=NASTY, seed=2**63, threads=64, trust=True, no_cuda=NASTY
    ),
    "completions": r.Completions(
        items=(
            r.Completion(text="torch.rand", start=0, detail="(*size, dtype=None)"),
            r.Completion(text="randn", start=0),
        )
    ),
    "completions nasty": r.Completions(items=(r.Completion(text=NASTY, start=0, detail=LONG, label=NASTY),)),
    "signatures": r.Signatures(
        items=(
            r.Overload(function="x.sum", parameters=("*", "dtype=None"), returns="Tensor"),
            r.Overload(function="x.sum", parameters=("dim", "keepdim=False"), current=0),
        ),
        best=1,
    ),
    "signatures nasty": r.Signatures(items=(r.Overload(function=NASTY, parameters=(NASTY, LONG), returns=NASTY),)),
    "documentation": r.Documentation(
        name="x.sum",
        type="method",
        signatures=(r.Overload(function="x.sum", parameters=("dim=None",), returns="Tensor"),),
        text="Returns the sum.\n\nArgs:\n    dim (int): the dimension",
    ),
    "documentation of a tensor": r.Documentation(name="x", type="torch.Tensor", value=r.Tensor(name="x", shape=(2, 3))),
    "documentation nasty": r.Documentation(
        name=NASTY,
        type=NASTY,
        signatures=(r.Overload(function=LONG, parameters=(NASTY,)),),
        text=f"    {NASTY}\n\t{LONG}",
        value=r.Value(name=NASTY, type=NASTY, text=NASTY),
        definition=NASTY,
    ),
    "progress": r.Progress(done=3, total=12, label="matmul on cpu, n = 64"),
    "progress nasty": r.Progress(done=3, total=0, label=NASTY),
}
