"""Tensors from files and in files, in formats from which nothing is run (`%load`, `%save`)."""

import difflib
import pickle
import re
import stat
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tensorcli import atomic, report, units
from tensorcli.engine import environment, interrupts, keep, limits, namespace
from tensorcli.engine.describe import dtype_name

if TYPE_CHECKING:
    from tensorcli.engine.session import Session

Emit = Callable[[report.AnyReport], None]


class Unfit(Exception):
    """Why a file cannot be read, or something not be written, in a sentence."""


class Changed(Unfit):
    """What has become of a file that was loaded before."""


KEY = "\0"  # no path and no other text in Python has one


@dataclass(frozen=True)
class Found:
    """What a file holds: tensors by the names they have there, or one `value`, to which the file gives its own name.

    `python` makes it in plain Python, with `imports`: of the tensors by their names, KEY stands for one's.
    """

    python: str
    imports: tuple[str, ...] = ()
    tensors: Mapping[str, torch.Tensor] | None = None
    value: Any = None
    notes: tuple[str, ...] = ()


# Reading


def load(session: "Session", request: report.Load, emit: Emit) -> None:
    """Bind what a file holds, and say what there is to say of it."""
    path, copy = Path(request.path), Path(request.copy) if request.copy else None
    if copy and copy.is_file() and (kept := keep.copied(copy)) is not None:
        session.names.update(kept)
        return
    try:
        with warnings.catch_warnings(), interrupts.interruptible():
            warnings.simplefilter("ignore")  # of how a file was made: it is read, or it is said why not
            _check_same(path, request.stamp)
            found = _read(path, request.names)
            bound, python = _named(found, path, request)
    except Unfit as problem:
        return emit(_problem("file-changed" if isinstance(problem, Changed) else "cannot-load", str(problem)))
    except OSError as error:
        return emit(_problem("no-file", f"{path.name} cannot be read: {error.strerror or error}"))
    except MemoryError:
        return emit(_problem("cannot-load", f"{path.name} does not fit in the memory that is free"))
    session.names.update(bound)
    for name, value in bound.items():
        emit(session.described(value, name=name))
    emit(report.Loaded(path=request.path, python=python, imports=found.imports, text="\n".join(found.notes)))
    if copy:
        keep.copy(bound, copy, max_nbytes=request.copy_nbytes)


def _check_same(path: Path, stamp: tuple[int, int] | None) -> None:
    if stamp is None:
        return
    try:
        now = path.stat()
    except OSError:
        raise Changed(f"{path.name} is gone, so what was loaded from it is not there") from None
    if (now.st_size, now.st_mtime_ns) != stamp:
        raise Changed(f"{path.name} has changed, so what was loaded from it is not there")


def _read(path: Path, names: tuple[str, ...]) -> Found:
    ending = path.suffix.lower()
    reader = READERS.get(ending)
    if reader is None:
        known = ", ".join(READERS)
        raise Unfit(f"{path.name} cannot be loaded: of files that end in {ending or 'nothing'} no tensor is read, "
                    f"of these it is: {known}")  # fmt: skip
    if path.is_dir():
        raise Unfit(f"{path.name} is a folder: load a file in it")
    if not stat.S_ISREG(path.stat().st_mode):
        raise Unfit(f"{path.name} is a pipe or a device: only files are loaded")
    try:
        return reader(path, names)
    except (Unfit, OSError, MemoryError):
        raise
    except Exception as error:  # libraries raise whatever a broken file makes them raise
        _raise_for_memory(error)
        reason = str(error).split("\n")[0] or type(error).__name__
        raise Unfit(f"{path.name} is no whole {ending} file: {reason}"[:300]) from None


def _raise_for_memory(error: Exception) -> None:
    """Raise MemoryError for what torch raises in its stead."""
    if isinstance(error, RuntimeError) and "memory" in str(error):
        raise MemoryError from None


