"""The waist: every request that goes to an engine and every report that comes back, as plain frozen data."""

import math
from typing import Any, Literal

import msgspec

Drawn = Literal["line", "histogram", "heatmap", "image"]

# Numbers that are not finite travel as "nan", "inf" and "-inf", complex ones as "1+2j": JSON has no word for them.
Number = int | float | str | None


def number(value: Any) -> Any:
    """A plain number as it travels; what is no number is left as it is."""
    if isinstance(value, complex):
        return repr(value).strip("()")
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """Plain, frozen, serialisable data."""


class Request(Data, frozen=True, kw_only=True, tag=lambda name: name.lower(), tag_field="request"):
    """Something to ask of an engine."""


class Evaluate(Request, frozen=True, kw_only=True):
    """Run `text`; one report or more per statement.

    `echo` says which expressions answer with their value: "last" only the last statement's, as a notebook's cell
    does, "all" every one's, as if each had been typed by itself.
    `filename` and `first_line` say where the text stands in a file, for people to find it again. With `until` only so
    many of its statements run; without `bind` the last one's value is no `_`. `silent` is for who runs it again:
    results go unsaid and failures unexplained.
    """

    text: str
    echo: Literal["last", "all"] = "last"
    filename: str | None = None
    first_line: int = 1
    width: int = 80
    max_values: int = 1000
    until: int | None = None
    bind: bool = True
    silent: bool = False


class Time(Request, frozen=True, kw_only=True):
    """Run `text` once, as Evaluate does, then report how long it took (`%time`)."""

    text: str
    filename: str | None = None
    first_line: int = 1
    width: int = 80
    max_values: int = 1000


class TimeIt(Request, frozen=True, kw_only=True):
    """Run `text` many times and report a Timing with every sample (`%timeit`); `notes` are among its warnings."""

    text: str
    filename: str | None = None
    first_line: int = 1
    min_seconds: float = 0.2
    notes: tuple[str, ...] = ()


class Inspect(Request, frozen=True, kw_only=True):
    """Run `setup`, then `text`, and report a Trace of its parts.

    Parts below `depth` are added up in the one above; `all` shows those of no interest and those inside loops too.
    `grad` goes through the graph behind the result. With `dry_run` nothing is computed: names in `symbols` stand for
    sizes that are not known. With `plot` a Plot of the result follows, of `plot_size` columns and rows at most.
    """

    text: str
    setup: str = ""
    plot: Drawn | Literal["auto"] | None = None
    plot_size: tuple[int, int] = (80, 60)
    depth: int | None = None
    all: bool = False
    grad: bool = False
    dry_run: bool = False
    symbols: tuple[str, ...] = ()


class Draw(Request, frozen=True, kw_only=True):
    """Run `text` and report a Plot of its result (`%plot`), of `plot_size` columns and rows at most."""

    text: str
    plot: Drawn | Literal["auto"] = "auto"
    plot_size: tuple[int, int] = (80, 60)


class Measuring(Request, frozen=True, kw_only=True):
    """What all measuring is asked with. No devices, dtypes or threads means those that are the default now.

    `min_seconds` is spent on each variant, and at most `max_seconds`; a loop too long for six samples is measured in
    part unless `full`. `cold` flushes the caches before each call. `explain` counts what each variant makes torch do.
    """

    devices: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    min_seconds: float = 1.0
    max_seconds: float = 10.0
    seed: int = 0
    full: bool = False
    cold: bool = False
    explain: bool = False


class Bench(Measuring, frozen=True, kw_only=True):
    """Measure one workload. Empty `sizes` means the workload's own, empty `variants` all of them.

    The first variant is the one that the others are compared with. `unread` are sentences about sizes that are none.
    """

    workload: str
    sizes: tuple[int, ...] = ()
    unread: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()


class Compare(Measuring, frozen=True, kw_only=True):
    """Measure `texts`, each the same work as the first, after `setup`, with the session's names (`%bench`).

    In all of them `{n}` stands for each value of the parameter n in turn; several parameters take all combinations.
    """

    texts: tuple[str, ...]
    setup: str = ""
    parameters: dict[str, tuple[int | float | str, ...]] = {}


