"""Every message makes the round trip through one line of JSON, and the far end of the pipe keeps in step."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator

import fake_engine
import msgspec
import pytest

from tensorcli import child, report, wire
from tensorcli.engine import interrupts

SETTINGS = report.Settings(version="0", torch="2", device="cpu", dtype="float32", seed=1, threads=2)

REQUESTS = [
    report.Evaluate(text='x = "a\nb" # é \U0001f600', echo="all", filename="f.py", first_line=3),
    report.Time(text="x"),
    report.TimeIt(text="x", min_seconds=0.5),
    report.Inspect(text="x", setup="x = 1"),
    report.Bench(workload="matmul", sizes=(1, 2)),
    report.ListDevices(),
    report.ListNames(),
    report.Configure(seed=2**63 - 1),
    report.Configure(precision="default", threads=2),
    report.Load(path="/a/b.csv", name="X", stamp=(10, 2**62)),
    report.Save(path="/a/b.npz", names=("x",), force=True),
    report.Undo(),
    report.Begin(),
    report.Judge(texts=("x", "y = 1")),
    report.Reset(),
    report.Complete(text="to", cursor=2, of="names"),
    report.Signature(text="f(", cursor=2),
    report.Document(text="f", source=True),
    report.Outlook(text="x @", cursor=3),
]
REPORTS = [
    report.Tensor(shape=(2, 3), stats=report.Stats(min="-inf", max="nan", mean=0.5, std=None), values=[["inf", 1.0]]),
    report.Value(items=(report.Tensor(key="0"), report.Value(key="1"))),
    report.Output(text="\x1b[31mred\0"),
    report.Nothing(),
    report.Notice(text="n"),
    report.Diagnosis(
        code="c",
        category="shape",
        title="t",
        span=report.Span(line=1, column=0, end_line=1, end_column=1, text="x"),
        operands=(report.Operand(text="x", shape=(1,)),),
        suggestions=(report.Suggestion(title="t", edit="e", source="s", result=report.Result(shape=())),),
    ),
    report.Timing(samples=(0.1, 0.2), median=0.15),
    report.Devices(devices=(report.Device(device="cpu"),), default="cpu"),
    report.Names(items=(report.Tensor(name="x"),)),
    report.Loaded(path="/a/b.csv", python="X = 1", imports=("import csv",)),
    report.Undone(texts=("x = 1",), inputs=(1,)),
    report.Judged(may_change=(True, False)),
    SETTINGS,
    report.Completions(items=(report.Completion(text="torch", start=0),)),
    report.Signatures(items=(report.Overload(function="f", parameters=("x", "*"), current=0),), best=0),
    report.Documentation(name="f", signatures=(report.Overload(function="f", parameters=()),), definition="def f(): 0"),
    report.Progress(done=1, total=2),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_requests_make_the_round_trip_in_one_line(request_: report.AnyRequest) -> None:
    line = wire.encode(wire.Ask(number=7, request=request_))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert wire.to_engine(line) == wire.Ask(number=7, request=request_)


@pytest.mark.parametrize("answer", REPORTS, ids=lambda r: type(r).__name__)
def test_reports_make_the_round_trip_in_one_line(answer: report.AnyReport) -> None:
    line = wire.encode(wire.Answer(number=7, report=answer))
    assert line.count(b"\n") == 1
    assert wire.from_engine(line) == wire.Answer(number=7, report=answer)


@pytest.mark.parametrize("message", [wire.Hello(settings=SETTINGS), wire.Done(number=3)])
def test_other_messages_to_the_client(message: wire.Hello | wire.Done) -> None:
    assert wire.from_engine(wire.encode(message)) == message


def test_an_interrupt_names_its_request() -> None:
    assert wire.to_engine(wire.encode(wire.Interrupt(number=4))) == wire.Interrupt(number=4)


@pytest.mark.parametrize("line", [b"\n", b"hello\n", b"{}\n", b'{"message":"done","number":1}\n', b"\xff\n", b"[1]\n"])
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        wire.to_engine(line)


# The far end.


class Far:
    """An engine process, spoken to in lines."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        env = child._environment()
        self.begun: list[int] = []
        self.process = subprocess.Popen(fake_engine.COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, env=env)

    def send(self, *messages: wire.Message | bytes) -> None:
        assert self.process.stdin
        for message in messages:
            self.process.stdin.write(message if isinstance(message, bytes) else wire.encode(message))
        self.process.stdin.flush()

    def hear(self) -> wire.Hello | wire.Answer | wire.Done:
        """The next thing it says but that it begins with a request."""
        assert self.process.stdout
        while isinstance(said := wire.from_engine(self.process.stdout.readline()), wire.Begun):
            assert said.statement == 1
            self.begun.append(said.number)
        return said

    def answer(self, number: int) -> report.AnyReport:
        """The only report of the answer to a request."""
        said, done = self.hear(), self.hear()
        assert isinstance(said, wire.Answer)
        assert (said.number, done) == (number, wire.Done(number=number))
        return said.report


