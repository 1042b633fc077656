"""Describing any value: what is said is true, nothing raises, nothing large is copied."""

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tensorcli import report
from tensorcli.engine.describe import describe

pytestmark = pytest.mark.filterwarnings("ignore")

torch.manual_seed(0)
TENSORS = {
    "0-dim": torch.tensor(3.5),
    "empty": torch.empty(0, 3),
    "bool": torch.tensor([True, False] * 20),
    "uint8": torch.arange(200, dtype=torch.uint8),
    "uint16": torch.arange(50).to(torch.uint16),
    "int8": torch.arange(-60, 60, dtype=torch.int8),
    "int64": torch.arange(-40, 60).reshape(10, 10),
    "half": torch.randn(30, 30).half(),
    "bfloat16": torch.randn(50, 30).bfloat16(),
    "float8": torch.randn(8, 8).to(torch.float8_e4m3fn),
    "float64": torch.randn(40, 40, dtype=torch.float64),
    "far from zero": torch.randn(5000) + 1e6,
    "huge": torch.full((100,), 3e38),
    "with nan and inf": torch.tensor([1.0, math.nan, math.inf, -math.inf, 0.0] * 10),
    "large products": torch.cat([torch.full((4000,), 1000.0), torch.zeros(96)]),
    "large integers": torch.arange(30) + 2**60 + 1,
    "wide": torch.linspace(0, 1e300, 40, dtype=torch.float64),
    "all nan": torch.full((30,), math.nan),
    "transposed": torch.randn(30, 40).T,
    "sliced": torch.randn(60, 60)[::2, ::3],
    "expanded": torch.randn(1, 30).expand(20, 30),
    "blocks": torch.randn(3, 1 << 20)[:, ::2],
    "requires grad": torch.randn(30, requires_grad=True) * 2,
    "parameter": torch.nn.Parameter(torch.randn(5, 5)),
    "many dimensions": torch.rand([2] * 14),
    "inference": torch.inference_mode()(lambda: torch.rand(30))(),
}
OTHERS = {
    "complex": torch.randn(40, dtype=torch.complex64),
    "conjugate": torch.randn(40, dtype=torch.complex64).conj(),
    "meta": torch.empty(10**6, 10**6, device="meta"),
    "sparse": torch.eye(50).to_sparse(),
    "csr": torch.eye(50).to_sparse_csr(),
    "quantized": torch.quantize_per_tensor(torch.randn(40), 0.1, 0, torch.qint8),
    "nested": torch.nested.nested_tensor([torch.rand(2), torch.rand(3)]),
}


@pytest.mark.parametrize("name", TENSORS)
def test_facts_and_statistics_are_torchs(name):
    x = TENSORS[name]
    said = describe(x)
    assert isinstance(said, report.Tensor)
    assert said.shape == tuple(x.shape)
    assert said.dtype == str(x.dtype).removeprefix("torch.")
    assert (said.stride, said.contiguous) == (x.stride(), x.is_contiguous())
    assert (said.nbytes, said.storage_nbytes) == (x.numel() * x.element_size(), x.untyped_storage().nbytes())
    assert said.requires_grad == x.requires_grad
    if x.numel() <= 1000 and x.dtype is not torch.float8_e4m3fn:
        assert said.text == str(x)
    if x.numel() < 25:
        assert said.stats is None
        return
    values = x.detach().double()
    finite = values[torch.isfinite(values)]
    stats = said.stats
    assert stats.nan == int(torch.isnan(values).sum())
    assert stats.inf == int(torch.isinf(values).sum())
    assert stats.zeros == int((values == 0).sum())
    assert stats.sampled is None
    if not finite.numel():
        assert (stats.min, stats.max, stats.mean, stats.std) == (None, None, None, None)
        return
    exact = finite if x.is_floating_point() else x.to(torch.int64)
    assert (stats.min, stats.max) == (exact.min().item(), exact.max().item())
    assert stats.mean == pytest.approx(float(finite.mean()), rel=1e-5, abs=1e-5 * float(finite.std()))
    if name == "wide":  # its variance is larger than any float64
        assert stats.std is None
        return
    assert stats.std == pytest.approx(float(finite.std()), rel=1e-4)
    if stats.histogram:
        assert len(stats.histogram) == 8


@pytest.mark.parametrize("name", OTHERS)
def test_what_has_no_plain_elements_is_described_all_the_same(name):
    x = OTHERS[name]
    said = describe(x)
    assert isinstance(said, report.Tensor)
    assert said.dtype == str(x.dtype).removeprefix("torch.")
    assert said.layout == str(x.layout).removeprefix("torch.")
    assert said.text


def test_complex_numbers():
    x = torch.tensor([1 + 2j, complex(math.nan, 0)])
    assert describe(x).values == ["1+2j", "nan+0j"]
    z = OTHERS["complex"]
    stats = describe(z).stats
    assert stats.std == pytest.approx(float(z.std()), rel=1e-5)
    assert complex(stats.mean) == pytest.approx(complex(z.mean()), rel=1e-4)


def test_values_stop_at_the_bound():
    x = torch.arange(10)
    assert describe(x, max_values=10).values == list(range(10))
    assert describe(x, max_values=9).values is None


