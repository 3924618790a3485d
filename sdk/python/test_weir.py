"""What the SDK for Python does outside of WebAssembly: events, messages, and what becomes of answers.

Run with: python3 -m unittest discover sdk/python
"""

import dataclasses
import json
import sys
import types
import unittest

import weir
from weir import Event, Message, Reject, transform


class Refused(Exception):
    """Stands in for the answer that refuses the event."""


class Node:
    """Serves a transform as a node would: its configuration is `text`."""

    def __init__(self, function, text="", **options):
        self.lines, self.sent = [], []
        host = types.SimpleNamespace(
            config=lambda: text,
            log=lambda level, text: self.lines.append((level, text)),
            Level=types.SimpleNamespace(DEBUG="debug", INFO="info", WARN="warn", ERROR="error"),
        )
        language = types.SimpleNamespace(send=lambda *message: self.sent.append(message), refuse=self._refuse)
        weir._host, weir._language, weir._fail = host, language, self._fail
        transform(function, **options)
        self.world = sys.modules[function.__module__].WitWorld()

    def _refuse(self, reason):
        self.refusal = reason

    def _fail(self, error):
        raise error

    def __call__(self, payload=b"", subject="s", headers=(), sequence=1, timestamp_ns=0):
        """The messages that the function answers, each as subject, payload and headers; None for the event's."""
        rest = {"headers": list(headers), "sequence": str(sequence), "timestamp_ns": str(timestamp_ns)}
        self.sent.clear()
        self.refusal = None
        last = self.world.process(subject, payload, json.dumps(rest))
        if self.refusal is not None:
            raise Refused(self.refusal)
        return self.sent + ([] if last is None else [(None, last, None)])


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

        node = Node(answer)
        counts = [len(node(payload)) for payload in (b"none", b"one", b"list", b"generator")]
        self.assertEqual(counts, [0, 1, 2, 3])

    def test_an_event_is_given_whole(self):
        def answer(event):
            return Message.json([event.subject, event.text(), event.headers, event.sequence, event.timestamp_ns])

        (message,) = Node(answer)(b"x", "a.b", [("A", "1")], 2**63, 1_767_225_600_123_456_789)
        self.assertEqual(message[1], b'["a.b","x",[["A","1"]],9223372036854775808,1767225600123456789]')

    def test_headers_go_with_the_messages_that_keep_them(self):
        def add(event):
            event.headers.append(("B", "2"))
            return event.message("y")

        def look(event):
            return event.message(event.header("A"))

        def put(event):
            message = event.message("y")
            message.headers = [("C", "3")]
            return message

        def several(event):
            return [event.message("1"), event.message("2", subject="t"), Message("3")]

        headers = [("A", "1")]
        kept = [(None, b"x", None)]
        self.assertEqual(Node(lambda event: event.message(event.payload))(b"x", headers=headers), kept)
        self.assertEqual(Node(add)(headers=headers), [(None, b"y", [("A", "1"), ("B", "2")])])
        self.assertEqual(Node(look)(headers=headers), [(None, b"1", headers)])
        self.assertEqual(Node(put)(headers=headers), [(None, b"y", [("C", "3")])])
        sent = [(None, b"1", None), ("t", b"2", None), (None, b"3", [])]
        self.assertEqual(Node(several)(headers=headers), sent)

    def test_an_event_that_was_kept_stays_what_it_was(self):
        kept = []

        def answer(event):
            kept.append(event)
            return kept[0].message(f"{kept[0].sequence}")

        node = Node(answer)
        node(b"", "s", [("A", "1")], 1)
        self.assertEqual(node(b"", "s", [("A", "2")], 2), [(None, b"1", [("A", "1")])])

    def test_a_reject_refuses_and_anything_else_is_thrown_on(self):
        def reject(event):
            raise Reject("no amount")

        with self.assertRaisesRegex(Refused, "no amount"):
            Node(reject)()
        with self.assertRaisesRegex(ZeroDivisionError, "division by zero"):
            Node(lambda event: 1 / 0)()

    def test_what_is_no_message_is_an_error_that_says_so(self):
        for answer, what in (("text", "str"), ({"a": 1}, "dict"), ([1], "int")):
            with self.assertRaisesRegex(TypeError, f"messages, not {what}"):
                Node(lambda event: answer)()


class Configuration(unittest.TestCase):
    def test_a_second_argument_is_the_configuration(self):
        node = Node(lambda event, config: Message(config["word"]), text='{"word": "hi"}')
        self.assertEqual(node(), [(None, b"hi", [])])

    def test_a_dataclass_takes_the_fields_and_refuses_others(self):
        @dataclasses.dataclass
        class Settings:
            word: str = "default"

        def say(event, settings):
            return Message(settings.word)

        self.assertEqual(Node(say, config=Settings)(), [(None, b"default", [])])
        with self.assertRaisesRegex(Refused, "does not fit: .*unexpected keyword argument 'wrod'"):
            Node(say, '{"wrod": 1}', config=Settings)()
        with self.assertRaisesRegex(Refused, "expected a table"):
            Node(say, "[1]", config=Settings)()


class Logging(unittest.TestCase):
    def test_lines_have_their_level(self):
        def chat(event):
            weir.log.warn("careful")
            weir.log.info(7)

        node = Node(chat)
        node()
        self.assertEqual(node.lines, [("warn", "careful"), ("info", "7")])


if __name__ == "__main__":
    unittest.main()
