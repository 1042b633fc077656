"""Generated expressions give what plain Python with torch gives: shape, dtype, device and every value."""

import math
import random

import numpy as np
import pytest
import torch

from tensorcli import report
from tensorcli.engine.session import Session

COUNT = 2100  # of which about 70 % are meant to work
SETUP = """
a = torch.rand(3, 4); b = torch.rand(4); c = torch.rand(3, 1); w = torch.rand(4, 2); batch = torch.rand(2, 3, 4)
i = torch.arange(12).reshape(3, 4) - 5; m = a > 0.5; h = a.half(); d = a.double()
z = torch.randn(3, dtype=torch.complex64)
empty = torch.empty(0, 4); scalar = torch.tensor(2.5); k = 2; r = 0.5; u = torch.arange(4, dtype=torch.uint8)
nan = torch.tensor([1.0, float("nan"), float("inf"), -float("inf")]); turned = torch.rand(4, 3).T; n = np.arange(4.0)
"""

TENSORS = "a b c w batch i m h d z empty scalar u nan turned a.T batch[0] a[1] i[:,1:3] torch.ones(3,4)".split()
NUMBERS = "k r 2 0.5 -1 3 True len(b) a.shape[0] b.numel() scalar.item() math.pi".split()
UNARY = """
    torch.relu({x}) torch.sqrt({x}) {x}.abs() -{x} ~{x} {x}.T {x}.exp() {x}.float() {x}.long() {x}.double() {x}.half()
    {x}.bool() {x}.sum() {x}.mean() {x}.std() {x}.max() {x}.min() {x}.argmax() {x}.numel() {x}.flatten() {x}.t()
    {x}.contiguous() {x}.clone() {x}.cumsum(0) {x}.softmax(-1) {x}.sigmoid() F.gelu({x}) F.relu({x})
    F.softmax({x},dim=0)
    torch.isnan({x}) torch.isfinite({x}) {x}.nonzero() {x}.unique() {x}.sort() {x}.topk(2) {x}.square() {x}.round()
    {x}.squeeze() {x}.unsqueeze(0) {x}.unsqueeze(-1) {x}.sum(dim=0) {x}.mean(dim=-1,keepdim=True) {x}.max(dim=0)
    {x}.reshape(-1) {x}.reshape(2,-1) {x}.view(3,4) {x}.repeat(2,1) {x}.expand(3,4) {x}.permute(1,0) {x}.flip(0)
    {x}.tolist() {x}.shape {x}.dtype {x}.ndim {x}.size() {x}.size(0) {x}.stride() {x}.is_contiguous() {x}.requires_grad
    {x}[0] {x}[-1] {x}[...,0] {x}[None] {x}[:,1] {x}[1:] {x}[::2] {x}[{x}>0] {x}[[0,2]] {x}[:,None] {x}[1:,:2]
    {x}.item()
    torch.stack([{x},{x}]) torch.cat([{x},{x}],dim=-1) torch.zeros_like({x}) torch.where({x}>0,{x},0) {x}.norm()
    {x}.numpy() {x}.diag() {x}.tril() {x}.any() {x}.all() {x}.median() {x}.prod() {x}.var(0) {x}.logsumexp(0)
    {x}.roll(1)
    torch.linalg.norm({x}) torch.fft.fft({x}) torch.special.expit({x}) torch.nn.functional.normalize({x},dim=0)
    {x}.chunk(2) {x}.split(1) {x}.unbind() torch.einsum('ij->ji',{x}) torch.flatten({x}) torch.count_nonzero({x})
""".split()
BINARY = """
    {x}+{y} {x}-{y} {x}*{y} {x}/{y} {x}//{y} {x}%{y} {x}**{y} {x}@{y} {x}&{y} {x}|{y} {x}^{y} {x}==({y}) {x}!=({y})
    {x}<({y})
    {x}>=({y}) torch.maximum({x},{y}) torch.matmul({x},{y}) torch.mul({x},{y}) {x}.add({y}) {x}.matmul({y}) {x}.mm({y})
    torch.cat([{x},{y}]) torch.stack([{x},{y}]) torch.atan2({x},{y}) F.mse_loss({x},{y}) torch.outer({x},{y})
    torch.dot({x},{y}) {x}.where({y}>0,{y}) torch.allclose({x},{y}) ({x},{y}) [{x},{y}] {{'left':{x},'right':{y}}}
    torch.broadcast_tensors({x},{y}) F.linear({x},{y}) torch.vstack([{x},{y}]) {x}.expand_as({y}) {x}.type_as({y})
""".split()
PYTHON = """
    ({x}) if k > 1 else ({y})
    [row.sum() for row in {x}]
    [j * r for j in range(k) if j]
    {{j: {x}[j] for j in range(2)}}
    (lambda q: q + {y})({x})
    (lambda q, s=2: q * s)({x})
    (big := {x}).sum() + big.mean()
    f"{{tuple(({x}).shape)}} {{k:>3}} {{r:.2f}} {{k!r}}"
    0 < k < 3
    k > 1 and {x}.sum() > 0
    not ({x}).numel()
    sum(v.sum() for v in ({x}, {y}))
    max(k, r), min([k, 3]), abs(-r), round(r, 1)
    list(map(lambda v: v.shape, [{x}, {y}]))
    [*({x}).shape, k]
    dict(left={x}, right=k)["left"]
    "{{}} {{}}".format(k, r) + "a" * k
    sorted([3, k, 1], key=lambda v: -v)
    torch.add({x}, {y}, alpha=k)
    torch.clamp({x}, min=0.2, max=r)
    torch.tensor([k, r, {v}])
    torch.full((k, 2), {v})
    torch.arange(0, 10, k)
    torch.linspace(0, 1, 5) * {v}
    torch.rand(2, 3) + {v}
    torch.randn(4) @ {x}
    torch.randint(0, 10, (3, 4)) + {x}
    torch.randperm(4)
    np.sqrt(n) + k
    np.dot(n, n)
    torch.from_numpy(n) + {v}
    {x} + {v}
    {v} - {x}
    {x} * {v}
    {v} / {x}
    {x} ** 2
    2 ** {x}
    {x} > {v}
    {x}.to(torch.float64) + {v}
    {x}.clamp(0, 1).mul(10).long() % 3
    nn.Linear(4, 2)({x})
    nn.Sequential(nn.Linear(4, 3), nn.ReLU())({x})
    F.cross_entropy({x}, torch.tensor([0, 1, 2]))
    F.one_hot(torch.tensor([0, 2, k]))
    {x}.add_(0)
    torch.topk({x}, k=2, dim=-1).values
    {x}.max(dim=-1).indices
    torch.broadcast_shapes((3, 1), (1, 4))
    torch.finfo(torch.float32).eps * {v}
    str(k) + repr(r)
    divmod(7, k), 7 // k, 7 % k, -7 >> 1, 1 << k, k & 3, k | 4, ~k
""".strip().split("\n")


