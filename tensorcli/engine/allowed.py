"""What user code may name in torch, NumPy and Python, on a principle for each: never "everything except".

Real modules are never handed out: they lead to `os` and `sys` in one or two steps.
"""

import builtins
import inspect
import math
import random
import time
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

Table = dict[str, Any]


def public(names: Iterable[str]) -> list[str]:
    """The names that do not begin with an underscore."""
    return [name for name in names if not name.startswith("_")]


def pick(module: object, names: str) -> Table:
    """The entries of a hand-picked list that this version of the library has."""
    return {name: getattr(module, name) for name in names.split() if hasattr(module, name)}


def where(module: object, test: Callable[[Any], bool]) -> Table:
    """The public entries that pass a test of what they are. (`dir` would import NumPy's lazy submodules.)"""
    entries = vars(module)
    return {name: entries[name] for name in public(entries) if test(entries[name])}


def is_kind(*bases: type) -> Callable[[Any], bool]:
    """A test for classes derived from one of `bases`."""
    return lambda value: isinstance(value, type) and issubclass(value, bases)


def is_function_of(module: str) -> Callable[[Any], bool]:
    """A test for functions written in `module` itself, and for native functions."""
    return lambda value: (
        inspect.isbuiltin(value) or (inspect.isfunction(value) and value.__module__ in (module, "torch._jit_internal"))
    )


# torch: native operators, dtypes, layouts and memory formats, then a short list of factories, types and utilities.
_OPENS_FILES = {"from_file"}
_INTERNAL_BACKENDS = ("fbgemm_", "mkldnn_", "miopen_", "cudnn_", "sym_")
_TORCH = """
    Tensor Size device dtype layout memory_format finfo iinfo Generator default_generator e pi inf nan newaxis
    BoolTensor ByteTensor CharTensor ShortTensor IntTensor LongTensor HalfTensor FloatTensor DoubleTensor BFloat16Tensor
    tensor no_grad enable_grad inference_mode set_grad_enabled is_grad_enabled is_inference_mode_enabled autocast
    is_autocast_enabled is_tensor is_storage manual_seed seed initial_seed get_rng_state set_rng_state
    get_default_dtype set_default_dtype get_default_device set_default_device get_num_threads set_num_threads
    get_float32_matmul_precision set_float32_matmul_precision use_deterministic_algorithms
    are_deterministic_algorithms_enabled vmap typename compiled_with_cxx11_abi
    atleast_1d atleast_2d atleast_3d broadcast_shapes broadcast_tensors cartesian_prod block_diag cdist chain_matmul
    einsum istft lu norm meshgrid pca_lowrank split stft svd_lowrank tensordot unique unique_consecutive unravel_index
    lobpcg per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric OutOfMemoryError
    __version__
"""
_CUDA = """
    is_available device_count current_device get_device_name get_device_capability get_device_properties
    memory_allocated max_memory_allocated memory_reserved max_memory_reserved mem_get_info empty_cache synchronize
    manual_seed manual_seed_all Event Stream stream current_stream is_bf16_supported reset_peak_memory_stats
    memory_summary
    OutOfMemoryError device utilization temperature is_initialized
"""


