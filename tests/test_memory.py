"""Memory: what is held, what is left, and statements that want more than there is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_client import without_progress
from typer.testing import CliRunner

from tensorcli import units
from tensorcli.cli import app
from tensorcli.client import Pipe
from tensorcli.engine import environment, holdings, limits
from tensorcli.engine.session import Session
from tensorcli.report import AnyReport, Diagnosis, Evaluate, ListNames, Names

MOST = 640 << 20
NEWER, OLDER = environment._HIERARCHIES


@pytest.fixture(scope="module")
def pipe() -> Iterator[Pipe]:
    client = Pipe(seed=1, max_memory=MOST)
    yield client
    client.close()


def asked(client: Pipe | Session, text: str) -> list[AnyReport]:
    said: list[AnyReport] = []
    client.ask(Evaluate(text=text), said.append)
    return without_progress(said)


def text_of(client: Pipe | Session, text: str) -> str | None:
    return getattr(asked(client, f"str({text})")[-1], "text", None)


@pytest.mark.parametrize(
    "text",
    [
        "torch.empty(10**9)",
        "torch.zeros(10**9)",  # which the system would give, and take back later
        "torch.ones(2**14, 2**15) @ torch.ones(2**15, 2**14)",
        "a = np.zeros(10**9)",
        "k = 10**9; zeros = [0]; zeros * k",
        "z = []\nfor i in range(10**7): z.append(torch.rand(1000))",
        "n = [0]\nwhile True: n += n",
        "d = {}\nfor i in range(10**9): d[i] = str(i)",
        "xs = [torch.empty(2**25) for _ in range(5)]",  # none is touched
    ],
)
def test_what_would_not_fit_is_a_diagnosis_and_the_session_goes_on(pipe: Pipe, text: str) -> None:
    asked(pipe, "x = torch.arange(5)")
    process = pipe._engine._process
    problem = asked(pipe, text)[-1]
    assert isinstance(problem, Diagnosis)
    assert (problem.code, problem.category) == ("out-of-memory", "memory")
    assert " of the 640 MiB of --max-memory" in problem.title
    assert text_of(pipe, "x.sum()") == "'tensor(10)'"
    for name in ("z", "n", "d", "xs"):
        asked(pipe, f"del {name}")
    assert text_of(pipe, "torch.ones(2**24).sum()") == "'tensor(16777216.)'", "what was deleted may be had again"
    assert pipe._engine._process is process


def test_who_holds_it_is_said(pipe: Pipe) -> None:
    asked(pipe, "large = [torch.zeros(2**23), torch.zeros(2**23)]\nsmall = torch.zeros(2**21)")
    problem = asked(pipe, "torch.zeros(2**28)")[-1]
    asked(pipe, "del large, small")
    assert isinstance(problem, Diagnosis)
    assert problem.title.startswith("1 GiB were asked for, and ")
    assert problem.notes[0] == (
        "large holds 64 MiB: del large gives it back where nothing else holds it (Out keeps results too)"
    )


def test_what_is_reserved_and_not_touched_is_not_free_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "available_nbytes", lambda: 10 << 30)
    monkeypatch.setattr(limits._Limit, "spare", 0)
    touched, reserved = 1 << 30, 8 << 30
    assert limits._bound(touched, touched, unused=0) == (11 << 30) - limits.KEEP_FREE
    assert limits._bound(touched + reserved, touched, unused=0) == (11 << 30) - limits.KEEP_FREE
    # What the allocator keeps for later counts as data, and will be had again without asking.
    assert limits._bound(touched + reserved, touched, unused=reserved) == (19 << 30) - limits.KEEP_FREE


def test_the_last_of_the_memory_is_given_out_in_ever_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 100 << 20
    monkeypatch.setattr(environment, "available_nbytes", lambda: free)
    monkeypatch.setattr(limits._Limit, "spare", 0)
    monkeypatch.setattr(limits._Limit, "most", None)
    assert limits._bound(1 << 30, 1 << 30, unused=0) == (1 << 30) + free // 8


SHARED = """
x = torch.zeros(1024)
row = x[:10]
xs = [x, {"k": torch.zeros(256)}]
m = nn.Linear(8, 4, bias=False)
m(torch.ones(8)).sum().backward()
a = np.zeros(16)
t = torch.from_numpy(a)
fake = torch.empty(10**6, device="meta")
n = 3
"""


def test_what_the_variables_hold_is_counted_once() -> None:
    session = Session(seed=0)
    asked(session, SHARED)
    said: list[AnyReport] = []
    session.ask(ListNames(), said.append)
    (names,) = said
    assert isinstance(names, Names)
    # x, the one in xs, the weight, its gradient, and the array
    assert (names.nbytes, names.storages) == (4096 + 1024 + 128 + 128 + 128, 5)
    asked(session, "torch.zeros(100)")
    session.ask(ListNames(), said.append)
    assert isinstance(said[1], Names)
    assert said[1].results_nbytes == 400
    assert said[1].process_nbytes is None or said[1].process_nbytes > 10 << 20


def test_an_array_on_a_part_of_a_tensor_adds_nothing() -> None:
    assert holdings.nbytes({("cpu", 100, 200), ("cpu", 120, 130), ("cpu", 190, 260), ("cuda:0", 0, 10)}) == 170


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("8 GiB", 8 << 30),
        ("8G", 8 << 30),
        ("1.5gib", 3 << 29),
        ("500M", 500 << 20),
        ("500 MB", 500_000_000),
        ("8000000000", 8_000_000_000),
        ("8000000000 B", 8_000_000_000),
        (" 2 TiB ", 2 << 40),
    ],
)
def test_amounts_of_memory_are_read_as_people_write_them(text: str, nbytes: int) -> None:
    assert units.read_nbytes(text) == nbytes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("much", "much is no amount of memory: write 8 GiB, 500M or 8000000000"),
        ("-1", "-1 is no amount of memory: write 8 GiB, 500M or 8000000000"),
        ("8 iB", "8 iB is no amount of memory: write 8 GiB, 500M or 8000000000"),
        ("100M", "100M is too little for torch itself: write 512 MiB or more"),
    ],
)
def test_a_bad_amount_is_one_sentence(text: str, why: str) -> None:
    done = CliRunner().invoke(app, ["run", "x.py", "--max-memory", text], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 2
    assert why in " ".join(done.output.split())


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Control groups of the newer kind, of which none has a limit yet."""
    monkeypatch.setattr(environment, "_HIERARCHIES", (replace(NEWER, root=tmp_path),))
    monkeypatch.setattr(environment, "_OWN_GROUPS", tmp_path / "own")
    (tmp_path / "own").write_text("1:name=systemd:/other\n0::/user/shell\n")
    environment._groups.cache_clear()
    yield tmp_path
    environment._groups.cache_clear()


