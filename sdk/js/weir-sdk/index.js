// Write a transform for Weir in JavaScript: a function from one event to any number of messages, or a refusal.
//
//     import { transform } from "weir-sdk";
//     export const process = transform((event) => event.message(event.text().toUpperCase()));
//
// index.d.ts beside this file documents what there is. The module is evaluated when it is built, and what it
// holds then is kept; only calls of `process` have a host to talk to.

import { now } from "wasi:clocks/wall-clock";
import { getRandomBytes } from "wasi:random/random";
import * as host from "weir:transform/host";
import * as language from "weir:transform/language";

const { isArray } = Array;
const { setPrototypeOf } = Object;

let isServing = false;
let testTimestampNs;

export class Reject extends Error {
  get name() {
    return "Reject";
  }
}

class Event {
  // Makes an event of the world's: the same object, since a copy took nearly half of what this file does for an event.
  static of(raw) {
    // The world's integers arrive as numbers, which are exact up to 2^53: enough for most sequences, and not for
    // nanoseconds.
    delete raw.timestampNs;
    if (raw.sequence > 9007199254740991) raw.sequence = BigInt(language.sequence());
    return setPrototypeOf(raw, Event.prototype);
  }

  get timestampNs() {
    if (testTimestampNs !== undefined) return testTimestampNs;
    const { seconds, nanoseconds } = now();
    return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  }

  text() {
    const text = language.decode(this.payload);
    if (typeof text !== "string") throw new Reject("the payload is not text: it is not UTF-8");
    return text;
  }

  json() {
    const text = this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Reject(`the payload is not JSON: ${error.message}`);
    }
  }

  header(name) {
    return this.headers.find((header) => header[0] === name)?.[1];
  }

  message(payload, subject) {
    return { payload, subject, headers: this.headers };
  }
}

export function transform(handler) {
  let config;
  return (raw) => {
    isServing = true;
    try {
      if (config === undefined) config = JSON.parse(configText() || "{}");
      const { headers } = raw;
      const answer = handler(Event.of(raw), config);
      if (answer === undefined || answer === null) return [];
      if (isArray(answer)) return answer.map((each) => message(each, headers));
      return [message(answer, headers)];
    } catch (error) {
      if (!(error instanceof Reject)) language.fail(described(error));
      throw error;
    }
  };
}

// The world's message of an answer. Written for the interpreter: what every event passes is a few plain steps, and
// what the event itself gave is not looked at again.
function message(answer, eventHeaders) {
  if (typeof answer !== "object" || answer === null) wrong(answer);
  const json = answer.json;
  let subject = answer.subject;
  if (subject === undefined) subject = null;
  else if (subject !== null) checked(subject, "a subject");
  let headers = answer.headers;
  if (headers === undefined) headers = [];
  else if (headers !== eventHeaders) checkHeaders(headers);
  let payload = answer.payload;
  if (json !== undefined) payload = encode(JSON.stringify(json));
  else if (typeof payload === "string") payload = encode(payload);
  else if (!(payload instanceof Uint8Array)) payload = bytes(payload, answer);
  // Such as `event.message` gives: the world's message already, to which no subject and undefined are the same.
  else if (headers === answer.headers) return answer;
  return { subject, payload, headers };
}

function bytes(payload, answer) {
  if (payload !== undefined) throw new TypeError(`a payload is text or a Uint8Array, not ${kind(payload)}`);
  if (ArrayBuffer.isView(answer)) wrong(answer);
  if (typeof answer.then === "function") {
    throw new TypeError("a transform answers at once: async functions are not waited for");
  }
  return new Uint8Array(0);
}

function wrong(answer) {
  throw new TypeError(`a transform answers messages, not ${kind(answer)}: { payload: … } or { json: … }`);
}

function checkHeaders(headers) {
  for (const header of headers) {
    if (!Array.isArray(header) || header.length !== 2) throw new TypeError("a header is an array of name and value");
    checked(header[0], "a header's name");
    checked(header[1], "a header's value");
  }
}

function checked(text, what) {
  if (typeof text !== "string" || !text.isWellFormed()) throw new TypeError(`${what} is text, not ${kind(text)}`);
}

function kind(value) {
  if (value === null) return "null";
  return typeof value === "object" ? (value.constructor?.name ?? "an object") : typeof value;
}

export function configText() {
  atRuntime("the configuration");
  return host.config();
}

export function decode(bytes) {
  const text = language.decode(bytes);
  if (typeof text !== "string") throw new TypeError("the bytes are not UTF-8");
  return text;
}

export function encode(text) {
  return language.encode(text.isWellFormed() ? text : text.toWellFormed());
}

function line(level, values) {
  atRuntime("the log");
  host.log(level, values.map((value) => shown(value)).join(" ").toWellFormed());
}

export const log = {
  debug: (...values) => line("debug", values),
  info: (...values) => line("info", values),
  warn: (...values) => line("warn", values),
  error: (...values) => line("error", values),
};

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return described(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function described(error) {
  if (!(error instanceof Error)) return `uncaught: ${shown(error)}`;
  const title = `${error.name}: ${error.message}`;
  const stack = String(error.stack ?? "");
  return (stack.startsWith(title) ? stack : `${title}\n${stack}`).toWellFormed();
}

function atRuntime(what) {
  if (!isServing) throw new Error(`${what} is not there yet while the module is built: ask for it in the transform`);
}

export function testEvent({ subject = "test", payload = "", headers = [], sequence = 1, timestampNs = 0n } = {}) {
  isServing = true;
  testTimestampNs = timestampNs;
  return { subject, payload: typeof payload === "string" ? encode(payload) : payload, headers, sequence };
}

// QuickJS has no console, no text codecs, and a Math.random whose seed was fixed when the module was built.
// In Node these are there, and stay as they are.
if (globalThis.console === undefined) {
  globalThis.console = { ...log, log: log.info };
  globalThis.TextEncoder = class TextEncoder {
    encode(text = "") {
      return encode(String(text));
    }
  };
  // Bytes that are not UTF-8 are an error, as with the option `fatal`: none are replaced.
  globalThis.TextDecoder = class TextDecoder {
    decode(bytes = new Uint8Array(0)) {
      return decode(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes.buffer ?? bytes));
    }
  };
  Math.random = () => {
    const [high, low] = new Uint32Array(getRandomBytes(8).buffer);
    return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
  };
}
