// The types of a transform for Weir. index.js beside this file does the work.

/** One event of the source stream: all that a transform can know. */
export interface Event {
  /** The subject under which the source stream keeps the event. */
  readonly subject: string;
  /** The payload. */
  readonly payload: Uint8Array;
  /** Headers, sorted by name. */
  readonly headers: Header[];
  /** The sequence in the source stream. Beyond 2^53, where a number is not exact, it is a bigint all the same. */
  readonly sequence: number;
  /** When the source stream stored the event: nanoseconds since 1970. */
  readonly timestampNs: bigint;

  /** The payload as text. What is not UTF-8 refuses the event. */
  text(): string;
  /** The payload as JSON. What is none refuses the event, and says where. */
  json<T = unknown>(): T;
  /** The first value of a header. */
  header(name: string): string | undefined;
  /** A message that keeps the event's headers. */
  message(payload?: Uint8Array | string, subject?: string): Message;
}

/** A header's name and value. */
export type Header = [name: string, value: string];

/** One message to send: its payload as bytes or text, or as a value that is sent as JSON. */
export interface Message {
  /** The payload; text is sent as UTF-8. */
  payload?: Uint8Array | string;
  /** A value to send as JSON, in place of a payload. */
  json?: unknown;
  /** Where to; left out, the pipeline's template says. */
  subject?: string | null;
  /** Headers, of which names may repeat. */
  headers?: Header[];
}

/** What a transform answers: one message, several, or none. */
export type Answer = Message | Message[] | null | undefined | void;

/**
 * Makes a function what the module exports as `process`. Its second argument is the step's configuration, `{}` if
 * that has none.
 */
export function transform<Config = any>(
  handler: (event: Event, config: Config) => Answer,
): Process;

/** What the module exports: the world's `process`, which Weir calls. `answer` of "weir-sdk/node" calls it in tests. */
export type Process = (subject: string, payload: Uint8Array, rest: string) => Uint8Array | undefined;

/** Thrown, it refuses the event: a dead letter with this reason. Any other exception is a fault. */
export class Reject extends Error {}

/** Writes lines to the node's log, under the step's name. `console` does the same. */
export const log: Record<"debug" | "info" | "warn" | "error", (...values: unknown[]) => void>;

/** The step's configuration as the host gives it: JSON text, keys sorted; empty if there is none. */
export function configText(): string;

/** Text from UTF-8; throws a TypeError where it is none. */
export function decode(bytes: Uint8Array): string;

/** Text as UTF-8. */
export function encode(text: string): Uint8Array;