def group(folder: Path, *, used: int, stat: str = "inactive_file 0\n", **limits: str) -> None:
    """A control group with these limits: max, high."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"memory.current": str(used), "memory.stat": stat}
    files |= {f"memory.{name}": limit for name, limit in limits.items()}
    for name, text in files.items():
        (folder / name).write_text(text)


def test_a_control_group_counts_files_that_can_be_dropped_as_free(groups: Path) -> None:
    group(groups / "user/shell", used=700, max="1000", stat="anon 500\ninactive_file 150\nfile 200\n")
    assert environment._group_nbytes() == 450


def test_more_used_than_allowed_leaves_nothing(groups: Path) -> None:
    group(groups / "user/shell", used=1200, max="1000")
    assert environment._group_nbytes() == 0


def test_the_tightest_of_all_groups_around_counts(groups: Path) -> None:
    group(groups / "user/shell", used=100, max="max", high="800")
    group(groups / "user", used=600, max="1000", high="max")
    group(groups, used=0, max="5000")
    assert environment._group_nbytes() == 400


def test_within_a_container_the_path_may_be_one_of_outside(groups: Path) -> None:
    group(groups, used=100, max="1000")
    assert environment._group_nbytes() == 900


def test_no_limit_and_no_control_group_set_no_bound(groups: Path) -> None:
    assert environment._group_nbytes() is None
    environment._groups.cache_clear()
    group(groups / "user/shell", used=100, max="max", high="max")
    assert environment._group_nbytes() is None


def test_the_older_kind_of_control_group(monkeypatch: pytest.MonkeyPatch, groups: Path) -> None:
    monkeypatch.setattr(environment, "_HIERARCHIES", (replace(OLDER, root=groups),))
    (groups / "own").write_text("5:devices:/\n4:memory:/docker/abc\n")
    environment._groups.cache_clear()
    folder = groups / "docker/abc"
    folder.mkdir(parents=True)
    for name, text in {
        "memory.limit_in_bytes": "1000",
        "memory.usage_in_bytes": "900",
        "memory.stat": "cache 1\ntotal_inactive_file 50\n",
    }.items():
        (folder / name).write_text(text)
    assert environment._group_nbytes() == 150