def _named(found: Found, path: Path, request: report.Load) -> tuple[dict[str, Any], str]:
    """The variables that are to be bound, and the Python that binds them."""
    name = request.name or identifier(path.stem)
    if found.tensors is None:
        if request.names:
            raise Unfit(f"{path.name} holds one value without a name: write %load {path.name} as {request.names[0]}")
        return {name: found.value}, f"{name} = {found.python}"
    if (request.name and len(found.tensors) != 1) or (not request.names and not all(map(_is_name, found.tensors))):
        everything = found.python.removesuffix(f"[{KEY}]")
        if request.names:
            everything = f"{{key: {found.python.replace(KEY, 'key')} for key in {list(found.tensors)!r}}}"
        return {name: dict(found.tensors)}, f"{name} = {everything}"
    own = {request.name or identifier(key): key for key in found.tensors}
    if len(own) < len(found.tensors):
        raise Unfit(f"two of these would have one name: write %load {path.name} {' '.join(found.tensors)} as {name}")
    lines = [f"{each} = {found.python.replace(KEY, repr(key))}" for each, key in own.items()]
    return {each: found.tensors[key] for each, key in own.items()}, "\n".join(lines)


def _is_name(text: str) -> bool:
    return identifier(text) == text


def identifier(text: str) -> str:
    """A text made into a name that a variable may have and that hides none of what is there from the start."""
    known = unicodedata.normalize("NFKC", text)  # as Python reads names, however a disk spells them
    name = "".join(each if f"x{each}".isidentifier() else "_" for each in known)
    name = re.sub("_+", "_", name).strip("_") or "data"
    if not name.isidentifier():
        name = f"data_{name}"
    return f"{name}_" if iskeyword(name) or name in (*namespace.START, "Out") else name


def _chosen(names: tuple[str, ...], there: Iterable[str], path: Path) -> tuple[str, ...]:
    """The names that are wanted of those in a file. Raises Unfit where one is not there."""
    known = tuple(there)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or sorted(known)[:5]
            raise Unfit(f"{path.name} has no {name}: it has {', '.join(near)}"
                        + (f" and {len(known) - len(near):,} more" if len(near) < len(known) else ""))  # fmt: skip
    return names or known


def check_room(nbytes: int, path: Path) -> None:
    """Raise Unfit where so many bytes are not to be had."""
    free = environment.available_nbytes()
    if free is not None and nbytes > max(free - limits.KEEP_FREE, 0):
        raise Unfit(f"{path.name} would take {units.nbytes(nbytes)} of memory, and {units.nbytes(free)} are free")


def shown(path: Path) -> str:
    """A path as Python text: from the current folder on where it lies in it."""
    here = Path.cwd()
    return repr((path.relative_to(here) if path.is_relative_to(here) else path).as_posix())


def _device() -> str:
    """The default device, or the processor where that one holds no values."""
    device = environment.default_device()
    return "cpu" if device.type == "meta" else str(device)