def expressions() -> list[str]:
    """COUNT different expressions, the same ones every time."""
    draw = random.Random(0)
    found: dict[str, None] = {}

    def operand(depth: int) -> str:
        if depth and draw.random() < 0.45:
            return f"({make(depth - 1)})"
        return draw.choice(TENSORS)

    def make(depth: int) -> str:
        pattern = draw.choice(draw.choice([UNARY, BINARY, PYTHON])).strip()
        return pattern.format(x=operand(depth), y=operand(depth), v=draw.choice(NUMBERS))

    while len(found) < COUNT:
        text = make(draw.choice([0, 0, 1, 1, 2]))
        if text.count(":=") <= 1:
            found[text] = None
    return list(found)


EXPRESSIONS = expressions()
PARTS = 14


def plain_names() -> dict:
    names = {"torch": torch, "np": np, "nn": torch.nn, "F": torch.nn.functional, "math": math}
    torch.manual_seed(0)
    exec(SETUP, names)
    return names


def ask(session: Session, text: str) -> report.AnyReport:
    answers: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=text, max_values=10**6), answers.append)
    return next(answer for answer in answers if not isinstance(answer, report.Notice))


def as_json(value: object) -> object:
    """A number as the contract says it travels."""
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, complex):
        return str(value).strip("()")
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def check(answer: report.AnyReport, expected: object, text: str) -> None:
    """Fail unless the report says exactly what `expected` is."""
    match expected:
        case torch.Tensor():
            assert isinstance(answer, report.Tensor), text
            said = (answer.shape, answer.dtype, answer.device, answer.requires_grad, answer.values)
            values = as_json(expected.detach().tolist())
            dtype = str(expected.dtype).removeprefix("torch.")
            assert said == (tuple(expected.shape), dtype, "cpu", expected.requires_grad, values), text
            assert answer.stride == expected.stride()
            assert answer.nbytes == expected.numel() * expected.element_size()
        case None:
            assert isinstance(answer, report.Nothing), text
        case np.ndarray():
            assert isinstance(answer, report.Value), text
            assert (answer.shape, answer.dtype, answer.text) == (expected.shape, str(expected.dtype), repr(expected)), (
                text
            )
        case tuple() | list() | dict() if holds_tensors(expected):
            assert isinstance(answer, report.Value), text
            assert answer.items is not None, text
            parts = list(expected.values()) if isinstance(expected, dict) else list(expected)
            assert len(answer.items) == len(parts)
            for item, part in zip(answer.items, parts, strict=True):
                check(item, part, text)
        case _:
            assert isinstance(answer, report.Value), (text, answer)
            assert answer.text == repr(expected), text


