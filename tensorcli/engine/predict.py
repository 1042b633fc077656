"""Shapes, dtypes and devices without computing: statements run on tensors that have no values.

torch's fake tensors accept some of what its real operators refuse, and refuse some of what these accept. So whatever
is called on small ones is called on twins too: real tensors of the same metadata with values that harm nothing.
"""

import ast
import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten

from tensorcli.engine import apart, describe, interrupts, namespace, pretend

if TYPE_CHECKING:
    from tensorcli.engine.formulas import Condition

_MAX_CHANGED = 1 << 24  # elements, of what is changed in place, to get torch's message
MAX_ELEMENTS = 65_536  # of all twins of one call, and of what it gives
MAX_PARTS = 500  # of a tensor that is taken to pieces where there is little time

# Operators that want one dtype for all their tensors; fake tensors let them mix.
_ONE_DTYPE = frozenset(
    """matmul __matmul__ mm bmm mv dot vdot inner addmm addmv addbmm baddbmm addmm_ addmv_ addbmm_ baddbmm_ linear
    bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d einsum tensordot chain_matmul
    multi_dot cdist lerp lerp_ layer_norm batch_norm group_norm""".split()
)
# What looks at metadata or at the graph alone: fake tensors answer as real ones do.
_ONLY_LOOKS = frozenset(
    """__get__ __set__ __delete__ size stride dim numel nelement ndimension element_size storage_offset is_contiguous
    is_floating_point is_complex is_signed get_device untyped_storage backward grad register_hook retain_grad
    requires_grad_ detach detach_ __len__ __hash__ _is_view is_inference broadcast_tensors __deepcopy__""".split()
)
# What fails for some values, though its shape does not depend on them.
_FAILS_FOR_VALUES = frozenset(
    """embedding embedding_bag cross_entropy nll_loss gather scatter scatter_add index_select take take_along_dim
    getitem setitem index_put index_add index_copy index_fill binary_cross_entropy inv inverse linalg_inv
    linalg_solve solve cholesky linalg_cholesky linalg_inv_ex multinomial bernoulli poisson normal ctc_loss
    kthvalue one_hot multi_margin_loss multilabel_margin_loss gaussian_nll_loss cholesky_inverse cholesky_solve
    eigh eigvalsh masked_scatter""".split()
)
_DIVIDES = frozenset("floor_divide __floordiv__ __rfloordiv__ remainder __mod__ __rmod__ fmod div divide".split())
_TO_PYTHON = frozenset(
    "item tolist numpy __array__ __bool__ __int__ __float__ __complex__ __index__ __format__".split()
)


# What takes a tensor to pieces, and what its argument says of these.
_TAKES_APART = {
    **dict.fromkeys(("__iter__", "unbind"), "axis"),
    **dict.fromkeys(("split", "unsafe_split"), "size"),
    **dict.fromkeys(("chunk", "unsafe_chunk", "tensor_split", "hsplit", "vsplit", "dsplit"), "count"),
}

_VIEW = (
    "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
    "contiguous subspaces). Use .reshape(...) instead."
)


class DependsOnValues(Exception):
    """What a call gives, or its shape, depends on values. `bound` is the most rows that it can give, where known."""

    def __init__(self, what: str, bound: int | None = None) -> None:
        super().__init__(f"the {what} depends on values")
        self.what, self.bound = what, bound


def run(text: str, scope: Mapping[str, Any], *, trust: bool) -> Any:
    """What statements would give, as `apart.run`, with no element computed and none allocated.

    Raises what torch raises; DependsOnValues where the answer depends on values.
    """
    with predicting(mode()):
        return apart.run(text, scope, trust=trust, kind=Faker)


def value_of(node: ast.expr, scope: Mapping[str, Any], *, trust: bool) -> Any:
    """What an expression would give, as `apart.value_of`. Raises what torch raises."""
    with predicting(mode()):
        return apart.value_of(node, scope, trust=trust, kind=Faker)


