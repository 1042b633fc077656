"""What is written down to go on with a session, in this process or in another one."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from tensorcli import journal
from tensorcli.report import Complete, Configure, Draw, Evaluate, GoOn, Inspect, ListNames, Load, Reset, Time, TimeIt

START = Configure(seed=5)


def noted(found: journal.Journal, *requests, seconds: float = 0.0) -> journal.Journal:
    for request in requests:
        found.answered(request, seconds=seconds)
    return found


def test_only_what_changes_a_session_is_asked_again() -> None:
    found = journal.Journal()
    noted(found, Evaluate(text="x = 1"), Time(text="y = 2"), Draw(text="z = 3"), Configure(dtype="float64"))
    noted(found, ListNames(), Complete(text="x", cursor=1), Configure(), Inspect(text="x", dry_run=True))
    assert found.again() == [
        Evaluate(text="x = 1"),
        Evaluate(text="y = 2"),
        Evaluate(text="z = 3"),
        Configure(dtype="float64"),
    ]
    assert not found.uncertain
    noted(found, Reset())
    assert found.again()[-1] == Reset()  # what was set before it still holds
    assert found.to_keep() is not None
    found.close()
    assert not found.folder.exists()


def test_a_temporary_folder_is_there_for_a_file_alone_and_those_that_were_left_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ("tensorcli-left", "tensorcli-used", "tensorcli-fresh", "tensorcli-other", "mine")
    for name in names:
        (tmp_path / name).mkdir()
        if name != "tensorcli-other":
            (tmp_path / name / "lock").touch()
        if name != "tensorcli-fresh":
            os.utime(tmp_path / name, (0, 0))
    (tmp_path / "tensorcli-link").symlink_to(tmp_path / "mine")

    first = noted(journal.Journal(), Evaluate(text="a"), seconds=journal.AGAIN_SECONDS)
    with FileLock(tmp_path / "tensorcli-used" / "lock"):
        os.utime(tmp_path / "tensorcli-used", (0, 0))
        assert len(list(tmp_path.iterdir())) == 6
        assert first.to_keep() is not None
        left = {each.name for each in tmp_path.iterdir()} - {first.folder.name}
    assert left == {*names[1:], "tensorcli-link"}
    first.close()
    assert not first.folder.exists()


def test_what_was_broken_off_is_asked_up_to_there_and_leaves_a_doubt() -> None:
    found = journal.Journal()
    found.answered(Evaluate(text="a\nb\nc"), seconds=0.0, statement=3)
    assert (found.again(), found.uncertain) == ([Evaluate(text="a\nb\nc", until=2)], True)
    noted(found, TimeIt(text="x"), Inspect(text="y", setup="z = 1"))
    assert found.again()[1:] == [Evaluate(text="x", bind=False), Evaluate(text="z = 1\ny", bind=False)]  # once
    found.close()


def test_it_is_kept_where_it_takes_long_or_is_in_doubt_and_tried_once() -> None:
    found = noted(journal.Journal(), Evaluate(text="a"))
    assert found.to_keep() is None
    noted(found, Evaluate(text="b"), seconds=journal.AGAIN_SECONDS)
    keep, number = found.to_keep() or (None, 0)
    assert keep is not None
    assert found.to_keep() is None
    noted(found, Evaluate(text="c"))
    found.kept(keep, number)  # too late: c came after it
    assert found.again()[0] == Evaluate(text="a")
    keep, number = found.to_keep() or (None, 0)
    assert keep is not None
    found.kept(keep, number)
    noted(found, Evaluate(text="d"))
    assert found.again() == [GoOn(path=keep.path), Evaluate(text="d")]
    found.close()


def test_another_process_goes_on_with_the_newest_that_nobody_uses(tmp_path: Path) -> None:
    assert journal.latest(tmp_path / "none") is None
    first = noted(journal.begun(tmp_path, START), Evaluate(text="x = 1"))
    assert journal.latest(tmp_path) is None  # it is in use
    path = first.folder
    first.close()
    with (path / journal.INPUTS).open("ab") as file:
        file.write(b'{"request":"evaluate","te')  # the process was killed in the middle of it
    again = journal.latest(tmp_path)
    assert again is not None
    assert again.again() == [START, Evaluate(text="x = 1")]
    noted(again, Evaluate(text="y = 2")).close()
    again = journal.latest(tmp_path)
    assert again is not None
    assert again.again() == [START, Evaluate(text="x = 1"), Evaluate(text="y = 2")]
    again.close()


def test_the_seed_of_a_session_is_the_last_that_was_set(tmp_path: Path) -> None:
    found = journal.begun(tmp_path, START)
    assert found.seed is None
    noted(found, Evaluate(text="x = 1"), Configure(threads=1))
    assert found.seed == 5
    noted(found, Configure(seed=77), Configure(dtype="float64"))
    assert found.seed == 77
    found.close()


def test_a_session_in_which_nothing_was_typed_leaves_nothing(tmp_path: Path) -> None:
    journal.begun(tmp_path, START).close()
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_stay(tmp_path: Path) -> None:
    for number in range(6):
        noted(journal.Journal(tmp_path / f"2026010{number}", START), Evaluate(text="x")).close()
    used = journal.Journal(tmp_path / "20260100")
    fresh = journal.begun(tmp_path, START)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20260100", "20260104", "20260105", fresh.folder.name]
    used.close()
    fresh.close()


def test_what_is_kept_is_gone_on_with(tmp_path: Path) -> None:
    found = noted(journal.begun(tmp_path, START), TimeIt(text="x"))
    keep, number = found.to_keep() or (None, 0)
    assert keep is not None
    found.kept(keep, number)
    noted(found, Evaluate(text="y"))
    found.close()
    again = journal.latest(tmp_path)
    assert again is not None
    assert again.again() == [START, Evaluate(text="x", bind=False), Evaluate(text="y")]  # the file is gone
    again.close()
    Path(keep.path).write_bytes(b"")
    again = journal.latest(tmp_path)
    assert again is not None
    assert again.again() == [GoOn(path=keep.path), Evaluate(text="y")]
    again.drop(again.again()[0])
    assert again.again() == [START, Evaluate(text="x", bind=False), Evaluate(text="y")]
    again.drop(again.again()[1])
    again.close()
    again = journal.latest(tmp_path)
    assert again is not None
    assert again.again() == [START, Evaluate(text="y")]
    again.close()


def test_a_file_in_use_is_never_written_to() -> None:
    found = noted(journal.Journal(), TimeIt(text="x"))
    keep, number = found.to_keep() or (None, 0)
    assert keep is not None
    found.kept(keep, number)
    noted(found, TimeIt(text="y"))
    other, _ = found.to_keep() or (None, 0)
    noted(found, TimeIt(text="z"))
    third, _ = found.to_keep() or (None, 0)
    assert other is not None
    assert third is not None
    assert other.path == third.path != keep.path
    found.close()


def load(found: journal.Journal, *, makes_copy: bool) -> Load:
    """A load as it is asked, once it has been answered."""
    request = found.with_copy(Load(path="/x.npy"))
    assert isinstance(request, Load)
    assert request.copy
    if makes_copy:
        Path(request.copy).write_bytes(b"copy")
    found.answered(request, seconds=0.0)
    return request


def test_a_copy_has_a_name_of_its_own_and_is_written_down_where_it_was_made(tmp_path: Path) -> None:
    first = journal.begun(tmp_path, START)
    asked = [load(first, makes_copy=made) for made in (False, True, False)]
    assert first.again() == [START, Load(path="/x.npy"), asked[1], Load(path="/x.npy")]
    assert len({each.copy for each in asked}) == 3
    first.close()
    assert asked[1].copy
    Path(asked[1].copy).unlink()
    again = journal.latest(tmp_path)
    assert again is not None
    names = [load(again, makes_copy=False).copy for _ in range(3)]
    assert asked[1].copy not in names
    again.close()


def test_where_no_folder_can_be_made_or_locked_nothing_is_copied_or_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, request = noted(journal.Journal(), Evaluate(text="a"), seconds=journal.AGAIN_SECONDS), Load(path="/x.npy")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert found.with_copy(request) == request
    assert found.worth_keeping
    assert found.to_keep() is None

    def full(_: Path) -> FileLock:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with monkeypatch.context() as while_full:
        while_full.setattr(journal, "_locked", full)
        assert found.with_copy(request) == request
    noted(found, Evaluate(text="b"))
    assert found.to_keep() is not None
    found.close()
