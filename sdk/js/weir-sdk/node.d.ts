// The types of what there is for tests in Node.

import type { Header, Process } from "./index.js";

/**
 * What a module's `process` answers to an event: its messages. An error is thrown on, and so is a refusal, with the
 * name `Reject` and its reason as the message.
 */
export function answer(
  process: Process,
  event?: {
    subject?: string;
    payload?: Uint8Array | string;
    headers?: Header[];
    sequence?: number | bigint;
    timestampNs?: bigint;
  },
): { payload: Uint8Array; subject: string | null; headers: Header[] }[];
