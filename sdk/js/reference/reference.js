// The reference module of the conformance suite: acts by the last token of the event's subject.

import { Reject, configText, log, transform } from "weir-sdk";

const operations = new Map(Object.entries({
  echo: (event) => event.message(event.payload),
  upper: (event) => ({ payload: event.payload.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte)) }),
  none: () => null,
  many: (event) => Array.from({ length: Number(event.text()) }, (_, number) => ({ payload: String(number) })),
  subject: (event) => ({ subject: event.text() }),
  facts: (event) => ({
    payload: [event.subject, event.sequence, event.timestampNs, event.headers.length].join("|"),
  }),
  headers: (event) => ({ headers: [...event.headers, ["Added", "one"], ["Added", "two"]] }),
  reject(event) {
    throw new Reject(event.text());
  },
  config: () => ({ payload: configText() }),
  log(event) {
    log.info(event.text());
  },
  throw(event) {
    throw new Error(event.text());
  },
  memory() {
    const kept = [];
    for (;;) kept.push(new Uint8Array(1 << 20).fill(1));
  },
  loop() {
    for (;;);
  },
}));

export const process = transform((event) => {
  const operation = event.subject.slice(event.subject.lastIndexOf(".") + 1);
  const operate = operations.get(operation);
  if (operate === undefined) throw new Reject(`unknown operation: ${operation}`);
  return operate(event);
});
