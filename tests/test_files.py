"""Tensors in files and from files: what makes the round trip, what is read of pictures and tables, what is refused."""

import os
import pickle
import random
import subprocess
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image
from safetensors.torch import load_file, save_file

from tensorcli import keeping, report
from tensorcli.engine import environment
from tensorcli.engine.session import Session


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def session() -> Session:
    return Session(seed=1)


def asked(session: Session, request: report.AnyRequest) -> list[report.AnyReport]:
    answers: list[report.AnyReport] = []
    session.ask(request, answers.append)
    return answers


def ran(session: Session, text: str) -> None:
    problems = [each for each in asked(session, report.Evaluate(text=text)) if isinstance(each, report.Diagnosis)]
    assert problems == []


def save(session: Session, argument: str) -> str:
    """What is said to %save."""
    request = keeping.save(argument, [], report.Configure(seed=0), lambda text: True)
    assert isinstance(request, report.Save)
    (answer,) = asked(session, request)
    return answer.text if isinstance(answer, report.Notice) else f"error: {answer.title}"


def load(session: Session, argument: str) -> str:
    """What is said to %load, besides the lines of the variables; in plain Python the same comes of it."""
    answers = asked(session, keeping.load(argument))
    if isinstance(answers[-1], report.Diagnosis):
        return f"error: {answers[-1].title}"
    *variables, loaded = answers
    assert isinstance(loaded, report.Loaded)
    plain: dict[str, Any] = {"torch": torch}
    exec("\n".join([*loaded.imports, loaded.python]), plain)
    for each in variables:
        assert same(plain[each.name], session.names[each.name]), loaded.python
    return loaded.text


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same bit for bit."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if not isinstance(one, torch.Tensor):
        return bool(one == other)
    if (one.dtype, one.shape, one.requires_grad) != (other.dtype, other.shape, other.requires_grad):
        return False
    one, other = one.detach().contiguous().reshape(-1), other.detach().contiguous().reshape(-1)
    return torch.equal(one.view(torch.uint8), other.view(torch.uint8))


# The round trip.

DTYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool complex64"
    " float8_e4m3fn float8_e5m2"
).split()
NOT_IN_NUMPY = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


@pytest.mark.parametrize("dtype", [*DTYPES, "complex128"])
@pytest.mark.parametrize("ending", ["safetensors", "npz", "npy"])
def test_every_dtype_makes_the_round_trip_or_it_is_said_why_not(session: Session, dtype: str, ending: str) -> None:
    session.names["x"] = x = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    said = save(session, f"w.{ending} x")
    if ending == "safetensors" and dtype == "complex128":
        assert said == "error: .safetensors has no complex128: an .npz file may"
        assert os.listdir() == []
    elif ending != "safetensors" and dtype in NOT_IN_NUMPY:
        assert said == f"error: NumPy has no {dtype}: save to .safetensors, or x.float()"
        assert os.listdir() == []
    else:
        assert said == f"w.{ending} holds x {dtype} [2, 3]"
        del session.names["x"]
        assert load(session, f"w.{ending} as x") == ""
        assert same(session.names["x"], x)


@pytest.mark.parametrize(
    "text",
    [
        "torch.tensor(3.5)",
        "torch.empty(0, 3)",
        "torch.rand(4, 3).T",
        "torch.rand(4, 6)[1:3, ::2]",
        "torch.rand(3).expand(2, 3)",
        "torch.tensor([1 + 2j, 3j]).conj()",
        "torch.tensor([1 + 2j, 3j]).conj().imag",
        "torch.tensor([float('nan'), float('-inf'), -0.0])",
        "torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)",
        "np.arange(6).reshape(2, 3).T",
        "np.float32([1, 2])[::-1]",
    ],
)
@pytest.mark.parametrize("ending", ["safetensors", "npz", "npy"])
def test_every_layout_makes_the_round_trip(session: Session, text: str, ending: str) -> None:
    ran(session, f"x = {text}\nexpected = torch.as_tensor(x.copy() if {text.startswith('np')} else x).clone()")
    assert save(session, f"w.{ending} x").startswith(f"w.{ending} holds x ")
    load(session, f"w.{ending} as x")
    assert same(session.names["x"], session.names["expected"])


