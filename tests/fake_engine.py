"""The real end of a pipe around a session without torch: text is plain Python, its value a Value's text."""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorcli.engine import interrupts, serve
from tensorcli.report import (
    AnyReport,
    AnyRequest,
    Complete,
    Completion,
    Completions,
    Configure,
    Diagnosis,
    Evaluate,
    GoOn,
    Keep,
    Notice,
    Outlook,
    Output,
    Settings,
    Tensor,
    Value,
)


class Session:
    """Evaluates with eval or exec; `say(text)` emits an Output at once."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"os": os, "sys": sys, "contextlib": contextlib, "Tensor": Tensor}
        self.seed = 0
        self.on_statement: Callable[[int], None] = lambda number: None
        self.is_wanted: Callable[[], bool] = lambda: False
        self.poisoned = False

    def settings(self) -> Settings:
        """What hello says."""
        return Settings(version="0", torch="none", device="cpu", dtype="float32", seed=self.seed, threads=1)

    def ask(self, request: AnyRequest, emit: Callable[[AnyReport], None], *, typed: int | None = None) -> None:
        """Answer Evaluate, Outlook, Configure and Complete."""
        match request:
            case Keep() if self.names.get("put_off"):
                self.names["put_off"] -= 1
                emit(Diagnosis(code="put-off", category="memory", title="not now"))
            case Keep(path=path):
                kept = {name: value for name, value in self.names.items() if isinstance(value, int | str | list)}
                Path(path).write_text(repr(kept))
                emit(Notice(text="kept"))
            case GoOn(path=path):
                try:
                    self.names.update(eval(Path(path).read_text()))
                except NameError:
                    emit(Diagnosis(code="not-kept", category="memory", title="rubbish"))
            case Evaluate(until=0):
                return
            case Evaluate(text=text) | Outlook(text=text):
                self.names["say"] = lambda said: emit(Output(text=said))
                self.names["emit"] = emit
                self.names["session"] = self
                self._evaluate(text, emit)
            case Configure(seed=seed):
                self.seed = self.seed if seed is None else seed
                emit(self.settings())
            case Complete(cursor=cursor):
                emit(Completions(items=(Completion(text="torch", start=cursor - 2),)))

    def _evaluate(self, text: str, emit: Callable[[AnyReport], None]) -> None:
        try:
            with interrupts.interruptible():
                try:
                    code = compile(text, "<input>", "eval")
                except SyntaxError:
                    code = compile(text, "<input>", "exec")
                value = eval(code, self.names)
        except KeyboardInterrupt:
            emit(Diagnosis(code="interrupted", category="interrupted", title="interrupted"))
        except Exception as error:
            emit(Diagnosis(code="failed", category="other", title=f"{type(error).__name__}: {error}"))
        else:
            emit(Value(type=type(value).__name__, text=repr(value)))


COMMAND = [sys.executable, __file__]

if __name__ == "__main__":
    serve._load = lambda **_: Session()  # type: ignore[assignment,return-value]
    serve._warm_up = lambda: None
    serve._warm_up_more = lambda waiting: waiting.put(None)
    serve.serve(seed=0)
