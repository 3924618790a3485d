// What Weir serves a transform, for tests in Node: no configuration, a log on standard error, and errors that
// are thrown on as they are.

export const config = () => "";
export const log = (level, text) => console.error(`${level}: ${text}`);

export const fail = () => {};
export const sequence = () => "9007199254740993";
export const encode = (text) => new TextEncoder().encode(text);
export const decode = (bytes) => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
};

export const now = () => ({ seconds: 0, nanoseconds: 0 });
export const getRandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));
