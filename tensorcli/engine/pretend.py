"""A CUDA device where there is none: tensors in CPU memory that say `cuda:0`, and fail as they would there.

The device is an attribute of a storage's Python object, which lives as long as the storage: views, parameters and
`.data` have it by themselves. A torch function mode answers what asks for a device, moves tensors, and marks results.
Where a call mixes devices it is followed down to torch's operators, since it is there that CUDA refuses, or does not.
"""

import contextlib
import gc
import sys
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _device as default_device
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from tensorcli.engine import environment, namespace

DEVICE = torch.device("cuda", 0)
CPU = torch.device("cpu")
MEMORY = 16 << 30  # bytes the pretended device has
NAME = "pretended"

_plain = torch._C.DisableTorchFunction  # below it torch is what it is, without modes

# The tag.


def is_pretended(tensor: torch.Tensor) -> bool:
    """Whether a tensor is on the pretended device, now or when the mode was on."""
    with _plain():
        return bool(getattr(_holder(tensor), "_pretended", False))


def carry(source: torch.Tensor, target: torch.Tensor) -> None:
    """Give the storage of `target` the device of `source`."""
    _mark(target, is_pretended(source))


def _holder(tensor: torch.Tensor) -> Any:
    try:
        with _plain():
            return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # a sparse tensor has none, vmap's wrapper hides it
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return _holder(torch._C._functorch.get_unwrapped(tensor))
        return tensor


def _mark(result: Any, pretended: bool = True) -> Any:
    with _plain():
        for tensor in _tensors(result):
            holder = _holder(tensor)
            if tensor.device.type == "cpu" and pretended != getattr(holder, "_pretended", False):
                holder._pretended = pretended
    return result


def device_of(tensor: torch.Tensor) -> torch.device:
    """The device a tensor says it is on."""
    with _plain():
        return DEVICE if is_pretended(tensor) else tensor.device


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    match value:
        case torch.Tensor():
            yield value
        case list() | tuple():
            for item in value:
                yield from _tensors(item)
        case dict():
            yield from _tensors(list(value.values()))


def _asked(device: Any) -> torch.device | None:
    """DEVICE or the CPU where that is the device asked for, None where it is another or none. Raises as CUDA does."""
    if isinstance(device, bool) or not isinstance(device, str | int | torch.device):
        return None
    place = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    if place.type == "cuda" and place.index:
        raise getattr(torch, "AcceleratorError", RuntimeError)(_NO_SUCH_DEVICE)
    return {"cuda": DEVICE, "cpu": CPU}.get(place.type)