@contextlib.contextmanager
def predicting(fake: Any) -> Iterator[dict[str, None]]:
    """Within it nothing is computed and no tensor has elements.

    Gives the names of functions that were called and fail for some values.
    """
    truth = _Truth(fake)
    swap = torch.utils.swap_tensors
    token = namespace.IS_PREDICTED.set(True)
    torch.utils.swap_tensors = _set_data  # of a module that is moved: what fake tensors refuse, and real ones do not do
    try:
        with fake, truth:
            yield truth.fails_for_values
    finally:
        torch.utils.swap_tensors = swap
        namespace.IS_PREDICTED.reset(token)


def _set_data(parameter: torch.Tensor, moved: torch.Tensor) -> None:
    parameter.data = moved.data


def warm_up() -> None:
    """Pay for the first fake tensor, about a second, and its first operators, while nobody waits."""
    with predicting(mode()):
        (torch.ones(2, 2) @ torch.ones(2, 2)).relu().sum()


def is_warm() -> bool:
    """Whether the first fake tensor is paid for."""
    return _kind.cache_info().currsize > 0


@cache
def _kind() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # it logs what is raised anyway
    _fake_class()

    class Mode(FakeTensorMode):
        """torch's mode; what it makes is on the CPU for it, whatever device is pretended."""

        def dispatch(self, func: Any, *arguments: Any, **options: Any) -> Any:
            if _may_fail(func):
                interrupts.may_stop()
            before, _Inside.mode = _Inside.mode, True
            try:
                return super().dispatch(func, *arguments, **options)
            finally:
                _Inside.mode = before

    return Mode


@cache
def _may_fail(operator: Any) -> bool:
    """Whether an operator computes: torch's C++ asks for metadata too, and then no exception may come."""
    return operator.namespace == "aten" and any("Tensor" in str(each.type) for each in operator._schema.returns)


def mode(shapes: Any = None) -> Any:
    """A mode in which torch makes fake tensors; `shapes` is the environment of sizes that are not known."""
    made = _kind()(allow_non_fake_inputs=False, shape_env=shapes)
    made.__deepcopy__ = lambda _memo: made  # a copy of a layer stays in the mode of its tensors
    return made


def unknown_sizes(numbers: Mapping[str, int]) -> Any:
    """An environment for sizes that are not known, each of which a number stands for: its `sizes` has them by name."""
    import sympy  # torch needs it
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

    shapes: Any = ShapeEnv(allow_scalar_outputs=False, allow_dynamic_output_shape_ops=False)
    shapes.names, shapes.sizes = {}, {}
    for name, number in numbers.items():
        source = ConstantSource(name)
        symbol = shapes.create_symbol(number, source, DimDynamic.DYNAMIC, None, do_not_specialize_zero_one=True)
        shapes.names[symbol] = sympy.Symbol(name)
        shapes.sizes[name] = shapes.create_symintnode(symbol, hint=number, source=source)
    return shapes


def refused(shapes: Any) -> "list[Condition]":
    """What would have to hold for the conditions on sizes that did not, the last one first."""
    import sympy

    from tensorcli.engine import formulas

    numbers = {sympy.Symbol(name): describe.known(size) for name, size in shapes.sizes.items()}
    guards = (guard.expr.xreplace(shapes.names) for guard in reversed(shapes.guards))
    return list(dict.fromkeys(found for guard in guards for found in formulas.conditions(guard, numbers)))