def test_an_array_of_another_machines_byte_order_is_read(session: Session) -> None:
    np.save("w.npy", np.arange(3, dtype=">f4"))
    load(session, "w.npy")
    assert same(session.names["w"], torch.arange(3.0))


def test_what_a_file_does_not_keep_is_said(session: Session) -> None:
    ran(session, "x = torch.rand(3)\nv = x[1:]\nw = torch.ones(2, requires_grad=True)\np = nn.Parameter(torch.ones(2))")
    assert save(session, "w.safetensors") == (
        "w.safetensors holds x float32 [3], v float32 [2], w float32 [2], p float32 [2]\n"
        "not kept: that w and p required gradients\n"
        "not kept: that x and v share memory; each is whole"
    )
    there = load_file("w.safetensors")
    assert {name: same(x, session.names[name].detach()) for name, x in there.items()} == dict.fromkeys("xvwp", True)


def test_names_become_variables_or_a_dict(session: Session) -> None:
    save_file({"a": torch.ones(1), "b": torch.ones(2), "c": torch.ones(3)}, "w.safetensors")
    load(session, "w.safetensors")
    assert list(session.variables()) == ["a", "b", "c"]
    load(session, "w.safetensors b as d")
    assert session.names["d"].shape == (2,)
    load(session, "w.safetensors a b as some")
    assert list(session.names["some"]) == ["a", "b"]
    save_file({"x.y": torch.ones(1), "x_y": torch.ones(2)}, name := "{0}{key}.safetensors")
    assert load(session, f"{name} x.y x_y") == (
        f"error: two of these would have one name: write %load {name} x.y x_y as data_0_key"
    )
    load(session, f"{name} x_y")
    load(session, f"{name} as both")
    assert list(session.names["both"]) == ["x.y", "x_y"]
    assert load(session, "w.safetensors q") == "error: w.safetensors has no q: it has a, b, c"


def test_a_models_state_makes_the_round_trip(session: Session) -> None:
    ran(session, "model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))\nstate = model.state_dict()")
    said = save(session, "model.safetensors model")
    assert [save(session, f"-f model.safetensors {each}") for each in ("state", "model.state_dict()")] == [said, said]
    assert save(session, "-f model.safetensors state model") == (
        "error: state is an OrderedDict: only tensors and arrays can be saved"
    )
    assert said == (
        "model.safetensors holds 0.weight float32 [3, 2], 0.bias float32 [3], 1.weight float32 [3], "
        "1.bias float32 [3], 1.running_mean float32 [3], 2 more"
    )
    load(session, "model.safetensors")
    assert sorted(session.names["model"]) == sorted(session.names["state"])
    load(session, "model.safetensors as again")
    ran(session, "other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)); other.load_state_dict(again)")
    load(session, "model.safetensors 0.weight")
    assert session.names["data_0_weight"].shape == (3, 2)


@pytest.mark.parametrize("argument", ["X @ w", "(X @ w) -f", "X@w", "[X[:, :], 0][0] @ w"])
def test_what_an_expression_gives_has_the_name_of_its_file(session: Session, argument: str) -> None:
    ran(session, "X = torch.rand(3, 4)\nw = torch.rand(4, 2)\n_ = 7")
    assert save(session, f"'my u.safetensors' {argument}") == "my u.safetensors holds my_u float32 [3, 2]"
    load(session, "'my u.safetensors' as found")
    ran(session, "assert torch.equal(found, X @ w) and _ == 7")
    assert save(session, "n.npz {'a': X, 'b.c': w.numpy()}") == "n.npz holds a float32 [3, 4], b.c float32 [4, 2]"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("X.tolist()", "X.tolist() is a list: only tensors and arrays can be saved"),
        ("None + 1", "None is no value to compute with"),
        ("(X, w)", "(X, w) is a tuple: only tensors and arrays can be saved"),
        ("X y+1", "this is not Python: an operator or a comma is missing before y"),
        ("open('x')", "open is not tensor work"),
    ],
)
def test_an_expression_without_a_tensor_writes_no_file(session: Session, text: str, why: str) -> None:
    ran(session, "X = torch.rand(3, 4)\nw = 1")
    assert save(session, f"w.safetensors {text}") == f"error: {why}"
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 3", "x is an int: only tensors and arrays can be saved"),
        ("x = torch.eye(2).to_sparse()", "x is sparse_coo: save it as dense, x.to_dense()"),
        ("x = torch.ones(2, device='meta')", "x is on meta: it has no values"),
        ("x = np.array(['a'])", "x holds <U1, which no tensor can"),
        ("x = {}", "x has no tensors by their names"),
        ("x = {'a': 1}", "a is an int: only tensors and arrays can be saved"),
        ("xs = torch.ones(2)", "there is no variable x: did you mean xs?"),
    ],
)
def test_what_has_no_place_in_a_file_is_said_and_writes_none(session: Session, text: str, why: str) -> None:
    ran(session, text)
    assert save(session, "w.safetensors x") == f"error: {why}"
    assert os.listdir() == []


