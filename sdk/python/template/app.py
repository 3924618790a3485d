"""{{name}}: shouts the text of each event, and refuses what is empty."""

from weir import Event, Message, Reject, transform


@transform
def process(event: Event) -> Message:
    text = event.text()
    if not text:
        raise Reject("there is nothing to shout")
    return event.message(text.upper())