class ListDevices(Request, frozen=True, kw_only=True):
    """Report what torch and the driver say of the devices."""


class ListNames(Request, frozen=True, kw_only=True):
    """Report the session's variables (`%whos`), of these `types` where any are named; `brief` is for `%who`."""

    types: tuple[str, ...] = ()
    brief: bool = False


class Configure(Request, frozen=True, kw_only=True):
    """Change what is not null, then report the settings. `seed` reseeds every generator.

    `warn` says whether mistakes that raise nothing are told; `precision` is how many digits values are printed with.
    """

    seed: int | None = None
    device: str | None = None
    dtype: str | None = None
    warn: bool | None = None
    threads: int | None = None
    precision: int | Literal["default"] | None = None


class Load(Request, frozen=True, kw_only=True):
    """Bind what is in the file `path`: the tensors called `names`, or all of it, to `name` where that is given.

    `stamp` is the file's size and time of change when it was first asked for: another file is not taken for it. What
    is bound is kept in the file `copy` too, where it takes no more than `copy_nbytes`; once that is there, it is what
    is read.
    """

    path: str
    names: tuple[str, ...] = ()
    name: str | None = None
    stamp: tuple[int, int] | None = None
    copy: str | None = None
    copy_nbytes: int = 0


class Save(Request, frozen=True, kw_only=True):
    """Write the variables called `names`, or all tensors, to the file `path`; over what is there only if `force`.

    With `text` it is what this gives.
    """

    path: str
    names: tuple[str, ...] = ()
    text: str | None = None
    force: bool = False


class Undo(Request, frozen=True, kw_only=True):
    """Take back the last `count` inputs that changed the session, and those among and after them, which did not."""

    count: int = 1


class Begin(Request, frozen=True, kw_only=True):
    """Make the session what it was when the engine began."""


class Judge(Request, frozen=True, kw_only=True):
    """Report of each of these texts whether running it may change something of the session."""

    texts: tuple[str, ...]


class Keep(Request, frozen=True, kw_only=True):
    """Write the session to the file `path`, to go on from there: names, random numbers, results, settings.

    The answer is a Notice, or a Diagnosis where something has no place in a file or takes more than `max_nbytes`.
    """

    path: str
    max_nbytes: int


class GoOn(Request, frozen=True, kw_only=True):
    """Make the session what it was when the file `path` was written by Keep."""

    path: str


class Reset(Request, frozen=True, kw_only=True):
    """Forget all names and results, and seed again with the session's seed."""


class Explain(Request, frozen=True, kw_only=True):
    """Report the page of one kind of mistake, its example made anew; without a code, all kinds."""

    code: str = ""


class Complete(Request, frozen=True, kw_only=True):
    """Report what could stand at `cursor` in `text`: of any code, of variables' names, or of codes of mistakes."""

    text: str
    cursor: int
    of: Literal["code", "names", "mistakes"] = "code"


class Signature(Request, frozen=True, kw_only=True):
    """Report how the function is called whose call `cursor` is in, and which argument that is."""

    text: str
    cursor: int


class Document(Request, frozen=True, kw_only=True):
    """Report what an expression is: signatures and documentation, and the description of a variable.

    With a `cursor` it is the name there, or the function whose call that is in. With `source` its definition too.
    """

    text: str
    cursor: int | None = None
    source: bool = False


class Outlook(Request, frozen=True, kw_only=True):
    """Report what `text`, which is being written, would give: a Tensor or Value without values for each result, or the
    Diagnosis of what would fail; nothing where that cannot be said in a moment, or `cursor` is still at a name that is
    not known. Nothing of the session changes.
    """

    text: str
    cursor: int


AnyRequest = (
    Evaluate
    | Time
    | TimeIt
    | Inspect
    | Draw
    | Bench
    | Compare
    | ListDevices
    | ListNames
    | Load
    | Save
    | Undo
    | Begin
    | Judge
    | Configure
    | Reset
    | Keep
    | GoOn
    | Complete
    | Signature
    | Document
    | Outlook
    | Explain
)