_NO_SUCH_DEVICE = """CUDA error: invalid device ordinal
GPU device may be out of range, do you have enough GPUs?
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""

# What CUDA refuses, operator by operator.

_Named = list[tuple[Any, torch.Tensor]]
_TWO_DEVICES = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"

# Elementwise operators: no check but TensorIterator's, which lets 0-dim CPU tensors pass.
_ELEMENTWISE = set(
    "add sub rsub mul div true_divide floor_divide remainder fmod pow atan2 arctan2 hypot copysign xlogy heaviside "
    "fmin fmax maximum minimum max min eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or "
    "bitwise_xor bitwise_left_shift bitwise_right_shift __and__ __or__ __xor__ __lshift__ __rshift__ __iand__ __ior__ "
    "__ixor__ __ilshift__ __irshift__ where lerp addcmul addcdiv dist isclose allclose mse_loss smooth_l1_loss ldexp "
    "binary_cross_entropy binary_cross_entropy_with_logits index_fill complex polar".split()
)
_CROSSES = set(
    "copy_ copy _to_copy fill_ fill set_ bernoulli bernoulli_ slice_scatter select_scatter diagonal_scatter "
    "slice_inverse as_strided_scatter is_same_size is_set_to resize_as_ resize_as".split()
)
# Operators with a structured kernel: the wrapper that checks devices is named otherwise than for the rest.
_STRUCTURED = set(
    "_addmm_activation _linalg_solve_ex addmm addmv baddbmm bmm cat clamp clamp_max clamp_min gather gcd igamma "
    "igammac fractional_max_pool2d fractional_max_pool3d index_add index_copy index_reduce isin lcm linalg_cross "
    "lu_unpack linalg_ldl_solve linalg_lu_solve logaddexp logaddexp2 mm nextafter nll_loss_forward scatter scatter_add "
    "scatter_reduce slow_conv_transpose2d triangular_solve".split()
)


class _Flow(TorchDispatchMode):
    """Follows devices through torch's operators, with `given` where they are strict.

    A tensor made on the way, by an operator without tensors, is on no device until it meets one.
    """

    def __init__(self, given: Iterable[torch.Tensor] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.strict = given is not None
        self.on_cpu: list[Any] = []
        self.known: set[int] = set()
        self.stay(tensor for tensor in given or () if not is_pretended(tensor))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # keeping torch.compile out of the method would import all of it: a second

    def __torch_dispatch__(self, op: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        with _plain():
            placed = [(pair, self.device(pair[1])) for pair in _named(op, args, kwargs or {})]
            named = [pair for pair, device in placed if device]
            devices = [device for _, device in placed if device]
            if self.strict and len(set(devices)) > 1:
                _check(op, named)
            result = op(*args, **kwargs or {})
            if devices:
                first_counts = op.__name__.partition(".")[0] in _CROSSES
                self.settle(result, devices[0] if first_counts or DEVICE not in devices else DEVICE)
            return result

    def device(self, tensor: torch.Tensor) -> torch.device | None:
        device = device_of(tensor)
        return device if device != CPU or not self.strict or _holder(tensor)._cdata in self.known else None

    def settle(self, result: Any, device: torch.device) -> None:
        """Give those tensors of a result that are on no device yet the one it is on."""
        fresh = [tensor for tensor in _tensors(result) if not self.strict or self.device(tensor) is None]
        if device == DEVICE:
            _mark(fresh)
        elif self.strict:
            self.stay(fresh)

    def stay(self, tensors: Iterable[torch.Tensor]) -> None:
        holders = [_holder(tensor) for tensor in tensors]
        self.on_cpu += holders  # kept, so that no other storage gets the address of one
        self.known |= {holder._cdata for holder in holders}


def _named(op: Any, args: Any, kwargs: Any) -> _Named:
    """The tensors among an operator's arguments, each with its argument, `out` first, as CUDA looks at them."""
    arguments = op._schema.arguments
    values = [
        (argument, args[at] if at < len(args) else kwargs.get(argument.name)) for at, argument in enumerate(arguments)
    ]
    values.sort(key=lambda pair: not pair[0].is_out)
    return [(argument, tensor) for argument, value in values for tensor in _tensors(value)]


def _check(op: Any, named: _Named) -> None:
    """Raise what CUDA raises where an operator's tensors are on two devices, and it minds."""
    name = op._schema.name.removeprefix("aten::")
    if name in _CROSSES or name.startswith(("_foreach_", "_fused_", "_amp_foreach")):
        return
    if special := _OWN_WORDS.get(name.rstrip("_")):
        on: dict[str, torch.device] = {}
        for argument, tensor in named:  # one on the device speaks for a list
            device = device_of(tensor)
            on[argument.name] = max(on.get(argument.name, device), device, key=DEVICE.__eq__)
        special(on, named)
    elif name.rstrip("_") in _ELEMENTWISE or name in _ELEMENTWISE or name.startswith("special_"):
        _check_elementwise(named)
    else:
        _check_wrapped(op, name, named)


def _check_elementwise(named: _Named) -> None:
    for argument, tensor in named:
        written = argument.alias_info is not None and argument.alias_info.is_write
        if not is_pretended(tensor) and (written or tensor.dim()):
            _refuse(_TWO_DEVICES.replace("cpu", str(device_of(tensor))))


def _check_wrapped(op: Any, name: str, named: _Named) -> NoReturn:
    kernel, renamed = _KERNELS.get(name, (name, {}))
    labels = [renamed.get(argument.name, argument.name) for argument, _ in named]
    devices = [device_of(tensor) for _, tensor in named]
    if name == "native_batch_norm" and devices[0] == DEVICE and len(named) == 5:
        kernel = "cudnn_batch_norm"
    if name == "mv":  # computed in place, on a result where the vector is
        devices.insert(0, devices[-1])
        labels.insert(0, "self")
    other = next(at for at, device in enumerate(devices) if device != devices[0])
    _refuse(
        f"Expected all tensors to be on the same device, but got {labels[other]} is on {devices[other]}, different "
        f"from other tensors on {devices[0]} (when checking argument in method {_wrapper(op, kernel)})"
    )