class Faker(apart.Copier):
    """Copies that have no elements."""

    def check_size(self, values: list[Any]) -> None:
        """Nothing is too large. What autograd made is remembered by its node."""
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        self._made = {value.grad_fn: value for value in tensors if value.grad_fn is not None}

    def array(self, value: np.ndarray) -> np.ndarray:
        """The array itself, read-only: its values cannot be left out."""
        view = value.view()
        view.setflags(write=False)
        return view

    def tensor(self, value: torch.Tensor) -> torch.Tensor:
        """A tensor of the same sizes, strides and dtype; views of one storage are views of one again."""
        if value.layout is torch.sparse_coo:
            with torch._C.DisableTorchFunction():
                sparse: torch.Tensor = torch._C._get_dispatch_mode(_FAKE).from_tensor(value)
            return sparse
        if value.layout is not torch.strided or value.is_nested or value.is_quantized:
            raise apart.NoCopy("this layout is not predicted")
        with torch._C.DisableTorchFunction(), torch.no_grad():
            key, device = value.untyped_storage()._cdata, "meta" if value.device.type == "meta" else "cpu"
            if key not in self._storages:
                nbytes = value.untyped_storage().nbytes()
                self._storages[key] = torch.empty(nbytes, dtype=torch.uint8, device=device)
            fresh = torch.empty(0, dtype=value.dtype, device=device).set_(
                self._storages[key].untyped_storage(), value.storage_offset(), value.shape, value.stride()
            )
            pretend.carry(value, fresh)
            if value.grad_fn is not None:
                return self._recorded(value, fresh)
            if isinstance(value, torch.nn.Parameter):
                fresh = torch.nn.Parameter(fresh, value.requires_grad)
            elif value.requires_grad:
                fresh.requires_grad_()
        self.copy_grad(value, fresh)
        return fresh

    def _recorded(self, value: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
        """What autograd made, made of copies of what it was made of: leaves, and what else is copied."""
        sources, waiting, seen, lost = [], [value.grad_fn], set(), None
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            lost = lost or _lost(node)
            maker = getattr(node, "variable", None)
            if node is not value.grad_fn:
                maker = self._made.get(node, maker)
            if maker is None:
                waiting += [below for below, _ in node.next_functions]
            else:
                self.prepare(maker)
                sources.append(self._memo[id(maker)])
        with torch.enable_grad():
            result: torch.Tensor = _Recorded.apply(lost, fresh, *sources)  # type: ignore[no-untyped-call]
        pretend.carry(value, result)
        return result


def _lost(node: Any) -> RuntimeError | None:
    """What a backward through a node of a graph raises where what it saved was changed or freed."""
    for name in dir(node):
        if name.startswith("_saved_"):
            try:
                with real():
                    getattr(node, name)
            except RuntimeError as error:
                if "inplace operation" in str(error) or "second time" in str(error):
                    return error
    return None


class _Recorded(torch.autograd.Function):
    """Stands for the part of a graph that gave a tensor of the session."""

    @staticmethod
    def forward(ctx: Any, lost: RuntimeError | None, fresh: torch.Tensor, *sources: torch.Tensor) -> torch.Tensor:
        """The tensor, made of its sources."""
        ctx.lost = lost
        ctx.save_for_backward(*sources)
        return fresh

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        """Gradients of the sources' metadata; a second one raises what torch raises."""
        if ctx.lost is not None:
            raise ctx.lost
        return None, None, *((source * grads[0].sum()).to(source.dtype) for source in ctx.saved_tensors)


class Realer(apart.Copier):
    """Real tensors in the place of fake ones: what explains a failure looks at these."""

    def check_size(self, values: list[Any]) -> None:
        """Twins of large ones take no memory."""

    def tensor(self, value: torch.Tensor) -> torch.Tensor:
        """The twin, however large."""
        if not is_fake(value):
            return value
        found = made_real(value)
        self.copy_grad(value, found)
        return found


# Twins.


class _Fill(NamedTuple):
    """The values of twins; without a number those that harm nothing."""

    integer: int
    truth: bool
    number: float | None = None


_HARMLESS, _OTHER, _HARMFUL = _Fill(0, True), _Fill(1, False), _Fill(1 << 30, False, -1.0)


def is_fake(value: Any) -> bool:
    """Whether this is a tensor without elements that a mode of ours made."""
    return isinstance(value, torch.Tensor) and isinstance(value, _fake_class())


@cache
def _fake_class() -> Any:
    """Fake tensors' class. Their device is a property in Python, which no function mode sees: it pretends by itself."""
    from torch._subclasses.fake_tensor import FakeTensor

    plain: Any = FakeTensor.device

    def device(x: torch.Tensor) -> torch.device:
        asked = (
            not _Inside.mode
            and torch._C._is_torch_function_enabled()
            and torch._C._get_dispatch_mode(_FAKE) is not None
        )
        return pretend.DEVICE if asked and pretend.active() and pretend.is_pretended(x) else plain.fget(x)

    FakeTensor.device = property(device, plain.fset)  # type: ignore[assignment, method-assign]
    return FakeTensor


_FAKE = torch._C._TorchDispatchModeKey.FAKE


class _Inside:
    """Whether torch's own mode is at work: it would make tensors on the device that is read then."""

    mode = False


def twin(fake: torch.Tensor, *, small: bool, values: "_Fill" = _HARMLESS) -> torch.Tensor:
    """A real tensor with a fake one's metadata. A large one takes no memory: all its elements are one.

    That of a meta tensor is one too, which has none.
    """
    is_meta = fake.device.type == "meta"
    tracked = fake.requires_grad and torch.is_grad_enabled() and not fake.is_leaf
    with real(), torch.no_grad(), torch._C.DisableTorchFunction():
        sizes = [describe.known(size) for size in fake.shape]
        strides = [describe.known(step) for step in fake.stride()]
        if is_meta:
            fresh = torch.empty_strided(sizes, strides, dtype=fake.dtype, device="meta")
        elif small and sum((size - 1) * step for size, step in zip(sizes, strides, strict=True)) <= 16 * MAX_ELEMENTS:
            held = [1 if step == 0 and size else size for size, step in zip(sizes, strides, strict=True)]
            fresh = torch.empty_strided(held, strides, dtype=fake.dtype, device="cpu")
            fresh = _fill(fresh, values).expand(sizes) if held != sizes else _fill(fresh, values)
        else:
            fresh = torch.zeros(1, dtype=fake.dtype, device="cpu").expand(sizes)
        if isinstance(fake, torch.nn.Parameter):
            fresh = torch.nn.Parameter(fresh, fake.requires_grad)
        elif fake.requires_grad:
            fresh.requires_grad_()
    pretend.carry(fake, fresh)
    if tracked:
        with real(), torch.enable_grad(), torch._C.DisableTorchFunction():
            fresh = fresh.clone() if small else fresh.view(fresh.shape)
        pretend.carry(fake, fresh)
    return fresh


def made_real(fake: Any) -> torch.Tensor:
    """The twin of a fake tensor, however large; a sparse one's has no elements."""
    if fake.layout is torch.sparse_coo:
        with real(), torch._C.DisableTorchFunction():
            return torch.zeros(fake.shape, dtype=fake.dtype).to_sparse()
    return twin(fake, small=describe.known(fake.numel()) <= MAX_ELEMENTS)


def _fill(x: torch.Tensor, values: _Fill) -> torch.Tensor:
    """Harmless values are positive, at most 1, symmetric and positive definite where that can be."""
    if x.dtype is torch.bool:
        return x.fill_(values.truth)
    if not (x.is_floating_point() or x.is_complex()):
        return x.fill_(min(values.integer, torch.iinfo(x.dtype).max) if x.dtype is not torch.uint64 else 0)
    if values.number is not None:
        return x.fill_(values.number)
    n = max(x.shape[-2:], default=1) if x.numel() else 1
    x.fill_(1 / (n + 1))
    if x.dim() > 1:
        x.diagonal(dim1=-2, dim2=-1).fill_(1)
    return x


@contextlib.contextmanager
def real() -> Iterator[None]:
    """Within it torch computes."""
    if pretend.active():  # it follows devices with a mode of its own
        with _disable_current_modes():
            yield
    else:
        with torch._C._DisableTorchDispatch():
            yield


class _Truth(TorchFunctionMode):
    """Holds fake tensors to what real ones do."""

    def __init__(self, fake: Any) -> None:
        super().__init__()
        self._fake = fake
        self.fails_for_values: dict[str, None] = {}

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        options = options or {}
        name = getattr(function, "__name__", "")
        if name in _ONLY_LOOKS or torch._C._functorch.maybe_current_level() is not None:
            return function(*arguments, **options)
        interrupts.may_stop(at_once=_makes_many(name, arguments, options))
        if name == "__repr__" or (name == "__format__" and not arguments[1]):
            return _text(arguments[0])
        given = list(_tensors((arguments, options)))
        if not all(map(is_fake, given)):
            if not all(type(one) in (torch.Tensor, torch.nn.Parameter) or is_fake(one) for one in given):
                return function(*arguments, **options)  # a transform's own tensors
            arguments, options = _mapped(self._faked, (arguments, options))
            given = list(_tensors((arguments, options)))
        call = _Call(function, name, arguments, options, given)
        if call.changes:
            call.prepare()
        call.check_device()
        try:
            result = function(*arguments, **options)
        except BaseException as error:
            return self._failed(call, error)
        if name in _ONE_DTYPE and not call.small:
            dtypes = {tensor.dtype for tensor in given}
            if len(dtypes) > 1 and not torch.is_autocast_enabled():
                call.raises()
                raise RuntimeError(f"expected tensors of one dtype, but got {dtypes}")
        found = list(_tensors(result))
        if call.small and all(map(is_fake, found)) and sum(describe.known(x.numel()) for x in found) <= MAX_ELEMENTS:
            expected = call.real()
            if call.depends_on_values:
                self.fails_for_values[name] = None
            if not call.changes and not _alike(found, list(_tensors(expected))):
                result = expected
        return result if all(map(is_fake, _tensors(result))) else _mapped(self._faked, result)

    def _failed(self, call: "_Call", error: BaseException) -> Any:
        """What a call gives that fake tensors cannot do."""
        from torch._subclasses import fake_tensor

        if not isinstance(error, Exception) or isinstance(error, DependsOnValues):
            raise error
        values = (fake_tensor.DataDependentOutputException, fake_tensor.DynamicOutputShapeException)
        if call.name in _TO_PYTHON or isinstance(error, values):
            if call.small:
                call.real()
            raise call.depends() from None
        if call.name == "view" and "Cannot view" in str(error):
            raise RuntimeError(_VIEW) from None
        if not call.small:
            call.raises()
            raise error
        result = call.real()
        if call.changes:
            if any(x.requires_grad for x in call.given):  # of autograd's rules twins know little
                raise error
            return call.given[0] if call.given else result
        if not list(_tensors(result)):
            raise call.depends() from None
        return _mapped(self._faked, result)

    def _faked(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or is_fake(value):
            return value
        with torch._C.DisableTorchFunction():
            fresh = self._fake.from_tensor(value.detach() if value.requires_grad and not value.is_leaf else value)
            if value.requires_grad and not fresh.requires_grad:
                fresh = fresh.detach().requires_grad_()
        pretend.carry(value, fresh)
        return fresh


def _makes_many(name: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    """Whether a call takes a tensor to so many pieces, in one go, that it takes long."""
    if name not in _TAKES_APART or not arguments:
        return False
    sizes = [describe.known(size) for size in arguments[0].shape] or [0]
    number = next((one for one in (*arguments[1:2], *options.values()) if isinstance(one, int)), None)
    match _TAKES_APART[name]:
        case "axis":
            axis = number or 0
            return -len(sizes) <= axis < len(sizes) and sizes[axis] > MAX_PARTS
        case "size":
            return max(sizes) // max(number or max(sizes), 1) > MAX_PARTS
    return (number or 0) > MAX_PARTS


class _Call:
    """One call of a function of torch's on fake tensors."""

    def __init__(
        self, function: Callable[..., Any], name: str, arguments: Any, options: Any, given: list[torch.Tensor]
    ) -> None:
        self.function, self.name, self.arguments, self.options, self.given = function, name, arguments, options, given
        self.changes = (
            (name.endswith("_") and not name.endswith("__"))
            or (name.startswith("__i") and name not in ("__invert__", "__int__", "__index__"))
            or name == "__setitem__"
            or options.get("out") is not None
        )
        self._plain = all(x.layout is torch.strided for x in given)
        self.small = (
            self._plain
            and sum(describe.known(x.numel()) for x in given) <= MAX_ELEMENTS
            and (bool(given) or self._makes_little())
        )
        self.depends_on_values = False  # whether it fails for some
        self._twins: dict[int, torch.Tensor] = {}

    def _makes_little(self) -> bool:
        flat = tree_flatten((self.arguments, self.options))[0]
        sizes = [abs(describe.known(size)) for size in flat if isinstance(size, int | torch.SymInt)]
        return math.prod(size for size in sizes if size) <= MAX_ELEMENTS

    def prepare(self, *, small: bool | None = None, values: _Fill = _HARMLESS) -> None:
        """Make the twins, before the call may change what they are made of."""
        small = self.small if small is None else small
        self._twins = {id(x): twin(x, small=small, values=values) for x in self.given}

    def check_device(self) -> None:
        """Ask torch for the device that is asked for: fake tensors are made where no device is."""
        asked = [self.options.get("device"), *self.arguments]
        device = next((one for one in asked if isinstance(one, torch.device | str)), None)
        if self.name == "cuda":
            device = device or "cuda"
        if device is None or (isinstance(device, str) and device.split(":")[0] not in ("cuda", "mps", "xpu")):
            return
        with _disable_current_modes():
            torch.empty(0, device=device)

    def real(self) -> Any:
        """What it gives for twins. Raises what torch raises, whatever the values."""
        if not self._twins:
            self.prepare()
        try:
            result = self._once()
        except Exception as error:
            if all(x.is_floating_point() or x.is_complex() for x in self.given):
                raise
            self.prepare(values=_OTHER)
            try:
                result = self._once()
            except Exception:
                raise error from None
            self.depends_on_values = True
            return result
        if self.name == "one_hot":  # of a large class, it would make room for all below that
            self.depends_on_values = True
        elif self.name.strip("_") in _FAILS_FOR_VALUES or self._divides():
            self.prepare(values=_OTHER._replace(integer=0) if self._divides() else _HARMFUL)
            try:
                self._once()
            except Exception:
                self.depends_on_values = True
        return result

    def _divides(self) -> bool:
        return self.name in _DIVIDES and not any(x.is_floating_point() or x.is_complex() for x in self.given)

    def raises(self) -> None:
        """Raise what torch raises where the tensors are large, without memory for them."""
        if not self._plain:
            return
        self.prepare(small=False)
        if self.changes:  # what has elements in one place cannot be changed
            changed = self.given[0]
            if changed.numel() > _MAX_CHANGED:
                return
            with real(), torch._C.DisableTorchFunction():
                self._twins[id(changed)] = self._twins[id(changed)].clone()
        self._once()

    def _once(self) -> Any:
        arguments, options = _mapped(self._known, (self.arguments, self.options))
        with real():
            return self.function(*arguments, **options)

    def _known(self, value: Any) -> Any:
        return describe.known(value) if isinstance(value, torch.SymInt) else self._twins.get(id(value), value)

    def depends(self) -> DependsOnValues:
        """What to say where fake tensors have no answer."""
        if self.name in _TO_PYTHON:
            return DependsOnValues("value")
        masks = [x for x in self.given if x.dtype is torch.bool]
        counted = masks[-1:] if self.name in ("__getitem__", "masked_select") else self.given[:1]
        if self.name in ("__getitem__", "masked_select", "nonzero", "argwhere", "where", "unique", "_unique2"):
            return DependsOnValues("shape", counted[0].numel() if counted else None)
        return DependsOnValues("result")


def _text(x: torch.Tensor) -> str:
    """A tensor as torch writes one on the meta device: without values."""
    extra = "" if x.dtype is torch.get_default_dtype() else f", dtype={x.dtype}"
    return f"tensor(..., size={tuple(describe.known(size) for size in x.shape)}{extra})"


def _alike(found: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
    """Whether fake tensors have the metadata of real ones."""
    with torch._C.DisableTorchFunction():
        return len(found) == len(expected) and all(
            a.dtype is b.dtype and [describe.known(size) for size in a.shape] == list(b.shape)
            for a, b in zip(found, expected, strict=True)
        )


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """A value with its tensors and unknown sizes changed; what holds none is left as it is."""
    if isinstance(value, torch.Tensor | torch.SymInt):
        return change(value)
    if isinstance(value, dict):
        items: Any = {key: _mapped(change, item) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in value) else value
    if isinstance(value, list | tuple):
        items = [_mapped(change, item) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