def torch_table() -> Table:
    """`torch`: what is native and public, constants and types, and the sub-packages below."""
    native = torch._C._VariableFunctions
    operators = {
        name: getattr(torch, name, None) or getattr(native, name)
        for name in public(dir(native))
        if name not in _OPENS_FILES and not name.startswith(_INTERNAL_BACKENDS)
    }
    constants = where(torch, lambda value: isinstance(value, torch.dtype | torch.layout | torch.memory_format))
    table = operators | constants | pick(torch, _TORCH)
    for name, module in {"linalg": torch.linalg, "fft": torch.fft, "special": torch.special}.items():
        table[name] = where(module, lambda value: inspect.isbuiltin(value) or inspect.isfunction(value))
    table["linalg"] |= pick(torch.linalg, "LinAlgError")
    table |= {
        "nn": nn_table(),
        "optim": where(torch.optim, is_kind(torch.optim.Optimizer)),
        "distributions": where(torch.distributions, is_kind(torch.distributions.Distribution))
        | pick(torch.distributions, "kl_divergence"),
        "autograd": pick(
            torch.autograd, "grad backward no_grad enable_grad set_grad_enabled inference_mode detect_anomaly gradcheck"
        )
        | {"functional": pick(torch.autograd.functional, "jacobian hessian vjp jvp vhp hvp")},
        "func": pick(torch.func, "functional_call grad grad_and_value hessian jacfwd jacrev jvp linearize vjp vmap"),
        "cuda": pick(torch.cuda, _CUDA),
        "cpu": pick(torch.cpu, "is_available device_count current_device synchronize"),
        "mps": pick(torch.mps, "is_available device_count manual_seed synchronize empty_cache"),
        "accelerator": pick(
            torch.accelerator, "is_available device_count current_accelerator current_device_index synchronize"
        ),
        "amp": pick(torch.amp, "autocast GradScaler"),
        "random": pick(torch.random, "manual_seed seed initial_seed get_rng_state set_rng_state fork_rng"),
        "version": pick(torch.version, "cuda hip git_version"),
        "backends": {
            "cuda": pick(torch.backends.cuda, "is_built"),
            "cudnn": pick(torch.backends.cudnn, "is_available version"),
            "mps": pick(torch.backends.mps, "is_available is_built"),
            "mkl": pick(torch.backends.mkl, "is_available"),
            "openmp": pick(torch.backends.openmp, "is_available"),
        },
        "utils": {"data": data_table()},
        "testing": pick(torch.testing, "assert_close make_tensor"),
        "sparse": pick(torch.sparse, "mm sum softmax log_softmax addmm spdiags"),
        "nested": pick(torch.nested, "nested_tensor as_nested_tensor to_padded_tensor nested_tensor_from_jagged"),
        "set_printoptions": set_printoptions,
        "frombuffer": torch_frombuffer,
        "asarray": torch_asarray,
    }
    table["optim"]["lr_scheduler"] = where(
        torch.optim.lr_scheduler,
        is_kind(torch.optim.lr_scheduler.LRScheduler, torch.optim.lr_scheduler.ReduceLROnPlateau),
    )
    return table


# The first starts threads; the second turns any key into an attribute of any name.
_MODULES_OUT = {"DataParallel", "ParameterDict"}


def nn_table() -> Table:
    """`torch.nn`: classes that are Modules, Parameter, functional, init and a few utilities."""
    nn = torch.nn
    utils = pick(nn.utils, "clip_grad_norm_ clip_grad_value_ parameters_to_vector vector_to_parameters")
    utils["rnn"] = pick(
        nn.utils.rnn, "pad_sequence pack_sequence pack_padded_sequence pad_packed_sequence unpad_sequence"
    )
    modules = where(nn, is_kind(nn.Module))
    return {name: value for name, value in modules.items() if name not in _MODULES_OUT} | {
        "Parameter": nn.Parameter,
        "Buffer": nn.Buffer,
        "functional": where(nn.functional, is_function_of("torch.nn.functional")) | {"one_hot": nn.functional.one_hot},
        "init": where(nn.init, is_function_of("torch.nn.init")),
        "utils": utils,
    }


def data_table() -> Table:
    """`torch.utils.data` in this process alone: no workers."""
    data = torch.utils.data
    return pick(data, "TensorDataset Subset ConcatDataset random_split default_collate") | {"DataLoader": data_loader}


_LOADER = inspect.signature(torch.utils.data.DataLoader)
_LOADED = "dataset batch_size shuffle sampler batch_sampler collate_fn drop_last generator".split()


def data_loader(*arguments: Any, **options: Any) -> Any:
    """torch.utils.data.DataLoader without worker processes."""
    try:
        given = _LOADER.bind(*arguments, **options).arguments
    except TypeError:
        return torch.utils.data.DataLoader(*arguments, **options)  # in its own words
    if given.get("num_workers", 0):
        raise ValueError("a DataLoader here runs without worker processes: leave num_workers out, or use --trust")
    return torch.utils.data.DataLoader(**{name: given[name] for name in _LOADED if name in given})


data_loader.__signature__ = _LOADER  # type: ignore[attr-defined]


def set_printoptions(*, precision: int | None = None, sci_mode: bool | None = None) -> None:
    """torch.set_printoptions, less the options that belong to the screen (threshold, edgeitems, linewidth)."""
    torch.set_printoptions(precision=precision, sci_mode=sci_mode)


