"""The reference module of the conformance suite: acts by the last token of the event's subject."""

from weir import Message, Reject, config_text, log, transform


def echo(event):
    return event.message(event.payload)


def upper(event):
    return Message(event.payload.upper())


def none(event):
    return None


def many(event):
    return [Message(str(number)) for number in range(int(event.text()))]


def subject(event):
    return Message(subject=event.text())


def facts(event):
    return Message(f"{event.subject}|{event.sequence}|{event.timestamp_ns}|{len(event.headers)}")


def headers(event):
    return Message(headers=[*event.headers, ("Added", "one"), ("Added", "two")])


def reject(event):
    raise Reject(event.text())


def config(event):
    return Message(config_text())


def log_payload(event):
    log.info(event.text())


def throw(event):
    raise RuntimeError(event.text())


def memory(event):
    kept = []
    while True:
        kept.append(bytearray(b"\x01") * (1 << 20))


def loop(event):
    while True:
        pass


OPERATIONS = {
    "echo": echo,
    "upper": upper,
    "none": none,
    "many": many,
    "subject": subject,
    "facts": facts,
    "headers": headers,
    "reject": reject,
    "config": config,
    "log": log_payload,
    "throw": throw,
    "memory": memory,
    "loop": loop,
}


@transform
def reference(event):
    operation = event.subject.rsplit(".", 1)[-1]
    act = OPERATIONS.get(operation)
    if act is None:
        raise Reject(f"unknown operation: {operation}")
    return act(event)
