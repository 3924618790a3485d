// What the SDK for JavaScript does outside of WebAssembly: events, messages, and what becomes of answers.
// Run with: node --import ./sdk/js/weir-sdk/node.js --test sdk/js/test/sdk.test.js

import assert from "node:assert/strict";
import test from "node:test";
import { types } from "node:util";

import { Reject, decode, encode, transform } from "../weir-sdk/index.js";
import { answer } from "../weir-sdk/node.js";

/** What `handler` makes of one event: its messages with their payloads as text. */
function answered(handler, fields) {
  return answer(transform(handler), fields).map(({ payload, ...rest }) => ({ payload: decode(payload), ...rest }));
}

const plain = (payload) => ({ payload, subject: null, headers: [] });

test("none, one and many messages", () => {
  assert.deepEqual(answered(() => null), []);
  assert.deepEqual(answered(() => undefined), []);
  assert.deepEqual(answered(() => ({ payload: "1" })), [plain("1")]);
  assert.deepEqual(answered(() => [{ payload: "1" }, { json: { é: [1, null] } }, {}]), [
    plain("1"),
    plain('{"é":[1,null]}'),
    plain(""),
  ]);
});

test("a message keeps the event's headers only where it is asked to", () => {
  const headers = [["A", "1"], ["A", "2"]];
  assert.deepEqual(answered((event) => event.message("x", "a.b"), { headers }), [
    { payload: "x", subject: "a.b", headers },
  ]);
  assert.deepEqual(answered((event) => ({ payload: event.header("A") + event.header("B") }), { headers }), [
    plain("1undefined"),
  ]);
});

test("headers that the event did not come with are looked at, wherever they stand", () => {
  const replace = (event) => {
    event.headers = [["A", 1]];
    return event.message("x");
  };
  const change = (event) => {
    event.headers.push(["A", 1]);
    return event.message("x");
  };
  for (const handler of [replace, change]) {
    assert.throws(() => answered(handler), { name: "TypeError", message: /a header's value/ });
  }
  const bytes = (event) => ({ payload: event.payload, headers: [["A"]] });
  assert.throws(() => answered(bytes), { name: "TypeError", message: /name and value/ });
});

test("an event's headers are an array like any other", () => {
  const headers = [["A", "1"], ["B", "2"]];
  const uses = [
    [(event) => event.headers.map(([name]) => name).join(), "A,B"],
    [(event) => [...event.headers, ["C", "3"]].length, 3],
    [(event) => Array.isArray(event.headers) && event.headers.length, 2],
    [(event) => JSON.stringify(event.headers), JSON.stringify(headers)],
    [(event) => event.headers[1][1], "2"],
    [(event) => Object.keys(event.headers).join(), "0,1"],
  ];
  for (const [use, expected] of uses) {
    assert.deepEqual(answered((event) => ({ payload: String(use(event)) }), { headers }), [plain(String(expected))]);
  }
});

test("what becomes of an event's headers goes with the messages that keep them", () => {
  const headers = [["A", "1"]];
  const added = [["A", "1"], ["B", "2"]];
  const add = (event) => {
    event.headers.push(["B", "2"]);
    return event.message("x");
  };
  assert.deepEqual(answered(add, { headers }), [{ payload: "x", subject: null, headers: added }]);
  const copy = (event) => ({ ...event, payload: "y" });
  assert.deepEqual(answered(copy, { headers, subject: "s" }), [{ payload: "y", subject: "s", headers }]);
  const last = (event) => ({ json: event.headers, headers: event.headers });
  assert.deepEqual(answered(last, { headers }), [{ payload: '[["A","1"]]', subject: null, headers }]);
});

test("an event that was kept stays what it was", () => {
  const kept = [];
  const process = transform((event) => {
    kept.push(event);
    const [first] = kept;
    return { payload: [first.subject, first.sequence, first.timestampNs, first.header("A")].join() };
  });
  answer(process, { subject: "a", sequence: 1, timestampNs: 11n, headers: [["A", "1"]] });
  const [message] = answer(process, { subject: "b", sequence: 2, timestampNs: 22n, headers: [["A", "2"]] });
  assert.equal(decode(message.payload), "a,1,11,1");
});

test("headers are sent as an array, which is all that the world takes", () => {
  let first;
  const process = transform((event) => (first ??= event).message("x"));
  answer(process, { headers: [["A", "1"]] });
  const [message] = answer(process, { headers: [["A", "2"]] });
  assert.deepEqual(message.headers, [["A", "1"]]);
  assert.equal(types.isProxy(message.headers), false);
  const map = () => ({ headers: new Map([["A", "1"]]) });
  assert.throws(() => answered(map), { name: "TypeError", message: /an array of names and values, not Map/ });
});

test("an event shows what it is", () => {
  const facts = (event) => ({ json: [event.subject, event.sequence, String(event.timestampNs), event.text()] });
  const fields = { subject: "a", sequence: 7, timestampNs: 1_767_225_600_123_456_789n, payload: "größer" };
  assert.deepEqual(answered(facts, fields), [plain('["a",7,"1767225600123456789","größer"]')]);
});

test("a payload that cannot be read refuses the event", () => {
  const payload = new Uint8Array([97, 255]);
  assert.throws(() => answered((event) => event.message(event.text()), { payload }), {
    name: "Reject",
    message: /not UTF-8/,
  });
  assert.throws(() => answered((event) => event.json(), { payload: "{" }), { name: "Reject", message: /not JSON: / });
});

test("a Reject refuses, and any other exception is thrown on", () => {
  const refuse = () => {
    throw new Reject("no amount");
  };
  assert.throws(() => answered(refuse), { name: "Reject", message: "no amount" });
  assert.throws(() => answered(() => undefined.x), TypeError);
});

test("what is no message is an error that says so", () => {
  const wrong = [
    ["text", /messages, not string/],
    [new Uint8Array(1), /messages, not Uint8Array/],
    [{ payload: 1 }, /text or a Uint8Array, not number/],
    [{ subject: 1 }, /a subject is text, not number/],
    [{ headers: [["a"]] }, /array of name and value/],
    [{ headers: [["a", 1]] }, /a header's value is text/],
    [Promise.resolve({}), /async functions are not waited for/],
  ];
  for (const [answer, message] of wrong) assert.throws(() => answered(() => answer), { name: "TypeError", message });
});

test("a sequence that a number cannot hold is not rounded", () => {
  const sequence = 2n ** 53n + 1n;
  assert.deepEqual(answered((event) => ({ payload: `${event.sequence}` }), { sequence }), [plain("9007199254740993")]);
});

test("text that has no UTF-8 is sent as text can be", () => {
  assert.deepEqual(encode("a\ud800"), new Uint8Array([97, 0xef, 0xbf, 0xbd]));
});