class Report(Data, frozen=True, kw_only=True, tag=lambda name: name.lower(), tag_field="kind"):
    """Something an engine says. `source`, `statement` and `seconds` are set where it answers a statement."""

    source: str | None = None
    statement: int | None = None
    seconds: float | None = None


class Stats(Data, frozen=True, kw_only=True):
    """Statistics of a tensor's finite elements; `std` is the population's with Bessel's correction, as torch.std.

    `histogram` counts equal bins from min to max over a sample; `sampled` is the number of elements looked at where
    the tensor was too large to look at all of them, else null.
    """

    min: Number = None
    max: Number = None
    mean: Number = None
    std: Number = None
    nan: int = 0
    inf: int = 0
    zeros: int = 0
    histogram: tuple[int, ...] | None = None
    sampled: int | None = None


class Tensor(Report, frozen=True, kw_only=True):
    """A torch tensor. `nbytes` is of its elements; sparse, nested and other layouts may have no stride.

    `sizes` is null where all are known; else it has formulas of those that are not (`shape` has a number in their
    place), `nbytes_formula` gives the bytes, and `nbytes` is 0.
    """

    name: str | None = None
    key: str | None = None
    shape: tuple[int, ...] = ()
    sizes: tuple[int | str, ...] | None = None
    dtype: str = "float32"
    device: str = "cpu"
    layout: str = "strided"
    stride: tuple[int, ...] | None = None
    contiguous: bool = True
    requires_grad: bool = False
    grad_fn: str | None = None
    nbytes: int = 0
    nbytes_formula: str | None = None
    storage_nbytes: int = 0
    shares_memory_with: tuple[str, ...] = ()
    view_of: str | None = None
    drew_random: bool = False
    stats: Stats | None = None
    values: Any = None
    text: str = ""


class Value(Report, frozen=True, kw_only=True):
    """Anything that is not a tensor. `shape` to `shares_memory_with` are set for a NumPy array.

    What holds arrays has the first of its `items`, all of which are `length`, and the bytes of the arrays together.
    """

    name: str | None = None
    key: str | None = None
    type: str = "NoneType"
    text: str = ""
    items: tuple["Tensor | Value", ...] | None = None
    length: int | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    nbytes: int | None = None
    shares_memory_with: tuple[str, ...] = ()


class Output(Report, frozen=True, kw_only=True):
    """What a statement printed, exactly."""

    text: str = ""


class Nothing(Report, frozen=True, kw_only=True):
    """A statement with no result, or with one that a ; at its end keeps unsaid."""

    unsaid: bool = False


class Notice(Report, frozen=True, kw_only=True):
    """A sentence about a statement or the session that is not an error: a warning of torch's, a setting changed."""

    text: str = ""


