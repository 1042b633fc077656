"""Every page with examples says what tensorcli says, and the runner that holds them to it can fail."""

import os

import pytest
import transcript
from transcript import ROOT

PAGES = [*sorted(ROOT.glob("tests/transcripts/*.md")), ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path, tmp_path):
    page = path.read_text(encoding="utf-8")
    with transcript.playground(tmp_path) as answers:
        wrong = transcript.play(page, answers)
    rewritable = [mismatch for mismatch in wrong if mismatch.example.kind != "sh"]
    if os.environ.get("TENSORCLI_UPDATE") == "1" and rewritable:
        path.write_text(transcript.updated(page, rewritable), encoding="utf-8", newline="\n")
        wrong = [mismatch for mismatch in wrong if mismatch not in rewritable]
    assert not wrong, "\n\n".join([str(path), *map(str, wrong), "scripts/update rewrites answers that are right"])


PAGE = """
```pycon
>>> a
1
>>> for b in a:
...     b
...
2

>>> c
...
3
```

```console
$ d
4
[exit 1]
```

```python
>>> not played
```

````text
```pycon
>>> not played either
```
````
"""


def said(answers):
    return {"pycon": answers.__getitem__, "console": answers.__getitem__}


RIGHT = {"a": ["1"], "for b in a:\n    b\n": ["2", ""], "c": ["x", "y", "3"], "d": ["4", "[exit 1]"]}


def test_a_page_is_read_to_its_examples():
    found = [(example.kind, example.source, example.expected) for example in transcript.examples(PAGE)]
    assert found == [
        ("pycon", "a", ["1"]),
        ("pycon", "for b in a:\n    b\n", ["2"]),
        ("pycon", "c", ["...", "3"]),
        ("console", "d", ["4", "[exit 1]"]),
    ]


def test_a_page_that_is_right_has_no_mismatch():
    assert transcript.play(PAGE, said(RIGHT)) == []


@pytest.mark.parametrize(
    ("source", "answer", "line"),
    [
        ("a", ["2"], 3),
        ("a", [], 3),
        ("a", ["1", "1"], 3),
        ("c", ["4"], 10),
        ("d", ["4"], 16),
        ("d", ["4", "[exit 2]"], 16),
    ],
)
def test_a_page_that_is_wrong_has_one(source, answer, line):
    wrong = transcript.play(PAGE, said({**RIGHT, source: answer}))
    assert [(mismatch.example.source, mismatch.example.begin, mismatch.actual) for mismatch in wrong] == [
        (source, line, answer)
    ]
    assert str(wrong[0]).startswith(f"line {line}: {source}\n--- the page\n+++ now\n")


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a [..] c", "a b c", True),
        ("a [..] c", "a b d", False),
        ("[..]", "", True),
        ("[..]", "a\nb", False),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nd", True),
        ("a\n...", "a", True),
        ("...\nd", "b\nc", False),
        ("a.c", "abc", False),
        ("a  ", "a", True),
        ("a   38 us", "a 1.31 ms", True),
        ("a        time", "a      time", True),
        ("a 38 us b", "a 38 KiB b", False),
        ('{"seconds":0.001,"shape":[2]}', '{"seconds":2e-05,"shape":[2]}', True),
        ("torch 2.13.0+cpu", "torch 2.13.0+cu130", True),
        ("torch 2.13.0+cpu", "torch 2.13.1+cpu", False),
    ],
)
def test_elisions(expected, actual, same):
    assert transcript.matches(expected.split("\n"), actual.split("\n")) is same


@pytest.mark.parametrize(
    ("expected", "actual", "rewritten"),
    [
        ("old", "new", "new"),
        ("a [..] c\nold", "a b c\nnew", "a [..] c\nnew"),
        ("a\n...\nc\nold", "a\nb\nb\nc\nnew", "a\n...\nc\nnew"),
        ("...\nc\nold", "a\nb\nc\nnew", "...\nc\nnew"),
        ("old\n...\nc", "new\nb\nc", "new\nb\nc"),
        ("a [..]\n...", "b", "b"),
        ("a\nb", "a\nnew\nb", "a\nnew\nb"),
    ],
)
def test_rewriting_keeps_the_elisions_that_match(expected, actual, rewritten):
    page = f"before\n```pycon\n>>> x\n{expected}\n\n>>> y\n```\nafter\n"
    wrong = transcript.play(page, said({"x": actual.split("\n"), "y": []}))
    assert transcript.updated(page, wrong) == f"before\n```pycon\n>>> x\n{rewritten}\n\n>>> y\n```\nafter\n"


def test_commands_for_people_must_work(tmp_path):
    page = "```sh\n# a remark\nscripts/nowhere --now\nscripts/test\ntensorcli --version\ntensorcli nonsense\n```\n"
    with transcript.playground(tmp_path) as answers:
        wrong = transcript.play(page, answers)
    assert [mismatch.example.source for mismatch in wrong] == ["scripts/nowhere --now", "tensorcli nonsense"]
