"""One line of JSON per message: requests and interrupts go in, reports and done come out, numbered."""

from typing import Any

import msgspec

from tensorcli.report import AnyReport, AnyRequest, Data, Settings


class Message(Data, frozen=True, kw_only=True, tag=lambda name: name.lower(), tag_field="message"):
    """One line on the wire."""


class Ask(Message, frozen=True, kw_only=True):
    """Answer this request, number `number`, which is of the input `input` where anybody typed it."""

    number: int
    request: AnyRequest
    input: int | None = None


class Interrupt(Message, frozen=True, kw_only=True):
    """Interrupt request `number`; meaningless, and ignored, once it has been answered."""

    number: int


class Hello(Message, frozen=True, kw_only=True):
    """The engine is ready."""

    settings: Settings


class Answer(Message, frozen=True, kw_only=True):
    """One report of the answer to request `number`."""

    number: int
    report: AnyReport


class Begun(Message, frozen=True, kw_only=True):
    """Statement `statement` of request `number` begins; of whatever request, the first one says that it was reached."""

    number: int
    statement: int


class Done(Message, frozen=True, kw_only=True):
    """Request `number` is answered."""

    number: int


_encoder = msgspec.json.Encoder()
_to_engine: msgspec.json.Decoder[Ask | Interrupt] = msgspec.json.Decoder(Ask | Interrupt)
_from_engine: msgspec.json.Decoder[Hello | Answer | Begun | Done] = msgspec.json.Decoder(Hello | Answer | Begun | Done)
_report: msgspec.json.Decoder[AnyReport] = msgspec.json.Decoder(AnyReport)


def encode(message: Data) -> bytes:
    """One line of JSON, with its newline. Half a surrogate pair, which UTF-8 has no bytes for, is spelt out."""
    try:
        return _encoder.encode(message) + b"\n"
    except UnicodeEncodeError:
        return _encoder.encode(_spelt_out(msgspec.to_builtins(message))) + b"\n"


def _spelt_out(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case list() | tuple():
            return [_spelt_out(item) for item in value]
        case dict():
            return {_spelt_out(key): _spelt_out(item) for key, item in value.items()}
    return value


def to_engine(line: bytes) -> Ask | Interrupt:
    """Read what a client sent. Raises msgspec.MsgspecError on anything else."""
    return _to_engine.decode(line)


def from_engine(line: bytes) -> Hello | Answer | Begun | Done:
    """Read what an engine sent. Raises msgspec.MsgspecError on anything else."""
    return _from_engine.decode(line)


def report(line: bytes) -> AnyReport:
    """Read a report as `--json` prints it. Raises msgspec.MsgspecError on anything else."""
    return _report.decode(line)