class Span(Data, frozen=True, kw_only=True):
    """Where a piece of a statement stands in its source: lines from 1, columns from 0 in characters."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Operand(Data, frozen=True, kw_only=True):
    """One operand of what failed; `shape`, `dtype` and `device` are null where it is no tensor."""

    text: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    device: str | None = None
    note: str | None = None


class Result(Data, frozen=True, kw_only=True):
    """What a suggestion gives."""

    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    device: str | None = None


class Suggestion(Data, frozen=True, kw_only=True):
    """An edit that was tried: `edit` replaces the span (or a part of it), `source` is the whole corrected statement."""

    title: str
    edit: str
    source: str
    result: Result


class Caller(Data, frozen=True, kw_only=True):
    """A call on the way to a failure: its text, the function that it stands in, and the line of a longer one.

    `times` is how often it was made, one after the other, as in a recursion. One without a text stands for as many
    that are left out.
    """

    text: str
    function: str | None = None
    line: int | None = None
    times: int = 1


class Diagnosis(Report, frozen=True, kw_only=True):
    """A failure, explained. `span` lies in `within` where that is set (a function of an earlier statement), else in
    `source`; `function` is then its name, `calls` are what led to it, the outermost first, and `variables` what its
    names held where no operand says more. `exception` is the name of its type. `location` is the file and line, where
    there is a file. `not_run` is the rest of the input.
    """

    code: str
    category: str
    title: str
    exception: str | None = None
    torch: str | None = None
    span: Span | None = None
    within: str | None = None
    function: str | None = None
    calls: tuple[Caller, ...] = ()
    variables: tuple[Operand, ...] = ()
    location: str | None = None
    operands: tuple[Operand, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    notes: tuple[str, ...] = ()
    not_run: str | None = None
    reference: str | None = None


class Explanation(Report, frozen=True, kw_only=True):
    """The page of a kind of mistake: the rule to remember, and an example with what is said of it."""

    code: str
    category: str
    rule: str
    example: str
    diagnosis: Diagnosis | None = None
    reference: str | None = None


class Broadcast(Data, frozen=True, kw_only=True):
    """How operands were stretched: each one's name and shape, padded on the left with null, and the result's shape."""

    operands: tuple[tuple[str, tuple[int | None, ...]], ...]
    result: tuple[int, ...]


class Diagram(Data, frozen=True, kw_only=True, tag=lambda name: name.lower(), tag_field="kind"):
    """A picture of what a part of a statement did to its operands."""


class Product(Diagram, frozen=True, kw_only=True):
    """A matrix product: the inner sizes are the left's last and the right's last but one, its last if `transposed`."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    result: tuple[int, ...]
    transposed: bool = False


class Einsum(Diagram, frozen=True, kw_only=True):
    """The size of each letter in each operand and in the result, null where it is not in it.

    Each axis of an ellipsis has a column of its own, under "…".
    """

    letters: tuple[str, ...]
    operands: tuple[tuple[str, tuple[int | None, ...]], ...]
    result: tuple[int | None, ...]


class Axis(Data, frozen=True, kw_only=True):
    """Axes of a tensor, or of `times` tensors alike, and a letter for each where it can be followed.

    The same letter before and after is the same axis: "ab" is a and b merged, "a+c" a and then c, "3a" three times a,
    "+" an axis that is new.
    """

    shape: tuple[int, ...]
    letters: tuple[str, ...] = ()
    times: int = 1


class Axes(Diagram, frozen=True, kw_only=True):
    """Which axis went where, and which were merged, split, added or dropped."""

    before: tuple[Axis, ...]
    after: tuple[Axis, ...]
    note: str = ""


class Selection(Diagram, frozen=True, kw_only=True):
    """Which elements an index chose, or an assignment `changed`: `chosen` of them, `taken` with repeats.

    They are in `planes` of the last two axes.

    `cells` has a text for each of `rows` with "#" for each of `columns` that was chosen, in the first such `plane`.
    """

    shape: tuple[int, ...]
    chosen: int
    taken: int
    plane: tuple[int, ...] = ()
    planes: int = 1
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()
    cells: tuple[str, ...] = ()
    changed: bool = False


class Strides(Diagram, frozen=True, kw_only=True):
    """How a view lies in its storage, in elements; `cells` has "#" for each element of a small one that is in it."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: int
    cells: str | None = None


AnyDiagram = Product | Einsum | Axes | Selection | Strides


class Shared(Data, frozen=True, kw_only=True):
    """Variables on the same memory: each one's name, and "view", "NumPy" or "" for what it is."""

    names: tuple[tuple[str, str], ...]
    nbytes: int