def test_nothing_is_written_over_unless_that_is_said(session: Session) -> None:
    ran(session, "x = torch.ones(2)")
    Path("w.npy").write_text("mine")
    assert save(session, "w.npy x") == "error: w.npy is there already: %save -f w.npy writes over it"
    assert Path("w.npy").read_text() == "mine"
    assert save(session, "-f w.npy x") == "w.npy holds x float32 [2]"
    (answer,) = asked(session, report.Save(path="none/w.npy", names=("x",)))
    assert answer.title == "w.npy cannot be written: No such file or directory"
    assert save(session, "v.npy") == "v.npy holds x float32 [2]"
    ran(session, "y = x + 1")
    assert save(session, "u.npy") == "error: an .npy file holds one tensor, not 2: .npz or .safetensors hold more"
    assert sorted(os.listdir()) == ["v.npy", "w.npy"]


def test_a_file_that_is_written_over_leaves_what_was_loaded(session: Session) -> None:
    save_file({"x": torch.ones(1000)}, "w.safetensors")
    load(session, "w.safetensors")
    with Path("w.safetensors").open("r+b") as file:
        file.write(bytes(5000))
    assert session.names["x"].sum() == 1000


def test_tensors_go_to_the_default_device(session: Session) -> None:
    np.save("x.npy", np.ones(2))
    ran(session, "torch.set_default_device('meta')")
    try:
        load(session, "x.npy")
        assert session.names["x"].device.type == "cpu"
    finally:
        torch.set_default_device(None)


# What may not be in a file.


