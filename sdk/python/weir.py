"""Write a transform for Weir: a function from one event to any number of messages, or a refusal.

    from weir import transform

    @transform
    def shout(event):
        return event.message(event.text().upper())

The module that holds the function is what `componentize-py` builds into a component of the world
`weir:transform/interpreter`. In ordinary Python the same function is an ordinary one, so `unittest` and `pytest`
test it without WebAssembly; lines logged there go to standard error and there is no configuration.
"""

import inspect
import json
import logging
import os
import sys
import traceback
from typing import Any, Callable, Iterable, Optional, Union

try:
    from wit_world.imports import host as _host, language as _language
except ImportError:
    _host = _language = None

__all__ = ["Event", "Message", "Reject", "config", "config_text", "log", "transform"]

_new = object.__new__

# At build time the module is imported, but there is no host to call yet.
_serving = False


class Reject(Exception):
    """Refuses the event: it becomes a dead letter with this reason. Any other exception is a fault."""


class Message:
    """One message to send. A payload that is text is sent as UTF-8."""

    # The headers, or the event whose headers they are.
    __slots__ = ("subject", "payload", "_headers")

    def __init__(
        self,
        payload: Union[bytes, str] = b"",
        *,
        subject: Optional[str] = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        # Bytes are much the most frequent, and need no more than this.
        self.payload = payload if type(payload) is bytes else _bytes(payload)
        self.subject = subject
        self._headers = headers if type(headers) is list else list(headers)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers, which may be changed in place."""
        if type(self._headers) is Event:
            self._headers = self._headers.headers
        return self._headers

    @headers.setter
    def headers(self, headers: Iterable[tuple[str, str]]) -> None:
        self._headers = headers if type(headers) is list else list(headers)

    @classmethod
    def json(cls, value: Any, **rest: Any) -> "Message":
        """A message whose payload is `value` as JSON, without spaces, in UTF-8."""
        return cls(json.dumps(value, ensure_ascii=False, separators=(",", ":")), **rest)

    def text(self) -> str:
        """The payload as text."""
        return self.payload.decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and _parts(self) == _parts(other)

    def __repr__(self) -> str:
        return f"Message({self.payload!r}, subject={self.subject!r}, headers={self.headers!r})"


class Event:
    """One event of the source stream: all that a transform can know.

    `subject` is text, `payload` bytes, `headers` a list of pairs sorted by name, `sequence` the place in the
    source stream, and `timestamp_ns` when that stored it, in nanoseconds since 1970.
    """

    # The rest is the host's JSON until some of it is asked for, since most transforms only send the headers on.
    __slots__ = ("subject", "payload", "_rest")

    def __init__(
        self,
        subject: str,
        payload: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        sequence: int = 1,
        timestamp_ns: int = 0,
    ) -> None:
        self.subject = subject
        self.payload = payload
        self._rest = list(headers), sequence, timestamp_ns

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers, which may be changed in place."""
        return self._read()[0]

    @property
    def sequence(self) -> int:
        """The place in the source stream."""
        return self._read()[1]

    @property
    def timestamp_ns(self) -> int:
        """When the source stream stored the event."""
        return self._read()[2]

    def _read(self) -> tuple[list[tuple[str, str]], int, int]:
        if type(self._rest) is str:
            rest = json.loads(self._rest)
            headers = [(name, value) for name, value in rest["headers"]]
            self._rest = headers, int(rest["sequence"]), int(rest["timestamp_ns"])
        return self._rest

    def text(self) -> str:
        """The payload as text. What is not UTF-8 refuses the event."""
        try:
            return self.payload.decode()
        except UnicodeDecodeError as error:
            raise Reject(f"the payload is not text: {error}") from None

    def json(self) -> Any:
        """The payload as JSON. What is none refuses the event, and says where."""
        try:
            return json.loads(self.payload)
        except ValueError as error:
            raise Reject(f"the payload is not JSON: {error}") from None

    def header(self, name: str) -> Optional[str]:
        """The first value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)

    def message(self, payload: Union[bytes, str] = b"", *, subject: Optional[str] = None) -> Message:
        """A message that keeps the event's headers."""
        # As Message's own __init__, which takes more than twice as long and checks what is known here.
        message = _new(Message)
        message.payload = payload if type(payload) is bytes else _bytes(payload)
        message.subject = subject
        message._headers = self
        return message

    def __repr__(self) -> str:
        return (
            f"Event({self.subject!r}, {self.payload!r}, {self.headers!r}, "
            f"sequence={self.sequence}, timestamp_ns={self.timestamp_ns})"
        )


class _Log:
    """Writes lines to the node's log, under the step's name. Bounded for each event."""

    def debug(self, text: str) -> None:
        _log("DEBUG", text)

    def info(self, text: str) -> None:
        _log("INFO", text)

    def warn(self, text: str) -> None:
        _log("WARN", text)

    def error(self, text: str) -> None:
        _log("ERROR", text)


log = _Log()


def config_text() -> str:
    """The step's configuration as the host gives it: JSON text, keys sorted; empty if there is none."""
    if _host is None:
        return ""
    if not _serving:
        raise RuntimeError("there is no configuration while the module is built: ask for it in the transform")
    return _host.config()


def config() -> Any:
    """The step's configuration from its JSON; an empty dict if there is none. Parsed at each call."""
    return json.loads(config_text() or "{}")


def transform(function: Optional[Callable] = None, *, config: Callable = dict) -> Callable:
    """Makes a function the transform of the module that it is defined in.

    The function takes an `Event` and returns a `Message`, several of them in any iterable (a generator too),
    or None to drop the event. If it takes a second argument, that is the step's configuration: a dict, or with
    `@transform(config=Settings)` a `Settings` made of the configuration's fields as keyword arguments, such as
    a dataclass. It is read once for each instance, and one that does not fit refuses every event.

    `Reject` refuses an event; any other exception is a fault whose reason ends with the traceback.
    """
    if function is None:
        return lambda function: transform(function, config=config)
    make_config = config if len(inspect.signature(function).parameters) > 1 else None
    # The name that componentize-py looks up in the module that it builds.
    sys.modules[function.__module__].WitWorld = _world(function, make_config)
    return function


def _world(function: Callable, make_config: Optional[Callable]) -> type:
    settings: list = []

    def call_with_config(event: Event) -> Any:
        if not settings:
            settings.append(_settings(make_config))
        return function(event, settings[0])

    call = call_with_config if make_config else function

    class WitWorld:
        def process(self, subject: str, payload: bytes, rest: str) -> Optional[bytes]:
            global _serving
            _serving = True
            try:
                # As Event's own __init__, which takes a rest that is read.
                event = _new(Event)
                event.subject = subject
                event.payload = payload
                event._rest = rest
                answer = call(event)
                if answer is None:
                    return None
                if type(answer) is Message:
                    return _send(answer, event)
                for message in _messages(answer):
                    last = _send(message, event)
                    if last is not None:
                        _language.send(None, last, None)
            except Reject as reject:
                _language.refuse(str(reject))
            except BaseException as error:
                _fail(error)
            return None

    return WitWorld


def _send(message: Message, event: Event) -> Optional[bytes]:
    """Sends a message. Where its payload says all, since the event's headers go with it and the pipeline says where
    to, gives that back instead, which takes less time."""
    # The event's headers, never looked at.
    if message._headers is event and type(event._rest) is str:
        if message.subject is None:
            return message.payload
        _language.send(message.subject, message.payload, None)
    else:
        _language.send(message.subject, message.payload, message.headers)
    return None


def _parts(message: Message) -> tuple:
    return message.subject, message.payload, message.headers


def _settings(make_config: Callable) -> Any:
    fields = config()
    if not isinstance(fields, dict):
        raise Reject("the configuration does not fit: expected a table")
    try:
        return make_config(**fields)
    except (TypeError, ValueError) as error:
        raise Reject(f"the configuration does not fit: {error}") from None


def _messages(answer: Iterable[Message]) -> list[Message]:
    if isinstance(answer, (str, bytes, dict)):
        raise TypeError(f"a transform returns messages, not {type(answer).__name__}: wrap it in Message(…)")
    messages = list(answer)
    for message in messages:
        if not isinstance(message, Message):
            raise TypeError(f"a transform returns messages, not {type(message).__name__}")
    return messages


def _bytes(payload: Any) -> bytes:
    if isinstance(payload, str):
        return payload.encode()
    if isinstance(payload, (bytes, bytearray, memoryview)):
        return bytes(payload)
    raise TypeError(f"a payload is bytes or text, not {type(payload).__name__}")


def _log(level: str, text: Any) -> None:
    if _serving:
        _host.log(getattr(_host.Level, level), str(text))
    else:
        print(f"{level}: {text}", file=sys.stderr)


def _fail(error: BaseException) -> None:
    """Ends the event as a fault. The end of what stands on standard error becomes part of its reason."""
    try:
        # A few of the innermost frames, since deep recursion has very many; without this file's own.
        frames = [f for f in traceback.extract_tb(error.__traceback__, limit=-8) if f.filename != __file__]
        lines = traceback.format_list(frames) + traceback.format_exception_only(error)
        sys.stderr.write("".join(lines))
        sys.stderr.flush()
    finally:
        os.abort()


class _Handler(logging.Handler):
    """Lets the standard library's `logging` write to the node's log."""

    def emit(self, record: logging.LogRecord) -> None:
        steps = ((logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO"))
        level = next((name for least, name in steps if record.levelno >= least), "DEBUG")
        _log(level, self.format(record))


if _host is not None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_Handler()])