class Node(Data, frozen=True, kw_only=True):
    """One part of a statement, or a module that a call of it went through (then `span` is null).

    `seconds`, `flops` and `moved_nbytes` (read and written, by its operators) are its own, without its children's;
    `uncounted` names the operators whose operations no formula gives, and then `flops` is null; where
    sizes are not known `flops_formula` takes its place. What was evaluated
    `count` times took `shortest_seconds` to `longest_seconds` each time, its children's included. `failed` marks what
    raised, and what did not come to its end because of it; its `result` is a value of type "failed".
    """

    text: str
    span: Span | None
    operation: str
    result: Tensor | Value
    seconds: float | None = None
    count: int = 1
    shortest_seconds: float | None = None
    longest_seconds: float | None = None
    flops: int | None = None
    flops_formula: str | None = None
    moved_nbytes: int | None = None
    uncounted: tuple[str, ...] = ()
    failed: bool = False
    new_nbytes: int | None = None
    relation: str | None = None
    broadcast: Broadcast | None = None
    diagrams: tuple[AnyDiagram, ...] = ()
    notes: tuple[str, ...] = ()
    children: tuple["Node", ...] = ()


class GraphFunction(Data, frozen=True, kw_only=True):
    """A function in autograd's graph, "MmBackward0", or `count` of a kind in a row; "AccumulateGrad" is a leaf.

    It goes on to those after it that are one deeper. What has the same `place` is the same; "others" were not listed.
    """

    name: str
    count: int
    depth: int = 0
    place: int | None = None


class Gradient(Data, frozen=True, kw_only=True):
    """What a backward would leave in a leaf; `name` is null where it has none. A leaf that is not reached gets none.

    It is the gradient `of` "the result", of "the sum of the result", or what is in ".grad" already; `nan` and `inf` of
    its numbers are such. `place` is the leaf's in the graph.
    """

    name: str | None
    shape: tuple[int, ...]
    dtype: str
    device: str
    norm: Number = None
    reached: bool = True
    of: str = "the result"
    nan: int = 0
    inf: int = 0
    place: int | None = None


class Trace(Report, frozen=True, kw_only=True):
    """What every part of a statement gave.

    `peak_nbytes` is the most that its tensors took at one time beyond its inputs, `kept_nbytes` what they take after
    it; `shared` are the variables in it that share memory; `all` says that every part was asked for; `probe_seconds`
    is what looking at one part adds, and is subtracted; `seed` gives its random numbers again where it drew some.
    `functions` is the graph behind the result and `gradients` what its sum's backward would leave in the leaves, where
    these were asked for. What is `predicted` was not computed and has no times: it needs `needed_nbytes` for inputs and
    peak, of the `free_nbytes` of its device; `flops_formula` is its operations where sizes are not known.
    """

    root: Node
    total_seconds: float
    peak_nbytes: int | None = None
    kept_nbytes: int | None = None
    shared: tuple[Shared, ...] = ()
    all: bool = False
    predicted: bool = False
    probe_seconds: float | None = None
    seed: int | None = None
    functions: tuple[GraphFunction, ...] = ()
    gradients: tuple[Gradient, ...] = ()
    needed_nbytes: int | None = None
    free_nbytes: int | None = None
    flops_formula: str | None = None
    environment: dict[str, Any] = {}


class Plot(Report, frozen=True, kw_only=True):
    """A tensor in plain numbers, few enough for a picture; `text` is what was typed.

    A line has the `lows` and `highs` of equal stretches of its elements, a histogram the `counts` of equal bins from
    `low` to `high`, a heatmap the means in `cells`, row by row, and an image `pixels`, a text of "rrggbb" for each in a
    row. What is null has no finite element: NaN and infinities are left out, and counted in `nan` and `inf`.
    """

    drawn: Drawn
    text: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    device: str = "cpu"
    low: float | None = None
    high: float | None = None
    nan: int = 0
    inf: int = 0
    lows: tuple[float | None, ...] = ()
    highs: tuple[float | None, ...] = ()
    counts: tuple[int, ...] = ()
    cells: tuple[tuple[float | None, ...], ...] = ()
    pixels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Ratio(Data, frozen=True, kw_only=True):
    """How many times faster than the variant `to` this one is, with the 95 % interval.

    `extrapolated` is whether one of the two times is: the interval knows nothing of what that may be off by.
    """

    to: str
    value: float
    low: float
    high: float
    extrapolated: bool = False


