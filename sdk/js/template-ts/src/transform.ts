// {{name}}: shouts the text of each event, and refuses what is empty.

import { type Event, type Message, Reject, transform } from "weir-sdk";

function shout(event: Event): Message {
  const text = event.text();
  if (text === "") throw new Reject("there is nothing to shout");
  return event.message(text.toUpperCase());
}

export const process = transform(shout);
