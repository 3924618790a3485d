// What Weir serves a transform, for tests in Node: no configuration, a log on standard error, and errors that
// are thrown on as they are.

export const config = () => "";
export const log = (level, text) => console.error(`${level}: ${text}`);

let messages = [];

export const send = (subject, payload, headers) => messages.push({ payload, subject, headers });
export const refuse = (reason) => {
  throw Object.assign(new Error(reason), { name: "Reject" });
};
export const fail = () => {};
export const encode = (text) => new TextEncoder().encode(text);
export const decode = (bytes) => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
};

export const getRandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));

export function answer(process, event = {}) {
  const { subject = "test", payload = "", headers = [], sequence = 1, timestampNs = 0n } = event;
  const rest = JSON.stringify({ headers, sequence: String(sequence), timestamp_ns: String(timestampNs) });
  messages = [];
  const last = process(subject, typeof payload === "string" ? encode(payload) : payload, rest);
  if (last !== undefined) send(undefined, last, undefined);
  return messages.map((message) => ({
    payload: message.payload,
    subject: message.subject ?? null,
    headers: message.headers ?? headers,
  }));
}