class Agreement(Data, frozen=True, kw_only=True):
    """How a variant's result compares with the reference `with`; `reason` says what differs where that is no number."""

    with_: str = msgspec.field(name="with")
    max_abs_error: Number
    max_rel_error: Number
    ok: bool
    reason: str | None = None


class Counts(Data, frozen=True, kw_only=True):
    """What one call makes torch do; null is unknown. Kernels and synchronisations are those of an accelerator."""

    operators: int
    allocations: int
    allocated_nbytes: int
    kernels: int | None = None
    synchronizations: int | None = None
    extrapolated: bool = False


class Variant(Data, frozen=True, kw_only=True):
    """One way to do a workload, with every raw sample: `seconds` are per call.

    `first_seconds` is what the very first call took. `bound` is what bounds it at best: the device's arithmetic, its
    memory, the fixed cost of a call, or none that is known, as its data is in cache. `share` is how much of what is
    possible it reaches, of arithmetic or memory. `then` is how many times faster than in an earlier run it is. One that
    is `unsteady` has samples too far apart to be compared with anything; one that `gives_nothing` where others give
    something is compared with none.
    """

    name: str
    status: Literal["measured", "extrapolated", "skipped", "failed"]
    text: str | None = None
    reason: str | None = None
    seconds: tuple[float, ...] = ()
    calls_per_sample: int = 1
    first_seconds: float | None = None
    median: float | None = None
    iqr: float | None = None
    low: float | None = None
    high: float | None = None
    flops: int | None = None
    nbytes: int | None = None
    gflops_per_second: float | None = None
    gbytes_per_second: float | None = None
    share: float | None = None
    bound: Literal["arithmetic", "memory", "call", "in cache"] | None = None
    unsteady: bool = False
    ratio: Ratio | None = None
    then: Ratio | None = None
    agrees: Agreement | None = None
    counts: Counts | None = None
    gives_nothing: bool = False

    @property
    def wrong(self) -> bool:
        """Whether its result disagrees, or is missing: it is not the work that was asked for, however fast."""
        return self.gives_nothing or (self.agrees is not None and not self.agrees.ok)


class Ceiling(Data, frozen=True, kw_only=True):
    """What a device did at most, measured in the same run: large products of matrices, and copies of much memory.

    The `low` ones are what a quarter of these did not reach. `call_seconds` is what an operator takes that has one
    element to work on, at best. Memory's rate is no limit to what works on at most `cache_nbytes`.
    """

    gflops_per_second: float | None = None
    gflops_low: float | None = None
    gbytes_per_second: float | None = None
    gbytes_low: float | None = None
    call_seconds: float | None = None
    call_high: float | None = None
    cache_nbytes: int | None = None


class Case(Data, frozen=True, kw_only=True):
    """The variants of a workload on one device, in one dtype, at one size, with so many threads."""

    device: str
    dtype: str
    size: dict[str, Any]
    variants: tuple[Variant, ...]
    threads: int | None = None
    cold: bool = False
    ceiling: Ceiling | None = None
    warnings: tuple[str, ...] = ()


class Benchmark(Report, frozen=True, kw_only=True, tag="bench"):
    """What a benchmark measured, as it was `asked`, and where. One that was interrupted is not `complete`.

    `notes` are what should be known, and `warnings` what should be done something about.
    """

    workload: str
    asked: Bench | Compare | None = None
    environment: dict[str, Any]
    cases: tuple[Case, ...]
    complete: bool = True
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Timing(Report, frozen=True, kw_only=True):
    """How long a statement took: once (`seconds` wall, `cpu_seconds`), or many times (`samples`, seconds per call)."""

    cpu_seconds: float | None = None
    samples: tuple[float, ...] = ()
    calls_per_sample: int = 1
    median: float | None = None
    iqr: float | None = None
    low: float | None = None
    high: float | None = None
    warnings: tuple[str, ...] = ()