def holds_tensors(value: object) -> bool:
    if isinstance(value, torch.Size):
        return False
    parts = list(value.values()) if isinstance(value, dict) else list(value)
    return any(isinstance(part, torch.Tensor | np.ndarray) for part in parts)


pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One thread: a few operators round differently on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_there_are_enough_and_they_differ():
    assert len(set(EXPRESSIONS)) == COUNT


@pytest.mark.parametrize("part", range(PARTS))
def test_same_as_plain_python(part: int):
    plain, session = plain_names(), Session(seed=0)
    assert isinstance(ask(session, SETUP), report.Tensor)
    succeeded = 0
    for text in EXPRESSIONS[part::PARTS]:
        torch.manual_seed(1)
        try:
            expected = eval(text, plain)
            error = None
        except Exception as caught:
            error = caught
        torch.manual_seed(1)
        answer = ask(session, text)
        if error is None:
            check(answer, expected, text)
            succeeded += 1
            continue
        assert isinstance(answer, report.Diagnosis), (text, error)
        assert answer.code != "engine-fault", (text, answer.title)
        assert answer.category != "refused", (text, answer.title)
        span = answer.span
        assert span is not None, text
        assert text[span.column : span.end_column] == span.text, text
        assert answer.title
    assert succeeded * PARTS >= 1000  # so that at least 1,000 in all gave equal values


def test_inspect_gives_the_same_facts():
    """Instrumenting changes neither what is computed nor whether it fails."""
    session = Session(seed=0)
    ask(session, SETUP)
    for text in EXPRESSIONS[::9]:
        answers: list[report.AnyReport] = []
        torch.manual_seed(1)
        session.ask(report.Inspect(text=text), answers.append)
        torch.manual_seed(1)
        plain, traced = ask(session, text), answers[-1]
        if isinstance(plain, report.Diagnosis):
            assert isinstance(traced, report.Diagnosis), text
            assert (traced.code, traced.span, traced.title) == (plain.code, plain.span, plain.title), text
            continue
        assert isinstance(traced, report.Trace), text
        result = traced.root.result
        assert traced.root.text == text
        if isinstance(plain, report.Tensor):
            assert (result.shape, result.dtype, result.device) == (plain.shape, plain.dtype, plain.device), text


def test_inspect_computes_the_same_values():
    plain, session = plain_names(), Session(seed=0)
    ask(session, SETUP)
    compared = 0
    for text in EXPRESSIONS[4::9]:
        torch.manual_seed(1)
        try:
            expected = eval(text, plain)
        except Exception:
            continue
        torch.manual_seed(1)
        session.ask(report.Inspect(text=f"inspected = {text}"), lambda _: None)
        check(ask(session, "inspected"), expected, text)
        compared += 1
    assert compared >= 120
