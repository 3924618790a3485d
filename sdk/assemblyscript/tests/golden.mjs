// weir.ts against the contract's golden vectors, and against what no host would send:
//
//     node --test sdk/assemblyscript/tests/golden.mjs
//
// from the root of the tree, with the module golden.ts compiled to the path in GOLDEN_WASM.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const vectors = Object.fromEntries(
  readFileSync("runtime/engine/testdata/wire.txt", "utf8")
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => line.split(": "))
    .map(([name, digits]) => [name, Buffer.from(digits ?? "", "hex")]),
);
const compiled = new WebAssembly.Module(readFileSync(process.env.GOLDEN_WASM));

function instance() {
  let exports;
  const lines = [];
  const log = (_level, at, length) => lines.push(Buffer.from(exports.memory.buffer, at, length).toString());
  const weir = { log, config_len: () => 0, config_read: () => {} };
  exports = new WebAssembly.Instance(compiled, { weir, wasi_snapshot_preview1: { random_get: () => 0 } }).exports;
  exports._initialize();
  return {
    lines,
    pages: () => exports.memory.buffer.byteLength / 65536,
    answer(event) {
      const at = exports.weir_alloc(event.length) >>> 0;
      Buffer.from(exports.memory.buffer).set(event, at);
      const packed = BigInt.asUintN(64, exports.weir_process(at, event.length));
      const start = Number(packed >> 32n);
      return Buffer.from(exports.memory.buffer.slice(start, start + Number(packed & 0xffffffffn)));
    },
  };
}

// An event with a short subject and no headers.
function event(subject, payload = Buffer.alloc(0)) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  const parts = [[0x95, 0xa0 | subject.length], Buffer.from(subject), [0xc6], length, payload, [0x90, 1, 0]];
  return Buffer.concat(parts.map((part) => Buffer.from(part)));
}

// The answer of one message without subject and headers, whose payload is below 256 bytes.
const saying = (text) =>
  Buffer.concat([Buffer.from([0x92, 0, 0x91, 0x93, 0xc0, 0xc4, text.length]), Buffer.from(text), Buffer.from([0x90])]);

test("events are read", () => {
  const { answer } = instance();
  const told = {
    "event-plain": "orders.new|5|7|1700000000000000000|a=1|a=2|b=",
    "event-empty": "s|0|1|0",
    "event-long": `${"s".repeat(40)}|300|65536|18446744073709551615`,
  };
  for (const [name, text] of Object.entries(told)) assert.deepEqual(answer(vectors[name]), saying(text), name);
});

test("answers are written", () => {
  const { answer } = instance();
  for (const name of ["answer-none", "answer-two", "answer-reject"]) {
    assert.deepEqual(answer(event(name)), vectors[name], name);
  }
});

test("every length is written in its form", () => {
  const { answer } = instance();
  for (const length of [0, 1, 7, 8, 31, 32, 255, 256, 65535, 65536, 1 << 20]) {
    const head = length < 256 ? 2 : length < 65536 ? 3 : 5;
    const found = answer(event("same", Buffer.alloc(length, "x")));
    assert.equal(found.length, 5 + head + length + 1);
    assert.deepEqual(found.subarray(5 + head, -1), Buffer.alloc(length, "x"));
  }
  for (const [count, head] of [[15, 1], [16, 3], [65535, 3], [65536, 5]]) {
    assert.equal(answer(event("many", Buffer.from(String(count)))).length, 2 + head + 5 * count);
  }
});

test("damaged events are refused or read, never beyond their end", () => {
  const { answer, lines } = instance();
  const shape = /^the event is not of the contract's shape/;
  for (const name of ["event-plain", "event-empty", "event-long"]) {
    const whole = vectors[name];
    for (let length = 0; length < whole.length; length++) {
      assert.throws(() => answer(whole.subarray(0, length)), WebAssembly.RuntimeError, `${name}, ${length} bytes`);
      assert.match(lines.pop(), shape);
    }
    for (let at = 0; at < whole.length; at++) {
      for (let value = 0; value < 256; value++) {
        const altered = Buffer.from(whole);
        altered[at] = value;
        try {
          answer(altered);
        } catch {
          assert.match(lines.pop(), shape, `${name}, byte ${at} is ${value}`);
        }
      }
    }
  }
});

test("letters are changed sixteen at a time as one at a time", () => {
  const { answer } = instance();
  const all = Buffer.from(Array.from({ length: 256 + 5 }, (_, i) => i & 255));
  const upper = all.map((byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 32 : byte));
  assert.deepEqual(answer(event("upper", all)).subarray(8, -1), upper);
});

test("what a transform keeps stays as it was", () => {
  const { answer } = instance();
  // Some fill a piece of memory by a few bytes more than it has, some are larger than a quarter of one.
  const sizes = [1, 4095, 4096, 4097, 3000, 0, 5000, 900, 20_000, 16];
  const payloads = sizes.map((size, n) => Buffer.alloc(size, "a".charCodeAt(0) + n));
  let last;
  for (const payload of payloads) last = answer(event("keep", payload));
  const upper = payloads.map((payload) => payload.toString().toUpperCase());
  let from = 0;
  for (const text of upper) {
    const at = last.indexOf(text, from);
    assert.notEqual(at, -1, `${text.length} bytes of ${text[0]}`);
    from = at + text.length;
  }
});

test("an answer that this file did not make is a fault that says so", () => {
  const { answer, lines } = instance();
  assert.throws(() => answer(event("strange")), WebAssembly.RuntimeError);
  assert.match(lines[0], /^an answer is a message, or what this file makes of some/);
});

test("UTF-8 is told from what is not", () => {
  const { answer } = instance();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const leads = [0x00, 0x7f, 0x80, 0xc1, 0xc2, 0xdf, 0xe0, 0xec, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
  const others = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
  for (const a of leads) for (const b of others) for (const c of others) for (const d of others) {
    const bytes = Buffer.from([a, b, c, d]);
    let valid = true;
    try { decoder.decode(bytes); } catch { valid = false; }
    assert.deepEqual(answer(event("utf8", bytes)), saying(String(valid)), bytes.toString("hex"));
  }
});

test("memory is used again", () => {
  const { answer, pages } = instance();
  for (let i = 0; i < 5000; i++) answer(event("same", Buffer.alloc(256)));
  for (let i = 0; i < 100; i++) answer(event("same", Buffer.alloc(1 << 20)));
  assert.ok(pages() < 512, `${pages()} pages of 64 KiB`);
});
