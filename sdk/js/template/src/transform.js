// {{name}}: shouts the text of each event, and refuses what is empty.

import { Reject, transform } from "weir-sdk";

export const process = transform((event) => {
  const text = event.text();
  if (text === "") throw new Reject("there is nothing to shout");
  return event.message(text.toUpperCase());
});
