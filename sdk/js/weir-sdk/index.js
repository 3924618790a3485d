// Write a transform for Weir in JavaScript: a function from one event to any number of messages, or a refusal.
//
//     import { transform } from "weir-sdk";
//     export const process = transform((event) => event.message(event.text().toUpperCase()));
//
// index.d.ts beside this file documents what there is. The module is evaluated when it is built, and what it
// holds then is kept; only calls of `process` have a host to talk to.

import { getRandomBytes } from "wasi:random/random";
import * as host from "weir:transform/host";
import * as language from "weir:transform/language";

const { isArray } = Array;

let isServing = false;

export class Reject extends Error {
  get name() {
    return "Reject";
  }
}

// Where an event's headers keep all that is neither subject nor payload.
const REST = Symbol("rest");

// An event has three fields of its own, since a fourth takes as long as all the others.
class Event {
  get sequence() {
    const { sequence } = read(this.headers[REST]);
    const number = Number(sequence);
    return number > Number.MAX_SAFE_INTEGER ? BigInt(sequence) : number;
  }

  get timestampNs() {
    return BigInt(read(this.headers[REST]).timestamp_ns);
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
    return read(this.headers[REST]).headers.find((header) => header[0] === name)?.[1];
  }

  message(payload, subject) {
    const headers = this.headers;
    return subject === undefined ? { payload, headers } : { payload, subject, headers };
  }
}

const eventPrototype = Event.prototype;

// Most transforms send an event's headers on and never look at them. So `event.headers` stands in for an array that is
// made when something looks at it: `rest` holds the host's JSON, or then what that says.
const headersOf = {};
for (const trap of Object.getOwnPropertyNames(Reflect)) {
  headersOf[trap] = (rest, ...more) => Reflect[trap](read(rest).headers, ...more);
}
headersOf.get = (rest, key, self) => (key === REST ? rest : Reflect.get(read(rest).headers, key, self));

function read(rest) {
  if (typeof rest[0] === "string") rest[0] = JSON.parse(rest[0]);
  return rest[0];
}

export function transform(handler) {
  let config;
  return (subject, payload, restText) => {
    isServing = true;
    try {
      if (config === undefined) config = JSON.parse(configText() || "{}");
      const rest = [restText];
      const headers = new Proxy(rest, headersOf);
      const answer = handler({ __proto__: eventPrototype, subject, payload, headers }, config);
      if (answer === undefined || answer === null) return undefined;
      if (!isArray(answer)) return send(answer, headers, rest);
      for (const each of answer) {
        const payload = send(each, headers, rest);
        if (payload !== undefined) language.send(undefined, payload, undefined);
      }
    } catch (error) {
      if (!(error instanceof Reject)) {
        language.fail(described(error));
        throw error;
      }
      language.refuse(error.message.toWellFormed());
    }
  };
}

// Sends a message. Where its payload says all, since the event's headers go with it and the pipeline says where to,
// gives that back instead: what a call gives back takes a third of the time of what is sent meanwhile.
function send(answer, eventHeaders, rest) {
  if (typeof answer !== "object" || answer === null) wrong(answer);
  const json = answer.json;
  const subject = answer.subject;
  const headers = answer.headers;
  let payload = answer.payload;
  if (json !== undefined) payload = encode(JSON.stringify(json));
  else if (typeof payload === "string") payload = encode(payload);
  else if (!(payload instanceof Uint8Array)) payload = bytes(payload, answer);
  const isTemplated = subject === undefined || subject === null;
  const isKept = headers === eventHeaders && typeof rest[0] === "string";
  if (isKept && isTemplated) return payload;
  language.send(
    isTemplated ? undefined : checked(subject, "a subject"),
    payload,
    isKept ? undefined : checkedHeaders(headers ?? []),
  );
  return undefined;
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

function checkedHeaders(given) {
  if (!isArray(given)) throw new TypeError(`headers are an array of names and values, not ${kind(given)}`);
  // The world takes arrays alone, and not what stands in for one.
  const headers = given[REST] === undefined ? given : read(given[REST]).headers;
  for (const header of headers) {
    if (!isArray(header) || header.length !== 2) throw new TypeError("a header is an array of name and value");
    checked(header[0], "a header's name");
    checked(header[1], "a header's value");
  }
  return headers;
}

function checked(text, what) {
  if (typeof text !== "string" || !text.isWellFormed()) throw new TypeError(`${what} is text, not ${kind(text)}`);
  return text;
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