class Evil:
    """Runs something where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_nothing_in_a_file_is_run(session: Session) -> None:
    Path("a.pkl").write_bytes(pickle.dumps(Evil()))
    torch.save({"x": Evil()}, "a.pt")
    np.save("a.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    np.savez("a.npz", x=np.array([Evil()], dtype=object))
    for name in ("a.pt", "a.npy", "a.npz", "a.pkl"):
        said = load(session, name)
        assert said.startswith(f"error: {name} ")
        assert "\n" not in said
    assert load(session, "a.pt") == (
        "error: a.pt holds posix.mkdir, which is not read: it could run code; save its state_dict() instead"
    )
    assert load(session, "a.npy") == "error: a.npy holds Python objects, which are not read: they can run code"
    assert not Path("harm").exists()
    assert session.variables() == {}


def test_tensors_of_torch_saves_are_read(session: Session) -> None:
    torch.save({"a": torch.ones(2), "n": 3}, "w.pt")
    torch.save(torch.zeros(3), "y.pth")
    note = "tensors and plain containers were read, and nothing was run: weights_only=True"
    assert load(session, "w.pt") == note
    assert same(session.names["w"]["a"], torch.ones(2))
    assert load(session, "w.pt a") == note
    assert same(session.names["a"], torch.ones(2))
    load(session, "y.pth")
    assert same(session.names["y"], torch.zeros(3))
    assert load(session, "y.pth q") == "error: y.pth holds a Tensor, of which nothing has a name"


@pytest.mark.parametrize("ending", ["safetensors", "npy", "npz", "pt", "png", "csv"])
def test_rubbish_is_said_in_one_sentence(session: Session, ending: str) -> None:
    for content in (b"", b"\x93NUMPY rubbish", b"PK\x03\x04rubbish", bytes(range(256)) * 9):
        Path(f"w.{ending}").write_bytes(content)
        said = load(session, f"w.{ending}")
        assert said.startswith(f"error: w.{ending} "), said
        assert "\n" not in said
    assert load(session, f"none.{ending}") == f"error: none.{ending} cannot be read: No such file or directory"
    Path(f"d.{ending}").mkdir()
    assert load(session, f"d.{ending}") == f"error: d.{ending} is a folder: load a file in it"


@pytest.mark.parametrize("ending", ["safetensors", "npy", "npz", "pt", "png", "jpg", "gif", "tif", "webp"])
def test_a_file_with_wrong_bytes_in_it_is_loaded_or_said_in_one_sentence(session: Session, ending: str) -> None:
    x, name, generator = torch.arange(600).reshape(20, 30).to(torch.uint8), f"w.{ending}", random.Random(ending)
    if ending in ("safetensors", "npy"):
        session.names["x"] = x
        save(session, f"{name} x")
    elif ending == "npz":
        np.savez_compressed(name, x=x.numpy(), y=x.numpy())
    elif ending == "pt":
        torch.save({"x": x, 1: x}, name)
    else:
        Image.fromarray(x.numpy()).convert("RGB").save(name)
    whole = Path(name).read_bytes()
    for _ in range(60):
        broken = bytearray(whole[: generator.choice([len(whole), generator.randrange(len(whole))])])
        for _ in range(generator.randrange(4) if broken else 0):
            broken[generator.randrange(len(broken))] = generator.randrange(256)
        Path(name).write_bytes(broken)
        said = asked(session, keeping.load(name))[-1]
        assert isinstance(said, report.Loaded) or said.code in ("cannot-load", "no-file"), said
        assert isinstance(said, report.Loaded) or "\n" not in said.title


def test_what_is_in_a_file_but_no_tensor_is_said(session: Session) -> None:
    with zipfile.ZipFile("w.npz", "w") as file:
        file.writestr("README", "text")
    assert load(session, "w.npz") == "error: README in w.npz is no array"
    torch.save({1: torch.ones(2), "a": torch.ones(2)}, "w.pt")
    assert load(session, "w.pt 1") == "error: w.pt has no 1: it has a"


def test_no_picture_starts_another_program(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_args: object, **_options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", run)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")  # as where Ghostscript is installed
    Path("w.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
    assert load(session, "w.png") == ("error: w.png is no picture of these kinds: PNG, JPEG, GIF, BMP, WEBP, TIFF, PPM")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_nothing_is_waited_for_in_a_pipe_or_a_device(session: Session) -> None:
    os.mkfifo("w.npy")
    os.symlink("/dev/zero", "w.csv")
    for name in ("w.npy", "w.csv"):
        assert load(session, name) == f"error: {name} is a pipe or a device: only files are loaded"


def test_what_torch_says_of_memory_is_said(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def clone(*_args: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")

    ran(session, "x = torch.ones(3)\nv = x[1:]")
    save(session, "w.safetensors x")
    monkeypatch.setattr(torch.Tensor, "clone", clone)
    assert load(session, "w.safetensors") == "error: w.safetensors does not fit in the memory that is free"
    assert save(session, "v.npy v") == "error: there is not enough memory to put these into a file"
    assert os.listdir() == ["w.safetensors"]


def test_what_does_not_fit_is_said_before_it_is_read(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(session, "x = torch.zeros(1000)")
    for ending in ("safetensors", "npy", "npz"):
        save(session, f"w.{ending} x")
    Image.new("RGB", (100, 100)).save("w.png")
    Path("w.csv").write_text("1\n" * 1000)
    torch.save(torch.zeros(1000), "w.pt")
    monkeypatch.setattr(environment, "available_nbytes", lambda: (256 << 20) + 100)
    for ending in ("safetensors", "npy", "npz", "png", "csv", "pt"):
        assert f"error: w.{ending} would take " in load(session, f"w.{ending}")


def test_a_file_that_has_changed_is_not_taken_for_what_it_was(session: Session) -> None:
    np.save("x.npy", np.ones(2))
    request = keeping.load("x.npy")
    assert asked(session, request)[0].name == "x"
    np.save("x.npy", np.ones(3))
    (answer,) = asked(session, request)
    assert (answer.code, answer.title) == (
        "file-changed",
        "x.npy has changed, so what was loaded from it is not there",
    )
    Path("x.npy").unlink()
    (answer,) = asked(session, request)
    assert (answer.code, answer.title) == ("file-changed", "x.npy is gone, so what was loaded from it is not there")


# Pictures.


@pytest.mark.parametrize(
    ("mode", "dtype", "channels", "note"),
    [
        ("RGB", torch.uint8, 3, ""),
        ("RGBA", torch.uint8, 4, ""),
        ("L", torch.uint8, 1, ""),
        ("1", torch.uint8, 1, ""),
        ("P", torch.uint8, 3, ""),
        ("LA", torch.uint8, 4, ""),
        ("I;16", torch.int32, 1, "photo.png: 16 bits a pixel, as int32"),
    ],
)
def test_a_picture_is_channels_of_rows(
    session: Session, mode: str, dtype: torch.dtype, channels: int, note: str
) -> None:
    rows = np.arange(20, dtype=np.uint16).reshape(4, 5) * (3000 if mode == "I;16" else 12)
    grey = Image.fromarray(rows if mode == "I;16" else rows.astype(np.uint8))
    (grey if mode == "I;16" else grey.convert(mode)).save("photo.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(session, "photo.png as img") == note
    img = session.names["img"]
    assert (img.dtype, img.shape) == (dtype, (channels, 4, 5))
    if mode in ("L", "RGB", "I;16"):
        assert torch.equal(img[0], torch.from_numpy(rows.astype(np.int64)).to(dtype))


def test_what_a_picture_loses_is_said(session: Session) -> None:
    Image.new("CMYK", (3, 2)).save("w.jpg")
    assert load(session, "w.jpg") == "w.jpg: CMYK, turned to RGB"

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    rows = b"".join(b"\0" + np.array([[1000, 40000, 300]] * 3, ">u2").tobytes() for _ in range(2))
    header = chunk(b"IHDR", bytes([0, 0, 0, 3, 0, 0, 0, 2, 16, 2, 0, 0, 0]))
    content = header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    Path("w.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert load(session, "w.png") == "w.png: 16 bits a channel, of which 8 are read"
    frames = [Image.new("RGB", (3, 2), color) for color in ("red", "blue")]
    frames[0].save("w.gif", save_all=True, append_images=frames[1:])
    assert load(session, "w.gif") == "w.gif: its first frame of several"


def test_a_photograph_stands_as_it_was_taken(session: Session) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (5, 4)).save("photo.jpg", exif=exif)
    assert load(session, "photo.jpg") == "photo.jpg: turned as its EXIF data says"
    assert session.names["photo"].shape == (3, 5, 4)


# Tables.


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        ("a,b\n1,2\n3,4.5\n", [[1, 2], [3, 4.5]], "columns: a and b"),
        ("1,2\n3,4\n", [[1, 2], [3, 4]], "it has no header"),
        ("\ufeffa;b\r\n1,5;2\r\n-3e2;4\r\n", [[1.5, 2], [-300, 4]],
         "columns: a and b\na comma in a number is its decimal point"),
        ("1,5;2,5\n3,5;4,25\n", [[1.5, 2.5], [3.5, 4.25]],
         "it has no header\na comma in a number is its decimal point"),
        ("x;y;1,5\nz;y;2,25\n", [[1.5], [2.25]],
         "it has no header\nleft out: column 1, which holds text such as 'x'\n"
         "left out: column 2, which holds text such as 'y'\na comma in a number is its decimal point"),
        ("a;b,1,2\nc;d,3,4\n", [[1, 2], [3, 4]],
         "it has no header\nleft out: column 1, which holds text such as 'a;b'"),
        ("a\tb\n1\t2\n", [[1, 2]], "columns: a and b"),
        ("a\n1\n\n2\n", [[1], [2]], "columns: a"),
        ('"x, y",b\n"1",2\n', [[1, 2]], "columns: x, y and b"),
        (
            "a,name,b\n1,x,\n,y,NA\n2,,5\n",
            [[1, float("nan")], [float("nan"), float("nan")], [2, 5]],
            "columns: a and b\nleft out: name, which holds text such as 'x'\nmissing, and so nan: 1 in a and 2 in b",
        ),
        ("2020-01-01,1\n2020-01-02,2\n", [[1], [2]],
         "it has no header\nleft out: column 1, which holds text such as '2020-01-01'"),
        ("a,,b\n1,2,3\n", [[1, 2, 3]], "columns: a, column 2 and b"),
        ("a\ninf\n-Infinity\n", [[float("inf")], [float("-inf")]], "columns: a"),
        ("id\n16777217\n", [[16777216]],
         "columns: id\nsome whole numbers are too large to be exact in float32: "
         "%dtype float64 before loading keeps them"),
        ("id\n9007199254740993\n", [[2.0**53]],
         "columns: id\nsome whole numbers are too large to be exact, in float64 too"),
        ("a\n16777218\n1e30\n", [[16777218], [1e30]], "columns: a"),
        ("a\n1e39\n", [[float("inf")]],
         "columns: a\nsome numbers are too large for float32, and so inf: %dtype float64 before loading keeps them"),
        ('"name, first";b\n"Doe, J";1\n"Roe, K";2\n', [[1], [2]],
         "columns: b\nleft out: name, first, which holds text such as 'Doe, J'"),
        ('"a\n b",b\n1,2\n', [[1, 2]], "columns: a b and b"),
    ],
)  # fmt: skip
def test_a_table_is_its_numbers(session: Session, text: str, expected: list[list[float]], said: str) -> None:
    Path("my data.csv").write_text(text, encoding="utf-8", newline="")
    assert load(session, "'my data.csv'") == said
    assert torch.equal(session.names["my_data"].nan_to_num(9), torch.tensor(expected).nan_to_num(9))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_a_table_has_the_default_dtype(session: Session, dtype: str) -> None:
    asked(session, report.Configure(dtype=dtype))
    Path("d.csv").write_text("a\n0.1\n0.3\n1.00390625001\n")
    assert load(session, "d.csv as X") == "columns: a"
    assert session.names["X"].dtype == getattr(torch, dtype)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "d.csv is empty"),
        ("a,b\n", "d.csv has a header and no rows"),
        ("a,b\n1,2\n3\n", "d.csv is no table: row 3 has 1 cell, and the first one 2"),
        ("a\nx\n", "d.csv has no column of numbers: its first one has 'x'"),
    ],
)
def test_what_is_no_table_of_numbers_is_said(session: Session, text: str, why: str) -> None:
    Path("d.csv").write_text(text)
    assert load(session, "d.csv") == f"error: {why}"


def test_bytes_that_are_no_text_are_said(session: Session) -> None:
    Path("d.csv").write_bytes("a\nü\n".encode("latin-1"))
    assert load(session, "d.csv") == "error: d.csv is not UTF-8 text: line 2 is not; save it as UTF-8"
    Path("d.csv").write_bytes(b"a\n" + 20_000 * b"1\n" + b"\xff\n")
    assert load(session, "d.csv") == "error: d.csv is not UTF-8 text: line 20,002 is not; save it as UTF-8"


# What is typed.


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("", "%load takes a file: try %load data.csv, or %load photo.png as img"),
        ("notes.py", "notes.py holds code, no tensors: %run notes.py runs it"),
        ("a.npy as 3x", "3x is no name for a variable: try %load a.npy as x"),
        ("a.npy as _x", "_x is no name for a variable: try %load a.npy as x"),
        ("a.npy as for", "for is no name for a variable: try %load a.npy as x"),
        ("a.npy as", "one name stands behind as: try %load data.csv as X"),
        ("'a.npy", "a quote is opened and never closed"),
        ("''", "an empty name is no file's"),
    ],
)
def test_what_is_mistyped_is_said(argument: str, why: str) -> None:
    with pytest.raises(keeping.Mistyped) as problem:
        keeping.load(argument)
    assert str(problem.value) == why


def test_a_name_hides_nothing_that_is_there(session: Session) -> None:
    for name in ("torch", "for", "3 d", "ü", "_x", "...", "Out", "x²", "e\u0301"):  # as some disks spell é
        np.save(f"{name}.npy", np.ones(1))
        load(session, f"'{name}.npy'")
    assert list(session.variables()) == ["torch_", "for_", "data_3_d", "ü", "x", "data", "Out_", "x2", "é"]
    assert load(session, "odd.xyz").startswith("error: odd.xyz cannot be loaded: of files that end in .xyz no tensor")