@pytest.fixture
def far() -> Iterator[Far]:
    engine = Far()
    assert isinstance(engine.hear(), wire.Hello)
    yield engine
    engine.process.kill()
    engine.process.wait()
    for stream in (engine.process.stdin, engine.process.stdout, engine.process.stderr):
        with contextlib.suppress(OSError):
            stream.close()  # type: ignore[union-attr]


def evaluate(number: int, text: str) -> wire.Ask:
    return wire.Ask(number=number, request=report.Evaluate(text=text))


def shown(answer: report.AnyReport) -> str:
    match answer:
        case report.Value(text=text) | report.Output(text=text):
            return text
        case report.Diagnosis(code=code):
            return code
    raise AssertionError(answer)


def test_requests_are_answered_in_order_and_numbered(far: Far) -> None:
    far.send(evaluate(1, "x = 2"), evaluate(2, "x + 1"))
    assert shown(far.answer(1)) == "None"
    assert far.begun == [1]
    assert shown(far.answer(2)) == "3"
    assert far.begun == [1, 2]


def test_malformed_lines_are_passed_over(far: Far) -> None:
    far.send(b"what?\n", b"\xff\xfe\n", b'{"message":"ask"}\n', b"\n", evaluate(1, "1"))
    assert shown(far.answer(1)) == "1"


def test_stray_writes_and_reads_leave_the_wire_alone(far: Far) -> None:
    far.send(evaluate(1, "os.write(1, b'{}\\n') + len(os.read(0, 10)) + (print('x') or 0)"))
    assert shown(far.answer(1)) == "3"


def test_what_json_cannot_say_is_a_diagnosis_or_spelt_out(far: Far) -> None:
    far.send(evaluate(1, "emit(Tensor(values=object()))"), evaluate(2, "say('\\udcff')"))
    assert shown(far.hear().report) == "unsendable"  # type: ignore[union-attr]
    assert shown(far.answer(1)) == "None"
    assert shown(far.hear().report) == "\\udcff"  # type: ignore[union-attr]
    assert shown(far.answer(2)) == "None"


def test_an_interrupt_ends_its_request(far: Far) -> None:
    far.send(evaluate(1, "say('on')\nwhile True: pass"))
    assert shown(far.hear().report) == "on"  # type: ignore[union-attr]
    far.send(wire.Interrupt(number=1))
    assert shown(far.answer(1)) == "interrupted"


def test_an_interrupt_ends_a_system_call_that_waits(far: Far) -> None:
    far.send(evaluate(1, "import time; say('on'); time.sleep(1000)"))
    assert shown(far.hear().report) == "on"  # type: ignore[union-attr]
    far.send(wire.Interrupt(number=1))
    assert shown(far.answer(1)) == "interrupted"


def test_an_interrupt_whose_signal_is_lost_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    tell = interrupts._tell

    def lose_the_first() -> None:
        told.append(True)
        if len(told) > 1:
            tell()

    monkeypatch.setattr(interrupts, "_tell", lose_the_first)
    before = signal.getsignal(signal.SIGINT)
    interrupts.from_wire()
    try:
        with interrupts.answering(1), pytest.raises(KeyboardInterrupt), interrupts.interruptible():
            for _ in iter(lambda: interrupts.interrupt(1) if not told else None, 1):
                pass
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(told) > 1


def test_an_interrupt_of_an_answered_request_means_nothing(far: Far) -> None:
    far.send(evaluate(1, "1"))
    far.answer(1)
    far.send(wire.Interrupt(number=1), evaluate(2, "sum(range(100000))"), wire.Interrupt(number=1))
    assert shown(far.answer(2)) == "4999950000"


def test_an_interrupt_that_arrives_before_its_request_began_ends_it(far: Far) -> None:
    far.send(evaluate(1, "1"), wire.Interrupt(number=2), evaluate(2, "while True: pass\n"), evaluate(3, "3"))
    assert shown(far.answer(1)) == "1"
    assert shown(far.answer(2)) == "interrupted"
    assert shown(far.answer(3)) == "3"


def test_many_interrupts_never_lose_step(far: Far) -> None:
    for number in range(1, 200):
        far.send(evaluate(number, "[say('x') for _ in range(3)]"), wire.Interrupt(number=number))
    for number in range(1, 200):
        while (said := far.hear()) != wire.Done(number=number):
            assert isinstance(said, wire.Answer)
            assert said.number == number


def test_a_signal_from_elsewhere_means_nothing(far: Far) -> None:
    far.process.send_signal(signal.SIGINT)
    far.send(evaluate(1, "1"))
    assert shown(far.answer(1)) == "1"


@pytest.mark.parametrize("text", ["1", "say('on')\nwhile True: pass"])
def test_it_ends_when_stdin_closes(far: Far, text: str) -> None:
    far.send(evaluate(1, text))
    far.hear()
    assert far.process.stdin
    far.process.stdin.close()
    assert far.process.wait(timeout=10) == 0
