"""What the SDK for Python does outside of WebAssembly: events, messages, and what becomes of answers.

Run with: python3 -m unittest discover sdk/python
"""

import dataclasses
import sys
import types
import unittest

import weir
from weir import Event, Message, Reject, transform


class WorldError(Exception):
    """Stands in for the world's own refusal."""


def served(function, text="", **options):
    """Serves the transform `function` as the host would, with the configuration `text`; gives its `process`."""
    lines = []
    host = types.SimpleNamespace(
        config=lambda: text,
        log=lambda level, text: lines.append((level, text)),
        Level=types.SimpleNamespace(DEBUG="debug", INFO="info", WARN="warn", ERROR="error"),
    )
    weir._host, weir._Err, weir._fail = host, WorldError, lambda error: (_ for _ in ()).throw(error)
    transform(function, **options)
    process = sys.modules[function.__module__].WitWorld().process
    process.__func__.lines = lines
    return process


class Events(unittest.TestCase):
    def test_text_and_json_refuse_what_they_cannot_read(self):
        self.assertEqual(Event("s", "größer".encode()).text(), "größer")
        self.assertEqual(Event("s", b'{"a": [1]}').json(), {"a": [1]})
        with self.assertRaisesRegex(Reject, "not text.*position 1"):
            Event("s", b"a\xff").text()
        with self.assertRaisesRegex(Reject, "not JSON: .*line 1 column 7"):
            Event("s", b'{"a": }').json()

    def test_a_message_keeps_the_headers_only_where_asked(self):
        event = Event("s", b"x", [("A", "1"), ("A", "2")])
        self.assertEqual(event.header("A"), "1")
        self.assertIsNone(event.header("B"))
        self.assertEqual(event.message("y").headers, [("A", "1"), ("A", "2")])
        self.assertEqual(Message("y").headers, [])

    def test_payloads_are_bytes(self):
        for payload in ("é", "é".encode(), bytearray("é".encode()), memoryview("é".encode())):
            self.assertEqual(Message(payload).payload, b"\xc3\xa9")
        self.assertEqual(Message.json({"é": 1.5}, subject="a"), Message('{"é":1.5}', subject="a"))
        with self.assertRaisesRegex(TypeError, "bytes or text, not dict"):
            Message({})


class Answers(unittest.TestCase):
    def test_none_one_and_many_messages(self):
        def answer(event):
            return {b"none": None, b"one": Message("1"), b"list": [Message("1"), Message("2")]}.get(
                event.payload, (Message(str(n)) for n in range(3))
            )

        process = served(answer)
        counts = [len(process(Event("s", payload))) for payload in (b"none", b"one", b"list", b"generator")]
        self.assertEqual(counts, [0, 1, 2, 3])

    def test_a_reject_refuses_and_anything_else_is_thrown_on(self):
        def reject(event):
            raise Reject("no amount")

        with self.assertRaisesRegex(WorldError, "no amount"):
            served(reject)(Event("s"))
        with self.assertRaisesRegex(ZeroDivisionError, "division by zero"):
            served(lambda event: 1 / 0)(Event("s"))

    def test_what_is_no_message_is_an_error_that_says_so(self):
        for answer, what in (("text", "str"), ({"a": 1}, "dict"), ([1], "int")):
            with self.assertRaisesRegex(TypeError, f"messages, not {what}"):
                served(lambda event: answer)(Event("s"))


class Configuration(unittest.TestCase):
    def test_a_second_argument_is_the_configuration(self):
        process = served(lambda event, config: Message(config["word"]), text='{"word": "hi"}')
        self.assertEqual(process(Event("s")), [Message("hi")])

    def test_a_dataclass_takes_the_fields_and_refuses_others(self):
        @dataclasses.dataclass
        class Settings:
            word: str = "default"

        def say(event, settings):
            return Message(settings.word)

        self.assertEqual(served(say, config=Settings)(Event("s")), [Message("default")])
        with self.assertRaisesRegex(WorldError, "does not fit: .*unexpected keyword argument 'wrod'"):
            served(say, '{"wrod": 1}', config=Settings)(Event("s"))
        with self.assertRaisesRegex(WorldError, "expected a table"):
            served(say, "[1]", config=Settings)(Event("s"))


class Logging(unittest.TestCase):
    def test_lines_have_their_level(self):
        def chat(event):
            weir.log.warn("careful")
            weir.log.info(7)

        process = served(chat)
        process(Event("s"))
        self.assertEqual(process.__func__.lines, [("warn", "careful"), ("info", "7")])


if __name__ == "__main__":
    unittest.main()