def test_numbers_that_json_has_no_word_for():
    assert describe(TENSORS["with nan and inf"]).values[:5] == [1.0, "nan", "inf", "-inf", 0.0]


OTHER_VALUES = [
    (None, "NoneType", "None"),
    (3, "int", "3"),
    (True, "bool", "True"),
    ("a\x1b[31m", "str", "'a\\x1b[31m'"),
    (torch.Size([2, 3]), "torch.Size", "torch.Size([2, 3])"),
    (torch.float32, "torch.dtype", "torch.float32"),
    (torch.device("cpu"), "torch.device", "device(type='cpu')"),
    (torch.nn.Linear(2, 3), "torch.nn.Linear", "Linear(in_features=2, out_features=3, bias=True)"),
    (np.float32(1.5), "numpy.float32", "np.float32(1.5)"),
    ((1,), "tuple", "(1,)"),
    ([1] * 60, "list", "[" + "1, " * 50 + "... 10 more]"),
    ({"a": {1, 2}}, "dict", "{'a': {1, 2}}"),
    (10**9999, "int", "an integer of 33,216 bits"),
    (test_complex_numbers, "function", "<function test_complex_numbers>"),
]


@pytest.mark.parametrize(("value", "kind", "text"), OTHER_VALUES, ids=[kind for _, kind, _ in OTHER_VALUES])
def test_any_other_value(value, kind, text):
    said = describe(value)
    if kind == "function":
        assert said.text == text
        return
    assert (said.type, said.text, said.items) == (kind, text, None)


def test_an_array_and_what_shares_it():
    array = np.arange(3.0)
    said = describe(array, names={"t": torch.from_numpy(array), "n": array})
    assert (said.type, said.shape, said.dtype, said.nbytes) == ("numpy.ndarray", (3,), "float64", 24)
    assert said.shares_memory_with == ("t",)


def test_results_with_names_have_their_items():
    said = describe(torch.rand(3, 4).max(dim=0))
    assert said.type == "torch.return_types.max"
    assert [(item.key, item.shape) for item in said.items] == [("values", (4,)), ("indices", (4,))]
    said = describe({"a": torch.ones(2), "b": 3})
    assert [(item.key, getattr(item, "text", None)) for item in said.items] == [("a", "tensor([1., 1.])"), ("b", "3")]
    said = describe(torch.linalg.svd(torch.rand(3, 2)))
    assert [item.key for item in said.items] == ["U", "S", "Vh"]


def test_what_cannot_be_shown_is_said():
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert describe(Bad()).text == "(its own text fails: RuntimeError)"


class Largest(TorchDispatchMode):
    """Remembers the most bytes that one operator has newly made."""

    nbytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        inputs = {a.untyped_storage().data_ptr() for a in args if isinstance(a, torch.Tensor)}
        for x in result if isinstance(result, tuple) else [result]:
            if isinstance(x, torch.Tensor) and x.untyped_storage().data_ptr() not in inputs:
                self.nbytes = max(self.nbytes, x.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64, torch.bool])
@pytest.mark.parametrize("turned", [False, True])
def test_a_large_tensor_is_not_copied(dtype, turned):
    x = torch.ones(4096, 2048).to(dtype)
    x = x.T if turned else x
    with Largest() as largest:
        describe(x)
    assert 0 < largest.nbytes <= 8 << 20  # one block, of a tensor two to eight times as large


def test_a_tensor_larger_than_any_memory():
    x = torch.ones(1).expand(10**6, 10**6)
    said = describe(x)
    assert said.nbytes == 4 * 10**12
    assert said.stats.zeros == 0
    assert (said.stats.min, said.stats.mean, said.stats.std) == (1.0, 1.0, 0.0)


def test_a_container_within_itself_is_described_once():
    d: dict[str, object] = {"t": torch.ones(2)}
    d["self"] = d
    said = describe(d)
    assert said.text == "{'t': float32 [2], 'self': {...}}"
    assert [(item.key, item.text) for item in said.items] == [("t", "tensor([1., 1.])"), ("self", "{...}")]
    assert (said.nbytes, said.length) == (8, 2)
    plain: list[object] = [1]
    plain.append((plain, plain))
    assert describe(plain).text == "[1, ([...], [...])]"
    assert describe([[1], [1]]).text == "[[1], [1]]"  # beside each other they are none within itself


def count(said: report.Tensor | report.Value) -> int:
    return 1 + sum(map(count, getattr(said, "items", None) or ()))


def test_containers_that_share_others_are_described_within_a_bound():
    shared = plain = [torch.ones(1)]
    for _ in range(100):  # 40 ** 100 items
        shared, plain = [torch.ones(1), *[shared] * 40], [plain] * 40
    said = describe(shared)
    assert (count(said), said.length, said.nbytes) == (501, 41, 404)
    assert len(describe(plain).text) < 200_000


def test_statistics_of_items_are_made_of_so_many_elements_only():
    said = describe([torch.zeros(1000, 1000) for _ in range(4)])
    assert [item.stats is not None for item in said.items] == [True, True, False, False]
    assert [item.stats is not None for item in describe([torch.zeros(30)] * 50).items] == [True] * 50