def _own(buffer: Any) -> Any:
    """The buffer, or a copy of one that may not be written: tensors would write it, and constants with it."""
    try:
        return bytearray(buffer) if memoryview(buffer).readonly else buffer
    except TypeError:  # not a buffer: the function itself says so
        return buffer


def torch_frombuffer(buffer: Any, **options: Any) -> torch.Tensor:
    """torch.frombuffer, over a copy where the buffer may not be written."""
    return torch.frombuffer(_own(buffer), **options)


def torch_asarray(obj: Any, **options: Any) -> torch.Tensor:
    """torch.asarray, over a copy where `obj` is bytes or a NumPy scalar."""
    if isinstance(obj, bytes | np.generic):
        obj = _own(obj) if isinstance(obj, bytes) else np.array(obj)
    return torch.asarray(obj, **options)


def numpy_frombuffer(buffer: Any, *arguments: Any, **options: Any) -> Any:
    """numpy.frombuffer, over a copy where the buffer may not be written: torch.from_numpy would write it."""
    return np.frombuffer(_own(buffer), *arguments, **options)


# NumPy: ufuncs, array functions, scalar types and constants, less what touches files.
_NUMPY_FILES = {"save", "savez", "savez_compressed", "savetxt"}
_NUMPY = """
    arange array asarray asanyarray ascontiguousarray asfortranarray bartlett blackman broadcast_shapes diag_indices
    dtype e empty euler_gamma eye finfo fromfunction fromiter fromstring full hamming hanning identity iinfo
    indices inf isdtype isfortran isscalar issubdtype kaiser mask_indices mgrid nan ndenumerate ndindex newaxis
    ogrid ones pi promote_types r_ c_ s_ tri tril_indices triu_indices vectorize zeros False_ True_ __version__
"""
_NUMPY_RANDOM_OUT = {"set_bit_generator", "get_bit_generator"}


def numpy_table() -> Table:
    """`numpy`."""
    dispatcher = type(np.sum)
    functions = where(np, lambda value: isinstance(value, np.ufunc | dispatcher))
    table = {name: value for name, value in functions.items() if name not in _NUMPY_FILES}
    table |= where(np, is_kind(np.generic)) | pick(np, _NUMPY) | {"frombuffer": numpy_frombuffer}
    for module in (np.linalg, np.fft):
        table[module.__name__.partition(".")[2]] = where(module, lambda value: isinstance(value, dispatcher))
    table["linalg"] |= pick(np.linalg, "LinAlgError")
    legacy = type(np.random.mtrand._rand)
    table["random"] = {
        name: value
        for name, value in where(np.random, lambda v: isinstance(getattr(v, "__self__", None), legacy)).items()
        if name not in _NUMPY_RANDOM_OUT
    } | pick(np.random, "default_rng seed RandomState")
    return table


_MATH_UNBOUNDED = {"factorial", "comb", "perm", "prod", "lcm"}  # `engine.namespace` has bounded ones of the first four


def python_tables() -> dict[str, Table]:
    """The modules of Python's own that only compute, and the clock."""
    functions = where(math, lambda value: not isinstance(value, types.ModuleType))
    return {
        "math": {name: value for name, value in functions.items() if name not in _MATH_UNBOUNDED},
        "random": where(random, lambda value: inspect.ismethod(value) or inspect.isbuiltin(value)),
        "time": pick(time, "time perf_counter perf_counter_ns process_time monotonic"),
        "timeit": {"default_timer": time.perf_counter},
    }


# Builtins: what computes. What opens, evaluates, imports or looks into Python is left out; `engine.namespace` adds
# guarded versions of print, type, getattr, hasattr, format and pow.
_BUILTINS = """
    abs all any ascii bin bool bytes callable chr complex dict divmod enumerate filter float frozenset hash hex id int
    isinstance issubclass len list map max min next object oct ord repr reversed set slice sorted str sum
    tuple zip True False None Ellipsis NotImplemented
"""


def builtin_table(exceptions: Iterable[str]) -> Table:
    """The builtins that user code may name."""
    return pick(builtins, _BUILTINS) | {name: getattr(builtins, name) for name in exceptions}


