// What this SDK adds to the globals of the language. Left out where the types of Node or a browser are used.

declare const console: Record<"debug" | "error" | "info" | "log" | "warn", (...values: unknown[]) => void>;

declare class TextEncoder {
  encode(text?: string): Uint8Array;
}

/** UTF-8 only; bytes that are not UTF-8 are an error. */
declare class TextDecoder {
  decode(bytes?: Uint8Array | ArrayBuffer): string;
}