def moved(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor on the default device."""
    return tensor if _device() == "cpu" else tensor.to(_device())


def moving() -> str:
    """The same as Python text, to stand behind an expression."""
    return "" if _device() == "cpu" else f".to({_device()!r})"


def _read_safetensors(path: Path, names: tuple[str, ...]) -> Found:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            wanted = _chosen(names, file.offset_keys(), path)
            if not wanted:
                raise Unfit(f"{path.name} holds no tensors")
            if len(wanted) == len(file.keys()):
                check_room(path.stat().st_size, path)
            # A copy: what is read lies in the file itself, which may change.
            tensors = {name: moved(file.get_tensor(name).clone()) for name in wanted}
    except SafetensorError as error:
        raise Unfit(f"{path.name} is no whole safetensors file: {error}") from None
    where = "" if _device() == "cpu" else f", device={_device()!r}"
    python = f"load_file({shown(path)}{where})[{KEY}]"
    return Found(python, ("from safetensors.torch import load_file",), tensors)


def _from_numpy(array: Any, what: str) -> torch.Tensor:
    """A tensor of an array's elements. Raises Unfit for a kind that torch has not."""
    if not isinstance(array, np.ndarray):  # what else there may be in a zip file
        raise Unfit(f"{what} is no array")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    try:
        return moved(torch.from_numpy(array))
    except TypeError:
        raise Unfit(f"{what} holds {array.dtype}, which no tensor can") from None


@contextmanager
def _of_numpy(path: Path) -> Iterator[None]:
    """Within it NumPy reads."""
    try:
        yield
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise Unfit(f"{path.name} holds Python objects, which are not read: they can run code") from None


def _read_npy(path: Path, names: tuple[str, ...]) -> Found:
    check_room(path.stat().st_size, path)
    with _of_numpy(path):
        array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise Unfit(f"{path.name} is an .npz file by its content: give it that ending")
    native = "" if array.dtype.isnative else f".astype({array.dtype.name!r})"
    python = f"torch.from_numpy(np.load({shown(path)}, allow_pickle=False){native}){moving()}"
    return Found(python, ("import numpy as np",), value=_from_numpy(array, path.name))


def _read_npz(path: Path, names: tuple[str, ...]) -> Found:
    with zipfile.ZipFile(path) as file:
        sizes = {each.filename.removesuffix(".npy"): each.file_size for each in file.infolist()}
    wanted = _chosen(names, sizes, path)
    check_room(sum(sizes[name] for name in wanted), path)
    with _of_numpy(path), np.load(path, allow_pickle=False) as arrays:
        tensors = {name: _from_numpy(arrays[name], f"{name} in {path.name}") for name in wanted}
    python = f"torch.from_numpy(np.load({shown(path)}, allow_pickle=False)[{KEY}]){moving()}"
    if not all(map(_is_name, tensors)) and not names:
        python = f"{{name: torch.from_numpy(array){moving()} for name, array in np.load({shown(path)}).items()}}[{KEY}]"
    return Found(python, ("import numpy as np",), tensors)


def _read_pickle(path: Path, names: tuple[str, ...]) -> Found:
    """A file of torch.save's, of which torch itself reads tensors and plain containers alone."""
    check_room(path.stat().st_size, path)
    try:
        value = torch.load(path, map_location=_device(), weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error):
            raise
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"{named[1]}, which is" if named else "things that are"
        raise Unfit(f"{path.name} holds {what} not read: it could run code; save its state_dict() instead") from None
    python = f"torch.load({shown(path)}, map_location={_device()!r}, weights_only=True)"
    note = ("tensors and plain containers were read, and nothing was run: weights_only=True",)
    if names:
        if not isinstance(value, dict):
            raise Unfit(f"{path.name} holds a {type(value).__name__}, of which nothing has a name")
        chosen = _chosen(names, (key for key in value if isinstance(key, str)), path)
        return Found(f"{python}[{KEY}]", (), {name: value[name] for name in chosen}, notes=note)
    return Found(python, (), value=value, notes=note)


# Pillow would also run Ghostscript for what is PostScript, whatever the file is called.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def _read_image(path: Path, names: tuple[str, ...]) -> Found:
    """Its channels as they are stored: grey 1, colours 3, with transparency 4."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise Unfit(f"{path.name} is a picture, and reading one takes Pillow: pip install pillow") from None
    try:
        with Image.open(path, formats=_FORMATS) as opened:
            check_room(8 * opened.width * opened.height, path)
            notes = ["its first frame of several"] if getattr(opened, "n_frames", 1) > 1 else []
            if not opened.mode.startswith("I") and any(";16" in str(tile[3]) for tile in opened.tile):
                notes.append("16 bits a channel, of which 8 are read")
            turned = ImageOps.exif_transpose(opened)
            if opened.getexif().get(0x0112, 1) != 1:
                notes.append("turned as its EXIF data says")
            mode = _mode(opened)
            if mode == "RGB" and opened.mode not in ("RGB", "P"):
                notes.append(f"{opened.mode}, turned to RGB")
            picture = np.array(turned.convert(mode) if turned.mode != mode else turned)
    except UnidentifiedImageError:
        raise Unfit(f"{path.name} is no picture of these kinds: {', '.join(_FORMATS)}") from None
    if mode == "I;16":
        notes.append("16 bits a pixel, as int32")
        picture = picture.astype(np.int32)
    channels = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    tensor = _from_numpy(np.ascontiguousarray(channels), path.name)
    made = f"np.array(ImageOps.exif_transpose(Image.open({shown(path)})).convert({mode!r}))"
    if mode == "I;16":
        made = made.replace(".convert('I;16')", "") + ".astype(np.int32)"
    axes = "[None]" if picture.ndim == 2 else ".transpose(2, 0, 1)"
    python = f"torch.from_numpy(np.ascontiguousarray({made}{axes})){moving()}"
    notes = [f"{path.name}: {', '.join(notes)}"] if notes else []
    return Found(python, ("import numpy as np", "from PIL import Image, ImageOps"), value=tensor, notes=tuple(notes))


def _mode(picture: Any) -> str:
    """The mode of Pillow's in which a picture's channels are kept."""
    match picture.mode:
        case "L" | "RGB" | "RGBA" | "I" | "F":
            return str(picture.mode)
        case "1":
            return "L"
        case mode if mode.startswith("I;16"):
            return "I;16"
        case "LA" | "PA" | "La" | "RGBa":
            return "RGBA"
        case "P" if "transparency" in picture.info:
            return "RGBA"
    return "RGB"


def _read_table(path: Path, names: tuple[str, ...]) -> Found:
    from tensorcli.engine import tables

    return tables.read(path)


READERS: dict[str, Callable[[Path, tuple[str, ...]], Found]] = {
    ".safetensors": _read_safetensors,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".pt": _read_pickle,
    ".pth": _read_pickle,
    ".pkl": _read_pickle,
    **dict.fromkeys(IMAGES, _read_image),
}


# Writing


def save(session: "Session", request: report.Save, emit: Emit) -> None:
    """Write variables to a file, and say what it does not keep of them."""
    path = Path(request.path)
    try:
        if not request.force and path.exists():
            raise Unfit(f"{path.name} is there already: %save -f {path.name} writes over it")
        gave = session.gave(request.text, emit) if request.text else None
        if request.text and gave is None:  # which has been said
            return
        with interrupts.interruptible():
            values = (
                _given(request.text or "", gave.value, path)
                if gave
                else _named_values(session.variables(), request, path)
            )
            tensors, notes = _to_write(values, path)
            with atomic.replacing(path) as fresh:
                WRITERS[path.suffix.lower()](fresh, tensors)
    except Unfit as problem:
        return emit(_problem("cannot-save", str(problem)))
    except OSError as error:
        return emit(_problem("not-written", f"{path.name} cannot be written: {error.strerror or error}"))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        return emit(_problem("cannot-save", "there is not enough memory to put these into a file"))
    listed = [f"{key} {dtype_name(x.dtype)} {units.shape(x.shape)}" for key, x in list(tensors.items())[:5]]
    more = [f"{len(tensors) - 5:,} more"] if len(tensors) > 5 else []
    emit(report.Notice(text="\n".join([f"{path.name} holds {', '.join(listed + more)}", *notes])))


def _given(text: str, value: Any, path: Path) -> dict[str, Any]:
    """What an expression gave, by the names that it has in a file: a single tensor has the file's own."""
    if isinstance(value, dict | torch.nn.Module):
        return _parts(text, value)
    return {identifier(path.stem): _plain(text, value)}


def _named_values(variables: dict[str, Any], request: report.Save, path: Path) -> dict[str, Any]:
    """The variables that are wanted, or all tensors; of a single dict or model what is in it."""
    for name in request.names:
        if name not in variables:
            near = difflib.get_close_matches(name, variables, n=1)
            raise Unfit(f"there is no variable {name}" + (f": did you mean {near[0]}?" if near else ""))
    if len(request.names) == 1:
        return _parts(request.names[0], variables[request.names[0]])
    chosen = {name: variables[name] for name in request.names} or {
        name: x for name, x in variables.items() if isinstance(x, torch.Tensor | np.ndarray)
    }
    if not chosen:
        raise Unfit(f"there are no tensors to put into {path.name}")
    return chosen


def _parts(name: str, value: Any) -> dict[str, Any]:
    """A value, or what is in a dict or in the state of a model, by its names."""
    parts = value.state_dict() if isinstance(value, torch.nn.Module) else value
    if not isinstance(parts, dict):
        return {name: value}
    if not parts or not all(isinstance(key, str) for key in parts):
        raise Unfit(f"{name} has no tensors by their names")
    return parts


def _to_write(chosen: dict[str, Any], path: Path) -> tuple[dict[str, torch.Tensor], list[str]]:
    """What goes into a file, each tensor by itself, and what that does not keep."""
    if path.suffix.lower() == ".npy" and len(chosen) != 1:
        raise Unfit(f"an .npy file holds one tensor, not {len(chosen)}: .npz or .safetensors hold more")
    tensors = {name: _plain(name, value) for name, value in chosen.items()}
    return _apart(tensors), _not_kept(chosen)


def _plain(name: str, value: Any) -> torch.Tensor:
    """A tensor's numbers in memory as they would stand in a file. Raises Unfit for what has none."""
    if isinstance(value, np.ndarray):
        return _from_numpy(np.ascontiguousarray(value).reshape(value.shape), name).cpu()
    if isinstance(value, torch.nn.Module):
        raise Unfit(f"{name} is a model: save it by itself, %save {name}.safetensors {name}")
    if not isinstance(value, torch.Tensor):
        raise Unfit(f"{name} is {units.one(type(value).__name__)}: only tensors and arrays can be saved")
    if value.is_nested or value.layout is not torch.strided:
        raise Unfit(f"{name} is {_layout(value)}: save it as dense, {name}.to_dense()")
    if value.is_quantized:
        raise Unfit(f"{name} is quantized: save {name}.int_repr(), its scale and its zero point")
    if value.is_meta:
        raise Unfit(f"{name} is on meta: it has no values")
    return value.detach().resolve_conj().resolve_neg().cpu().contiguous()


def _layout(value: torch.Tensor) -> str:
    return "a nested tensor" if value.is_nested else str(value.layout).removeprefix("torch.")


def _apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same, each in memory of its own."""
    taken: set[int] = set()
    found = {}
    for name, x in tensors.items():
        place = x.untyped_storage().data_ptr()
        found[name] = x.clone() if place in taken or x.untyped_storage().nbytes() != x.nbytes else x
        taken.add(place)
    return found


def _not_kept(chosen: Mapping[str, Any]) -> list[str]:
    """What a file does not say of tensors."""
    tensors = {name: x for name, x in chosen.items() if isinstance(x, torch.Tensor)}
    needing = [name for name, x in tensors.items() if x.requires_grad]
    by_place: dict[int, list[str]] = {}
    for name, x in tensors.items():
        by_place.setdefault(x.untyped_storage().data_ptr(), []).append(name)
    sharing = [names for place, names in by_place.items() if len(names) > 1 and place]
    notes = [f"not kept: that {units.listed(needing)} required gradients"] if needing else []
    return notes + [f"not kept: that {units.listed(names)} share memory; each is whole" for names in sharing]


def _write_safetensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, path)
    except KeyError as error:  # its table of dtypes has no such
        raise Unfit(f".safetensors has no {dtype_name(error.args[0])}: an .npz file may") from None
    except SafetensorError as error:
        reason = re.search(r"[Ee]rror: ([^()]+?)(?: \(os error|$)", str(error))
        raise OSError(0, reason[1] if reason else str(error)) from None


def _array(tensor: torch.Tensor) -> Any:
    try:
        return tensor.numpy()
    except TypeError:
        raise Unfit(f"NumPy has no {dtype_name(tensor.dtype)}: save to .safetensors, or x.float()") from None


def _write_npy(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    (tensor,) = tensors.values()
    with path.open("wb") as file:
        np.save(file, _array(tensor), allow_pickle=False)


def _write_npz(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    with zipfile.ZipFile(path, "w", allowZip64=True) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, array, allow_pickle=False)


WRITERS: dict[str, Callable[[Path, dict[str, torch.Tensor]], None]] = {
    ".safetensors": _write_safetensors,
    ".npy": _write_npy,
    ".npz": _write_npz,
}


def _problem(code: str, title: str) -> report.Diagnosis:
    return report.Diagnosis(code=code, category="value", title=title)