# Attributes, by the type of the value.
_TENSOR_OUT = """
    storage untyped_storage storage_type set_ as_subclass module_load share_memory_ record_stream reinforce
    new volatile map2_
"""
# resize frees memory that views still lie on; what a NumPy string has of `TEXT_OUT` goes too.
_ARRAY_OUT = "resize tofile dump dumps ctypes data setflags base getfield setfield newbyteorder"
_MODULE_OUT = """
    share_memory compile dump_patches T_destination call_super_init get_extra_state set_extra_state ipu xpu mtia
"""
TEXT_OUT = "format format_map center ljust rjust zfill expandtabs"


def names_of(kind: type, *, less: str = "") -> frozenset[str]:
    """The public attributes of a type, less a list."""
    return frozenset(public(dir(kind))) - frozenset(less.split())


def rows() -> list[tuple[type | tuple[type, ...], frozenset[str] | Callable[[type], frozenset[str]]]]:
    """Which attributes values of a type have; the first row that a type fits is its own. No row: no attributes."""
    optimizer = "step zero_grad state_dict load_state_dict add_param_group param_groups state defaults"
    # A scheduler's state_dict hands out, and load_state_dict overwrites, the whole __dict__ of it and its callables.
    scheduler = "step get_last_lr base_lrs last_epoch optimizer"
    generator = "device get_state initial_seed manual_seed seed set_state"
    return [
        (torch.Tensor, lambda kind: names_of(kind, less=_TENSOR_OUT)),
        (torch.nn.Module, lambda kind: _methods_of(kind) - frozenset(_MODULE_OUT.split())),
        (torch.Size, lambda kind: names_of(kind)),
        ((torch.dtype, torch.device, torch.finfo, torch.iinfo), lambda kind: names_of(kind)),
        (torch.Generator, frozenset(generator.split())),
        (torch.optim.Optimizer, frozenset(optimizer.split())),
        (torch.optim.lr_scheduler.LRScheduler, frozenset(scheduler.split())),
        (torch.distributions.Distribution, lambda kind: names_of(kind, less="arg_constraints expand")),
        (torch.utils.data.DataLoader, frozenset({"dataset", "batch_size"})),
        (torch.utils.data.Dataset, frozenset({"tensors", "indices", "dataset"})),
        (torch.cuda.Event, frozenset("record elapsed_time synchronize query wait".split())),
        (torch.cuda.Stream, frozenset("synchronize wait_stream query".split())),
        (torch.amp.GradScaler, frozenset("scale step update unscale_ get_scale is_enabled".split())),
        (torch.nn.utils.rnn.PackedSequence, frozenset("data batch_sizes sorted_indices unsorted_indices to".split())),
        (torch.autograd.graph.Node, frozenset({"name", "next_functions"})),
        ((np.ndarray, np.generic), lambda kind: names_of(kind, less=f"{_ARRAY_OUT} {TEXT_OUT}")),
        (torch.utils.hooks.RemovableHandle, frozenset({"remove"})),
        (
            np.dtype,
            frozenset("name kind itemsize type shape names byteorder char alignment ndim subdtype base".split()),
        ),
        ((np.finfo, np.iinfo), lambda kind: names_of(kind) | {"bits", "eps", "max", "min", "tiny", "resolution"}),
        ((np.random.Generator, np.random.RandomState), lambda kind: names_of(kind, less="bit_generator")),
        (np.ufunc, frozenset("reduce accumulate outer reduceat at nin nout types".split())),
        (str, lambda kind: names_of(kind, less=TEXT_OUT)),
        (bytes, lambda kind: names_of(kind, less=TEXT_OUT)),
        ((list, dict, set, frozenset, range, slice, bool, int, float, complex), lambda kind: names_of(kind)),
        (tuple, lambda kind: names_of(kind)),  # named results too: their fields are their public names
        (Exception, frozenset({"args"})),
        (getattr(torch._C, "_CudaDeviceProperties", ()), lambda kind: names_of(kind)),
    ]


def _methods_of(kind: type) -> frozenset[str]:
    """The public functions and properties of a class: what a Module's own class says it can do."""
    return frozenset(
        name
        for name in public(dir(kind))
        if inspect.isfunction(getattr(kind, name)) or isinstance(getattr(kind, name), property)
    )