_KERNELS: dict[str, tuple[str, dict[str, str]]] = {
    "embedding": ("index_select", {"weight": "self", "indices": "index"}),
    "stack": ("cat", {}),
    "mv": ("addmv_", {"self": "mat"}),
    "masked_scatter": ("masked_scatter_", {}),
}


def _wrapper(op: Any, kernel: str) -> str:
    overload = "" if op._overloadname == "default" else op._overloadname
    name = kernel + ("_out" if any(argument.is_out for argument in op._schema.arguments) else "")
    if kernel.rstrip("_") in _STRUCTURED or kernel in _STRUCTURED:
        return f"wrapper_CUDA_{name}" + (f"_{overload}" if overload else "")
    return f"wrapper_CUDA_{overload}_{name}"


def _refuse(text: str) -> NoReturn:
    raise RuntimeError(text)


def _check_index(on: dict[str, torch.device], named: _Named) -> None:
    if on["self"] == CPU and on.get("indices", CPU) == DEVICE:
        _refuse("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
    if any(argument.name == "values" and on["self"] != on["values"] and tensor.dim() for argument, tensor in named):
        _refuse(_TWO_DEVICES)


def _check_masked_fill(on: dict[str, torch.device], named: _Named) -> None:
    into, mask = on["self"], on.get("mask", on["self"])
    if into != mask:
        _refuse(f"expected self and mask to be on the same device, but got mask on {mask} and self on {into}")
    if into == CPU:
        _refuse(_TWO_DEVICES)


def _check_convolution(on: dict[str, torch.device], named: _Named) -> None:
    kinds = {argument.name: _kind(tensor) for argument, tensor in named}
    for what in ("weight", "bias"):
        if what in on and on[what] != on["input"]:
            _refuse(f"Input type ({kinds['input']}) and {what} type ({kinds[what]}) should be the same")


def _check_grid(on: dict[str, torch.device], named: _Named) -> None:
    _refuse(
        f"grid_sampler(): expected input and grid to be on same device, but input is on {on['input']} "
        f"and grid is on {on['grid']}"
    )


_OWN_WORDS: dict[str, Callable[[dict[str, torch.device], _Named], None]] = {
    **dict.fromkeys("index _unsafe_index index_put _unsafe_index_put _index_put_impl".split(), _check_index),
    "masked_fill": _check_masked_fill,
    "grid_sampler_2d": _check_grid,
    "grid_sampler_3d": _check_grid,
    "convolution": _check_convolution,
}


def _kind(tensor: torch.Tensor) -> str:
    with _plain():
        name: str = tensor.type()
    return name.replace("torch.", "torch.cuda.", 1) if is_pretended(tensor) else name


# Calls.


class _Mode(TorchFunctionMode):
    def __torch_function__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        call: Callable[..., Any] = _SPECIAL.get(func, _call)
        try:
            return call(func, *args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
        return _run(func, *args, **kwargs)  # these are not its arguments, and torch has its own words for that


def _call(func: Any, /, *args: Any, **kwargs: Any) -> Any:
    """A function of torch that treats devices as most do: a factory, or one that works where its tensors are."""
    device = _asked(kwargs.get("device"))
    if kwargs.get("device") is None and func in default_device._device_constructors():
        device = _default()
    given = list(_tensors((args, kwargs)))
    on = {device_of(tensor) for tensor in given}
    if device:
        _check_generator(kwargs, device)
        pinned = {} if not kwargs.get("pin_memory") else {"pin_memory": False}
        return _mark(_run(func, *args, **kwargs | pinned | {"device": "cpu"}), device == DEVICE)
    if DEVICE not in on:
        _check_generator(kwargs, CPU)
        return _run(func, *args, **kwargs)
    _check_generator(kwargs, DEVICE)
    if len(on) == 1:
        return _mark(_run_on_device(func, *args, **kwargs))
    with _Flow(given) as flow:
        result = _run(func, *args, **kwargs)
    flow.settle(result, device_of(given[0]))
    return result


def _run(func: Any, /, *args: Any, **kwargs: Any) -> Any:
    # The mode of a default device runs below this one, and would ask torch for CUDA.
    with _plain() if _default() else contextlib.nullcontext():
        return func(*args, **kwargs)


def _run_on_device(func: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run where every tensor is on the device; in float32 what the CPU has not in half precision, and CUDA has."""
    try:
        if torch.is_autocast_enabled("cuda"):
            with torch.autocast("cpu", torch.get_autocast_dtype("cuda")):
                return _run(func, *args, **kwargs)
        return _run(func, *args, **kwargs)
    except RuntimeError as error:
        half = next((kind for word, kind in _HALVES.items() if f"not implemented for '{word}'" in str(error)), None)
        if half is None or getattr(func, "__name__", "_").endswith("_"):
            raise
    wide = _swap((args, kwargs), half, torch.float32)
    return _swap(_run(func, *wide[0], **wide[1]), torch.float32, half)


_HALVES = {"Half": torch.float16, "BFloat16": torch.bfloat16}


def _swap(value: Any, old: torch.dtype, new: torch.dtype) -> Any:
    return tree_map_only(torch.Tensor, lambda x: x.to(new) if x.dtype == old else x, value)


def _default() -> torch.device | None:
    device = default_device.CURRENT_DEVICE
    return None if device is None or device.type != "cuda" else _asked(device)


def _check_generator(kwargs: dict[str, Any], device: torch.device) -> None:
    generator = kwargs.get("generator")
    if generator is not None and generator.device != device:
        _refuse(f"Expected a '{device.type}' device type for generator but found '{generator.device.type}'")


# Movement.


def _cross(source: torch.Tensor, result: torch.Tensor, device: torch.device, memory_format: Any = None) -> torch.Tensor:
    """`result`, which may be `source` itself, on `device`: in new memory where that is another device."""
    if device == device_of(source):
        _mark(result, device == DEVICE)
        return result
    if _holder(result)._cdata == _holder(source)._cdata:
        with _plain():
            result = torch.ops.aten._to_copy(source, memory_format=memory_format)
    if result.grad_fn is not None:
        home = is_pretended(source)
        # Going back, torch would hand on the same gradient, and no tensor can be on two devices.
        result.grad_fn.register_hook(lambda grads, _: tuple(g if g is None else _mark(g.clone(), home) for g in grads))
    _mark(result, device == DEVICE)
    return result


def _to(func: Any, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    given = args[0] if args else kwargs.get("device", kwargs.get("other"))
    device = device_of(given) if isinstance(given, torch.Tensor) else _asked(given) or _asked(kwargs.get("device"))
    if isinstance(given, str | int | torch.device) and device is None:  # meta, or what is no device
        return _run(func, tensor, *args, **kwargs)
    args, kwargs = _here(args, kwargs)
    result = _run(func, tensor, *args, **kwargs)
    return _cross(tensor, result, device or device_of(tensor), kwargs.get("memory_format"))


def _here(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments as of `to`, with the CPU for the device they ask for."""
    if args and _asked(args[0]):
        args = ("cpu", *args[1:])
    return args, kwargs | {"device": "cpu"} if _asked(kwargs.get("device")) else kwargs


def _cuda(func: Any, tensor: torch.Tensor, device: Any = None, *args: Any, **kwargs: Any) -> torch.Tensor:
    place = DEVICE if device is None else _asked(device)
    if place != DEVICE:
        _refuse("Invalid device, must be cuda device")
    return _cross(tensor, tensor, DEVICE, kwargs.get("memory_format"))


def _cpu(func: Any, tensor: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    return _cross(tensor, _run(func, tensor, **kwargs), CPU, kwargs.get("memory_format"))


def _type(func: Any, tensor: torch.Tensor, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    if dtype is None:
        return _kind(tensor)
    name = (
        dtype if isinstance(dtype, str) else f"{dtype.__module__}.{dtype.__name__}" if isinstance(dtype, type) else ""
    )
    plain = name.replace("torch.cuda.", "torch.") or dtype
    device = (DEVICE if "cuda" in name else CPU) if name else device_of(tensor)
    return _cross(tensor, _run(func, tensor, plain, *args, **kwargs), device)


def _type_as(func: Any, tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return _cross(tensor, _run(func, tensor, other), device_of(other))


def _parse_to(func: Any, *args: Any, **kwargs: Any) -> Any:
    place = args[0] if args else kwargs.get("device", kwargs.get("tensor"))
    if isinstance(place, torch.Tensor):
        return (device_of(place), place.dtype, *_run(func, *args, **kwargs)[2:])
    if _asked(place) != DEVICE:
        return _run(func, *args, **kwargs)
    args, kwargs = _here(args, kwargs)
    return (DEVICE, *_run(func, *args, **kwargs)[1:])


def _convert(func: Any, /, *args: Any, **kwargs: Any) -> Any:
    """torch.tensor, as_tensor and asarray: a tensor stays where it is, all else is made on the default device."""
    kwargs |= dict(zip(("obj" if func == torch.asarray else "data", "dtype", "device"), args, strict=False))
    data = kwargs.get("data", kwargs.get("obj"))
    device = _asked(kwargs.get("device"))
    if kwargs.get("device") is None:
        device = _default() or (device_of(data) if isinstance(data, torch.Tensor) else CPU)
    if device not in (CPU, DEVICE):
        return _run(func, **kwargs)
    result = _run(func, **kwargs | {"device": "cpu"})
    if isinstance(data, torch.Tensor):
        return _mark(result, device == DEVICE) if func == torch.tensor else _cross(data, result, device)
    if device == DEVICE and func != torch.tensor:  # it may be in an array's memory
        result = result.detach().clone().requires_grad_(result.requires_grad)
    return _mark(result, device == DEVICE)


def _new_tensor(func: Any, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    device = _asked(kwargs.pop("device", None)) or device_of(tensor)
    return _mark(_run(func, tensor, *args, **kwargs), device == DEVICE)


# Other calls that are not like most.


def _numpy(func: Any, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    force = kwargs.get("force")
    if is_pretended(tensor) and not force:
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )
    return _run(func, tensor.clone() if is_pretended(tensor) else tensor, *args, **kwargs)


def _repr(func: Any, tensor: torch.Tensor, *, tensor_contents: Any = None) -> str:
    with _mode_on():
        text: str = torch._tensor_str._str(tensor, tensor_contents=tensor_contents)
        return text


def _format(func: Any, tensor: torch.Tensor, spec: str) -> str:
    return (
        _run(func, tensor, spec)
        if tensor.dim() == 0 and not tensor.is_meta
        else object.__format__(_repr(func, tensor), spec)
    )


def _get_grad(func: Any, tensor: torch.Tensor) -> torch.Tensor | None:
    grad: torch.Tensor | None = func(tensor)
    if grad is not None:
        _mark(grad, is_pretended(tensor))
    return grad


def _set_grad(func: Any, tensor: torch.Tensor, grad: Any) -> None:
    if isinstance(grad, torch.Tensor) and device_of(grad) != device_of(tensor):
        _refuse(
            f"attempting to assign a gradient with device type '{device_of(grad).type}' to a tensor with device type "
            f"'{device_of(tensor).type}'. Please ensure that the gradient and the tensor are on the same device"
        )
    func(tensor, grad)


def _grad(func: Any, outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
    grads = _run(func, outputs, inputs, *args, **kwargs)
    for tensor, grad in zip(_tensors(inputs), grads, strict=False):
        if grad is not None:
            _mark(grad, is_pretended(tensor))
    return grads


def _recurrent(func: Any, input: torch.Tensor, second: Any, *args: Any, **kwargs: Any) -> Any:
    packed = isinstance(args[1], list | tuple) and not isinstance(second, tuple)  # batch sizes come second, on the CPU
    hidden, weights = (args[0], args[1]) if packed else (second, args[0])
    for what, tensors in (("hidden", hidden), ("parameter", weights)):
        for tensor in _tensors(tensors):
            if device_of(tensor) != device_of(input):
                _refuse(
                    f"Input and {what} tensors are not at the same device, "
                    f"found input tensor at {device_of(input)} and {what} tensor at {device_of(tensor)}"
                )
    return _mark(_run(func, input, second, *args, **kwargs), is_pretended(input))


def _sequence(func: Any, data: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    """Packing and padding: the lengths are on the CPU wherever the data are."""
    result = _run(func, data, *args, **kwargs)
    _mark(result[0], is_pretended(data))
    return result


def _attention(
    func: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **kwargs: Any
) -> Any:
    places = [device_of(tensor) for tensor in (query, key, value)]
    if len(set(places)) > 1:
        _refuse(
            "Expected query, key, and value to have the same device type, but got "
            f"query.device: {places[0]} key.device: {places[1]} and value.device: {places[2]} instead."
        )
    return _call(func, query, key, value, *args, **kwargs)


def _pin(func: Any, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    if is_pretended(tensor):
        _refuse(f"cannot pin '{_kind(tensor)}' only dense CPU tensors can be pinned")
    result: torch.Tensor = _run(torch.clone, tensor)
    _holder(result)._pinned = True
    return result


def _is_pinned(func: Any, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> bool:
    return getattr(_holder(tensor), "_pinned", False)


def _as_is(func: Any, *args: Any, **kwargs: Any) -> Any:
    return _run(func, *args, **kwargs)


_TENSOR: Any = torch.Tensor
_SPECIAL: dict[Any, Callable[..., Any]] = {
    _TENSOR.device.__get__: lambda func, tensor: DEVICE if is_pretended(tensor) else func(tensor),
    _TENSOR.is_cuda.__get__: lambda func, tensor: is_pretended(tensor) or func(tensor),
    _TENSOR.is_cpu.__get__: lambda func, tensor: not is_pretended(tensor) and func(tensor),
    _TENSOR.get_device: lambda func, tensor: 0 if is_pretended(tensor) else func(tensor),
    torch.get_device: lambda func, tensor: 0 if is_pretended(tensor) else func(tensor),
    _TENSOR.grad.__get__: _get_grad,
    _TENSOR.grad.__set__: _set_grad,
    _TENSOR.data.__set__: _as_is,
    _TENSOR.untyped_storage: _as_is,
    _TENSOR.to: _to,
    _TENSOR.cuda: _cuda,
    _TENSOR.cpu: _cpu,
    _TENSOR.type: _type,
    _TENSOR.type_as: _type_as,
    _TENSOR.new_tensor: _new_tensor,
    _TENSOR.numpy: _numpy,
    _TENSOR.__array__: _numpy,
    _TENSOR.__repr__: _repr,
    _TENSOR.__format__: _format,
    _TENSOR.backward: _as_is,
    _TENSOR.pin_memory: _pin,
    _TENSOR.is_pinned: _is_pinned,
    torch.tensor: _convert,
    torch.as_tensor: _convert,
    torch.asarray: _convert,
    torch.autograd.grad: _grad,
    torch._C._nn._parse_to: _parse_to,
    torch._C._nn.scaled_dot_product_attention: _attention,
    torch.lstm: _recurrent,
    torch.gru: _recurrent,
    torch.rnn_tanh: _recurrent,
    torch.rnn_relu: _recurrent,
    torch._pack_padded_sequence: _sequence,
    torch._pad_packed_sequence: _sequence,
}

# Starting and stopping.


class _GeneratorKind(type(torch._C.Generator)):  # type: ignore[misc]
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, torch._C.Generator)


class _Generator(torch._C.Generator, metaclass=_GeneratorKind):
    """torch.Generator meanwhile: for the pretended device a generator of the CPU's that says otherwise."""

    def __new__(cls, device: Any = "cpu") -> Any:
        return super().__new__(cls) if _asked(device) == DEVICE else torch._C.Generator(device)

    def __init__(self, device: Any = "cpu") -> None:
        super().__init__()

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return DEVICE


# Tuples, since the gate shows the fields of those.
_Properties = namedtuple("_Properties", "name major minor total_memory multi_processor_count")
_Stream = namedtuple("_Stream", "is_capturing synchronize query")
_STREAM = _Stream(is_capturing=lambda: False, synchronize=lambda: None, query=lambda: True)
_MODE = _Mode()
_undo: list[Callable[[], None]] = []


@contextlib.contextmanager
def _mode_on() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch._C._EnableTorchFunction())
        if _MODE not in torch.overrides._get_current_function_mode_stack():
            stack.enter_context(_MODE)
        yield


def active() -> bool:
    """Whether this process pretends."""
    return bool(_undo)


def start() -> None:
    """Pretend from now on, in this thread, that there is one CUDA device."""
    if active():
        return
    for name, functions in _patches().items():
        module: Any = sys.modules[name]
        tables = [vars(getattr(module, "m", module))]  # torch.backends' modules stand before the real ones
        if name in namespace.MODULES:
            tables.append(vars(namespace.MODULES[name]))
        for table in tables:
            _patch(table, functions)
    _MODE.__enter__()  # type: ignore[no-untyped-call]


def _patch(table: dict[str, Any], values: dict[str, Any]) -> None:
    """Put values in the place of those a module has, which differ from torch to torch, and a namespace shows."""
    old = {key: table[key] for key in values if key in table}
    table.update({key: values[key] for key in old})
    _undo.append(lambda: table.update(old))


def stop() -> None:
    """Undo start()."""
    if not active():
        return
    if _default():
        environment.set_default_device("cpu")
    _MODE.__exit__(None, None, None)  # type: ignore[no-untyped-call]
    while _undo:
        _undo.pop()()


_engine = vars(torch.autograd)["_engine_run_backward"]
_make_grads = vars(torch.autograd)["_make_grads"]


def _metadata(tensor: torch.Tensor) -> dict[str, Any]:
    return {"shape": tensor.shape, "dtype": tensor.dtype}


def _with_mode(*args: Any, **kwargs: Any) -> Any:
    with _mode_on():
        return _make_grads(*args, **kwargs)


def _followed(outputs: Any, gradients: Any, *args: Any, **kwargs: Any) -> Any:
    """Run backward with gradients on the devices of what they are gradients of, for hooks and own functions to see."""
    for at, (output, gradient) in enumerate(zip(outputs, gradients, strict=False)):
        if isinstance(gradient, torch.Tensor) and device_of(gradient) != device_of(output):
            _refuse(
                f"invalid gradient at index {at} - expected device {device_of(output)} but got {device_of(gradient)}"
            )
    with _mode_on(), _Flow():
        return _engine(outputs, gradients, *args, **kwargs)


def _patches() -> dict[str, dict[str, Any]]:
    """What answers for the device, by module."""
    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": _ordinal,
        "get_device_name": _of_device(NAME),
        "get_device_capability": _of_device((9, 0)),
        "get_device_properties": _of_device(_Properties(NAME, 9, 0, MEMORY, 1)),
        "is_bf16_supported": lambda including_emulation=True: True,
        "is_current_stream_capturing": lambda: False,
        "synchronize": _of_device(None),
        "mem_get_info": _of_device((MEMORY, MEMORY)),
        "current_stream": _of_device(_STREAM),
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": _of_device(None),
        "manual_seed": _seed,
        "manual_seed_all": _seed,
        "get_rng_state": lambda device="cuda": torch.default_generator.get_state(),
        "set_rng_state": lambda state, device="cuda": torch.default_generator.set_state(state),
        "_exchange_device": lambda device: 0,
        "_maybe_exchange_device": lambda device: 0,
    }
    cuda |= dict.fromkeys(
        ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"), _allocated
    )
    accelerator = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_accelerator": lambda check_available=False: torch.device("cuda"),
        "current_device_index": lambda: 0,
        "synchronize": _of_device(None),
        "current_stream": _of_device(_STREAM),
    }
    return {
        "torch.cuda": cuda,
        "torch.accelerator": accelerator,
        "torch.backends.cudnn": {"is_acceptable": lambda tensor: False},
        "torch.autograd": {"_engine_run_backward": _followed, "_make_grads": _with_mode},
        "torch": {"Generator": _Generator},
        # It compares devices as seen inside an operator, where the mode is off, with those seen outside.
        "torch.utils.checkpoint": {
            "_allowed_determinism_checks_to_fns": {"default": _metadata, "none": lambda x: None}
        },
    }


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # there is one stream of random numbers for both devices


def _ordinal(device: Any = None) -> None:
    if device is not None and _asked(device) != DEVICE:
        raise ValueError(f"Expected a cuda device, but got: {device}")


def _allocated(device: Any = None) -> int:
    """The bytes of what lives on the device and Python can reach, in the blocks of 512 bytes that CUDA hands out."""
    _ordinal(device)
    with _plain():
        tensors = [value for value in gc.get_objects() if issubclass(type(value), torch.Tensor)]
        holders = [_holder(tensor) for tensor in tensors if is_pretended(tensor)]
        sizes = {holder._cdata: holder.nbytes() for holder in holders if isinstance(holder, torch.UntypedStorage)}
    return sum(-(-size // 512) * 512 for size in sizes.values())


def _of_device(answer: Any) -> Callable[..., Any]:
    def of(device: Any = None) -> Any:
        _ordinal(device)
        return answer

    return of