class Device(Data, frozen=True, kw_only=True):
    """A device as torch and its driver report it; null is unknown.

    Power is in watts, temperature in degrees Celsius, utilisation in per cent.
    """

    device: str
    name: str | None = None
    total_nbytes: int | None = None
    free_nbytes: int | None = None
    capability: str | None = None
    driver: str | None = None
    utilization: float | None = None
    temperature: float | None = None
    power_watts: float | None = None


class Devices(Report, frozen=True, kw_only=True):
    """The devices there are, the session's default one, and why there is no CUDA where there is none."""

    devices: tuple[Device, ...]
    default: str
    no_cuda: str | None = None


class Names(Report, frozen=True, kw_only=True):
    """The session's variables, of these `types` where any were named; if `brief`, only their names are of interest.

    All of them hold `nbytes`, in so many `storages`: what several share is counted once. `results_nbytes` more are
    held by earlier results alone (`Out`), and `process_nbytes` are all that the engine has on the host.
    """

    items: tuple[Tensor | Value, ...]
    types: tuple[str, ...] = ()
    brief: bool = False
    nbytes: int | None = None
    storages: int | None = None
    results_nbytes: int = 0
    process_nbytes: int | None = None


class Loaded(Report, frozen=True, kw_only=True):
    """What is to be said of a file that was loaded; `python` does the same in plain Python, with `imports`."""

    path: str
    python: str
    imports: tuple[str, ...] = ()
    text: str = ""


class Undone(Report, frozen=True, kw_only=True):
    """Inputs that were taken back, as their requests were typed.

    `inputs` are the client's numbers of them, and of those among and after them, which changed nothing.
    """

    texts: tuple[str, ...]
    inputs: tuple[int, ...]
    text: str = ""


class Judged(Report, frozen=True, kw_only=True):
    """Of each text whether running it may change something of the session."""

    may_change: tuple[bool, ...]


class Settings(Report, frozen=True, kw_only=True):
    """The session's settings and where it runs; the first thing an engine says. `pretended` is a device not there.

    `torch_seed` is what torch's generator was seeded with since, as by torch.manual_seed, where that is another seed.
    """

    version: str
    torch: str
    device: str
    dtype: str
    seed: int
    torch_seed: int | None = None
    threads: int
    trust: bool = False
    warn: bool = False
    pretended: str | None = None
    no_cuda: str | None = None
    memory_nbytes: int | None = None
    inputs: int = 0
    precision: int = 4


class Completion(Data, frozen=True, kw_only=True):
    """A way to go on: `text` replaces what stands from `start` to the cursor; `detail` is one short line about it.

    `label`, where there is one, says more than the text: "dim=1 (784)" for "1".
    """

    text: str
    start: int
    detail: str = ""
    label: str = ""


class Completions(Report, frozen=True, kw_only=True):
    """Ways to go on, best first."""

    items: tuple[Completion, ...]


class Overload(Data, frozen=True, kw_only=True):
    """One way to call a function: its parameters as written (`dim=0`, `*size`), and which of them is `current`."""

    function: str
    parameters: tuple[str, ...]
    returns: str = ""
    current: int | None = None


class Signatures(Report, frozen=True, kw_only=True):
    """The ways to call the function at the cursor; none outside a call. `best` is the one that takes what is there."""

    items: tuple[Overload, ...] = ()
    best: int = 0


class Documentation(Report, frozen=True, kw_only=True):
    """What an expression is: how it is called, its documentation as plain text, and its value's description.

    `definition` is its source text, where that was asked for and there is one.
    """

    name: str
    type: str = ""
    signatures: tuple[Overload, ...] = ()
    text: str = ""
    value: Tensor | Value | None = None
    definition: str | None = None


class Progress(Report, frozen=True, kw_only=True):
    """How far a long request is, and about how many seconds are left; never printed by `--json`."""

    done: int
    total: int
    label: str = ""
    left: float | None = None


AnyReport = (
    Tensor | Value | Output | Nothing | Notice | Diagnosis | Explanation | Trace | Plot | Benchmark | Timing | Devices
    | Names | Loaded | Undone | Judged | Settings | Completions | Signatures | Documentation | Progress
)  # fmt: skip
