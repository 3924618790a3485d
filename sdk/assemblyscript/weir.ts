/**
 * Write a transform for Weir in AssemblyScript: a function from one event to any number of messages, or to a reason
 * why the event is refused. One file, of which a copy lies in the project.
 *
 *     import { Answer, Event, reject, send, transform, upper } from "./weir";
 *     export { weir_alloc, weir_process } from "./weir";
 *
 *     transform((event: Event): Answer => {
 *       if (event.payload.length == 0) return reject("the payload is empty");
 *       return send(event.message(upper(event.payload)));
 *     });
 *
 * The second line exports what Weir calls. `asc` has to be given `--use abort=assembly/weir/abort` (and the same for
 * `seed` and `trace`), so that a thrown error puts its message into the reason of the fault; see `asconfig.json`.
 */

// What there is ---------------------------------------------------------------------------------------------------

/** One header of an event or a message. */
export class Header {
  constructor(public name: string, public value: string) {}
}

/** What goes into a transform. Subject and headers are read when they are asked for. */
export class Event {
  private subjectText: string | null = null;
  private headerList: Header[] | null = null;

  constructor(
    private bytes: ArrayBuffer,
    private subjectAt: usize,
    private subjectLength: u32,
    /** Bytes; `text()` is the same as text. */
    public payload: Uint8Array,
    /** For this file alone: the headers as they came. */
    public headersAt: usize,
    public headersEnd: usize,
    /** The event's place in the source, from 1. */
    public sequence: u64,
    /** When the source took it in, in nanoseconds since 1970. */
    public timestampNs: u64,
  ) {}

  get subject(): string {
    const known = this.subjectText;
    if (known != null) return known;
    const text = String.UTF8.decodeUnsafe(this.subjectAt, this.subjectLength);
    this.subjectText = text;
    return text;
  }

  /** In order; a name may come more than once. */
  get headers(): Header[] {
    const known = this.headerList;
    if (known != null) return known;
    const list = readHeaders(this.headersAt, this.headersEnd);
    this.headerList = list;
    return list;
  }

  /** The payload as text. What is not UTF-8 comes out as other characters: `isUtf8` tells. */
  text(): string {
    return String.UTF8.decodeUnsafe(this.payload.dataStart, this.payload.length);
  }

  /** The first value of a header, which is compared exactly; null where there is none. */
  header(name: string): string | null {
    const headers = this.headers;
    for (let i = 0; i < headers.length; i++) {
      if (headers[i].name == name) return headers[i].value;
    }
    return null;
  }

  /** A message with another payload and the headers of this event. */
  message(payload: Uint8Array): Message {
    return new Message(payload, null, null, this);
  }
}

/** What a transform answers: one message, or what `send`, `sendAll`, `drop` and `reject` give. */
export abstract class Answer {}

/** What comes out of a transform. */
export class Message extends Answer {
  constructor(
    public payload: Uint8Array,
    private ownHeaders: Header[] | null = null,
    /** Where it goes, which the pipeline has to allow; null where the pipeline's template says. */
    public subject: string | null = null,
    /** For this file alone: the event whose headers the message has, where it has none of its own. */
    public from: Event | null = null,
  ) {
    super();
  }

  /** A message without headers. */
  static text(text: string): Message {
    return new Message(utf8(text));
  }

  get headers(): Header[] {
    const own = this.ownHeaders, from = this.from;
    return own != null ? own : from != null ? from.headers : [];
  }

  /** The same message to a subject. */
  withSubject(subject: string): Message {
    return new Message(this.payload, this.ownHeaders, subject, this.from);
  }

  /** The same message with one header more. Names that begin with `Nats-` or `Weir-` are reserved. */
  withHeader(name: string, value: string): Message {
    return new Message(this.payload, this.headers.concat([new Header(name, value)]), this.subject);
  }
}

/** Sends one message. */
export function send(message: Message): Answer {
  return message;
}

/** Sends messages, in this order. */
export function sendAll(messages: Message[]): Answer {
  return new Messages(messages);
}

/** Sends nothing. */
export function drop(): Answer {
  return new Messages([]);
}

/** Refuses the event: it becomes a dead letter with this reason. */
export function reject(reason: string): Answer {
  return new Rejection(reason);
}

/** Makes a function the transform of this module. It can use variables of its file, and no others. */
export function transform(process: (event: Event) => Answer): void {
  transformOfModule = process;
}

/** The step's configuration: JSON text with sorted keys, empty where there is none. */
export function config(): string {
  const length = hostConfigLength();
  const text = new ArrayBuffer(length);
  if (length > 0) hostConfigRead(changetype<usize>(text));
  return String.UTF8.decode(text);
}

export enum Level {
  Debug,
  Info,
  Warn,
  Error,
}

/** Writes a line to the node's log. Weir bounds what is kept for each event. */
export function log(level: Level, text: string): void {
  const bytes = String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
  hostLog(level, changetype<usize>(bytes), bytes.byteLength);
}

/** Text as bytes. */
export function utf8(text: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE));
}

/** Whether bytes are text in UTF-8. */
export function isUtf8(bytes: Uint8Array): bool {
  const length = bytes.length;
  for (let at = 0; at < length; ) {
    const first = unchecked(bytes[at++]);
    if (first < 0x80) continue;
    const more = first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : -1;
    if (more < 0 || at + more > length) return false;
    // What would be longer than needed, a surrogate, or beyond the last character.
    const second = unchecked(bytes[at]);
    if (first == 0xe0 && second < 0xa0) return false;
    if (first == 0xed && second > 0x9f) return false;
    if (first == 0xf0 && second < 0x90) return false;
    if (first == 0xf4 && second > 0x8f) return false;
    for (const end = at + more; at < end; at++) {
      if ((unchecked(bytes[at]) & 0xc0) != 0x80) return false;
    }
  }
  return true;
}

/** A copy with the letters a to z as capitals. */
export function upper(bytes: Uint8Array): Uint8Array {
  const length = <usize>bytes.length;
  const from = bytes.dataStart, to = placeFor(length);
  const copy = Uint8Array.wrap(placeBytes, <i32>(to - changetype<usize>(placeBytes)), <i32>length);
  let at: usize = 0;
  if (ASC_FEATURE_SIMD) {
    for (; at + 16 <= length; at += 16) {
      const word = v128.load(from + at);
      const isLetter = i8x16.lt_u(i8x16.sub(word, i8x16.splat(0x61)), i8x16.splat(26));
      v128.store(to + at, i8x16.sub(word, v128.and(isLetter, i8x16.splat(32))));
    }
  }
  for (; at < length; at++) {
    const byte = load<u8>(from + at);
    store<u8>(to + at, byte - (<u8>(byte - 0x61) < 26 ? 32 : 0));
  }
  return copy;
}

// What Weir and the compiler call ---------------------------------------------------------------------------------

@external("weir", "log")
declare function hostLog(level: i32, text: usize, length: i32): void;

@external("weir", "config_len")
declare function hostConfigLength(): i32;

@external("weir", "config_read")
declare function hostConfigRead(to: usize): void;

@external("wasi_snapshot_preview1", "random_get")
declare function hostRandom(to: usize, length: i32): i32;

/** Room for an event. Between two events nothing is in use but what variables hold: the time to tidy up. */
export function weir_alloc(length: i32): usize {
  garbage += EVENT_GARBAGE + GARBAGE_PER_BYTE * (<usize>length + written);
  if (garbage > GARBAGE_MAX || <usize>memory.size() > pages) {
    __collect();
    garbage = 0;
    pages = max(<usize>memory.size(), PAGES_MIN);
  }
  eventAt = placeFor(length);
  eventLength = length;
  eventBytes = placeBytes;
  return eventAt;
}

/** The answer to the event there: its place and its length. */
export function weir_process(_at: usize, _length: i32): u64 {
  const process = transformOfModule;
  if (process == null) throw new Error("transform was not called");
  const length = writeAnswer(process(readEvent()));
  return ((<u64>changetype<usize>(answerBytes)) << 32) | length;
}

/** Ends the event as the fault `trap`: what `throw` comes to. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const what = message == null ? "aborted" : message;
  const where = file == null ? "" : " (" + file + ":" + line.toString() + ":" + column.toString() + ")";
  log(Level.Error, what + where);
  unreachable();
}

/** The beginning of `Math.random`: made from the event. */
export function seed(): f64 {
  const bytes = memory.data(8);
  hostRandom(bytes, 8);
  return reinterpret<f64>(load<u64>(bytes));
}

/** What `trace` writes goes to the log. */
export function trace(
  message: string, count: i32 = 0, a: f64 = 0, b: f64 = 0, c: f64 = 0, d: f64 = 0, e: f64 = 0,
): void {
  const values = [a, b, c, d, e].slice(0, count);
  log(Level.Debug, count > 0 ? message + " " + values.join(", ") : message);
}

/** The answer of `sendAll` and `drop`. */
class Messages extends Answer {
  constructor(public list: Message[]) {
    super();
  }
}

/** The answer of `reject`. */
class Rejection extends Answer {
  constructor(public reason: string) {
    super();
  }
}

// Events and copies of their payloads lie one behind the other in pieces of this size, large ones each in its own: a
// buffer for each would cost more than the bytes do.
const PIECE_BYTES: usize = 16 << 10;
let pieceBytes: ArrayBuffer = new ArrayBuffer(0);
let pieceAt: usize = 0;
let pieceEnd: usize = 0;
// Where the last place lies.
let placeBytes: ArrayBuffer = pieceBytes;

/** A place for so many bytes, not filled with zeros, in `placeBytes`. */
function placeFor(length: usize): usize {
  if (length > PIECE_BYTES / 4) {
    placeBytes = unfilled(length);
    return changetype<usize>(placeBytes);
  }
  if (length > pieceEnd - pieceAt) {
    pieceBytes = unfilled(PIECE_BYTES);
    pieceAt = changetype<usize>(pieceBytes);
    pieceEnd = pieceAt + PIECE_BYTES;
  }
  placeBytes = pieceBytes;
  const at = pieceAt;
  pieceAt += length;
  return at;
}

/** A buffer for what is written over whole, which a new `ArrayBuffer` would fill with zeros first. */
function unfilled(length: usize): ArrayBuffer {
  return changetype<ArrayBuffer>(__new(length, idof<ArrayBuffer>()));
}

// What an event leaves behind, roughly, in bytes. An instance that lives for 256 small events never tidies up.
const EVENT_GARBAGE: usize = 4 << 10;
const GARBAGE_PER_BYTE: usize = 8;
const GARBAGE_MAX: usize = 4 << 20;
const PAGES_MIN: usize = 256;
let garbage: usize = 0;
let pages: usize = PAGES_MIN;

let transformOfModule: ((event: Event) => Answer) | null = null;
let eventBytes: ArrayBuffer = new ArrayBuffer(0);
let eventAt: usize = 0;
let eventLength: usize = 0;

// Reading the event -----------------------------------------------------------------------------------------------

// What is left to read of the event.
let readAt: usize = 0;
let readEnd: usize = 0;

function readEvent(): Event {
  const bytes = eventBytes;
  readAt = eventAt;
  readEnd = readAt + eventLength;
  expectArray(5);
  const subjectLength = readTextLength();
  const subjectAt = take(subjectLength);
  const payload = readPayload(bytes);
  const headersAt = readAt;
  for (let count = readArray(); count > 0; count--) {
    expectArray(2);
    take(readTextLength());
    take(readTextLength());
  }
  const headersEnd = readAt;
  const sequence = readUnsigned();
  const timestampNs = readUnsigned();
  if (left() != 0) malformed();
  return new Event(bytes, subjectAt, subjectLength, payload, headersAt, headersEnd, sequence, timestampNs);
}

/** Reads headers that have been gone over before. */
function readHeaders(start: usize, end: usize): Header[] {
  readAt = start;
  readEnd = end;
  const count = readArray();
  const headers = new Array<Header>(count);
  for (let i: u32 = 0; i < count; i++) {
    expectArray(2);
    const name = readText();
    headers[i] = new Header(name, readText());
  }
  return headers;
}

function malformed(): void {
  throw new Error("the event is not of the contract's shape");
}

// @ts-ignore: decorator
@inline
function left(): u32 {
  return <u32>(readEnd - readAt);
}

/** Takes so many bytes, which have to be there, and gives their place. */
function take(length: u32): usize {
  if (length > left()) malformed();
  const start = readAt;
  readAt += length;
  return start;
}

/** A number of 1, 2, 4 or 8 bytes, the highest first. */
function readNumber(width: u32): u64 {
  const start = take(width);
  if (width == 1) return load<u8>(start);
  if (width == 2) return bswap<u16>(load<u16>(start));
  if (width == 4) return bswap<u32>(load<u32>(start));
  return bswap<u64>(load<u64>(start));
}

function readUnsigned(): u64 {
  const tag = load<u8>(take(1));
  if (tag < 0x80) return tag;
  if (tag < 0xcc || tag > 0xcf) malformed();
  return readNumber(1 << (tag - 0xcc));
}

function readArray(): u32 {
  const tag = load<u8>(take(1));
  if ((tag & 0xf0) == 0x90) return tag & 0x0f;
  if (tag != 0xdc && tag != 0xdd) malformed();
  return <u32>readNumber(2 << (tag - 0xdc));
}

function expectArray(count: u32): void {
  if (readArray() != count) malformed();
}

function readTextLength(): u32 {
  const tag = load<u8>(take(1));
  if ((tag & 0xe0) == 0xa0) return tag & 0x1f;
  if (tag < 0xd9 || tag > 0xdb) malformed();
  return <u32>readNumber(1 << (tag - 0xd9));
}

function readText(): string {
  const length = readTextLength();
  return String.UTF8.decodeUnsafe(take(length), length);
}

/** The payload stays where it is: the bytes belong to the event from then on. */
function readPayload(bytes: ArrayBuffer): Uint8Array {
  const tag = load<u8>(take(1));
  if (tag < 0xc4 || tag > 0xc6) malformed();
  const length = <u32>readNumber(1 << (tag - 0xc4));
  return Uint8Array.wrap(bytes, <i32>(take(length) - changetype<usize>(bytes)), length);
}

// Writing the answer ----------------------------------------------------------------------------------------------

/** The most bytes that stand before text, bytes or the elements of an array. */
const HEAD_BYTES_MAX: u32 = 5;

// The answer, whose memory is used again, and how much of it is written.
let answerBytes: ArrayBuffer = new ArrayBuffer(1024);
let written: u32 = 0;

function writeAnswer(answer: Answer): u32 {
  written = 0;
  if (answer instanceof Message) {
    // What nearly every event comes to: [0, [message]].
    writeNumber(1, 0x92);
    writeNumber(1, 0);
    writeNumber(1, 0x91);
    writeMessage(changetype<Message>(answer));
    return written;
  }
  writeArray(2);
  if (answer instanceof Rejection) {
    writeByte(1);
    writeText(changetype<Rejection>(answer).reason);
    return written;
  }
  writeByte(0);
  if (!(answer instanceof Messages)) throw new Error("an answer is a message, or what this file makes of some");
  const messages = changetype<Messages>(answer).list;
  writeArray(messages.length);
  for (let i = 0; i < messages.length; i++) writeMessage(unchecked(messages[i]));
  return written;
}

function writeMessage(message: Message): void {
  const subject = message.subject;
  const payload = message.payload;
  const length = <u32>payload.length;
  // For what stands before the payload, too, where there is no subject.
  room(3 * HEAD_BYTES_MAX + length);
  writeNumber(1, 0x93);
  if (subject == null) writeNumber(1, 0xc0);
  else {
    writeText(subject);
    room(HEAD_BYTES_MAX + length);
  }
  writeLength(0xc4, length);
  writeRaw(payload.dataStart, length);
  const from = message.from;
  if (from != null) {
    const length = <u32>(from.headersEnd - from.headersAt);
    room(length);
    return writeRaw(from.headersAt, length);
  }
  const headers = message.headers;
  writeArray(headers.length);
  for (let i = 0; i < headers.length; i++) {
    const header = unchecked(headers[i]);
    writeArray(2);
    writeText(header.name);
    writeText(header.value);
  }
}

/** Writes bytes, where there is room. */
function writeRaw(from: usize, length: u32): void {
  memory.copy(changetype<usize>(answerBytes) + written, from, length);
  written += length;
}

/** Makes room for so many bytes more. */
function room(more: u32): void {
  const needed = written + more;
  if (needed <= <u32>answerBytes.byteLength) return;
  if (needed < written || needed > <u32>i32.MAX_VALUE) throw new Error("the answer is larger than any memory");
  const larger = new ArrayBuffer(max(needed, <u32>answerBytes.byteLength * 2));
  memory.copy(changetype<usize>(larger), changetype<usize>(answerBytes), written);
  answerBytes = larger;
}

/** Writes the lowest `width` bytes of a number, the highest first, where there is room. */
function writeNumber(width: u32, value: u32): void {
  const to = changetype<usize>(answerBytes) + written;
  if (width == 1) store<u8>(to, value);
  else if (width == 2) store<u16>(to, bswap<u16>(<u16>value));
  else store<u32>(to, bswap<u32>(value));
  written += width;
}

function writeByte(byte: u8): void {
  room(1);
  writeNumber(1, byte);
}

function writeArray(count: u32): void {
  room(HEAD_BYTES_MAX);
  if (count < 16) return writeNumber(1, 0x90 | count);
  writeNumber(1, count < 65536 ? 0xdc : 0xdd);
  writeNumber(count < 65536 ? 2 : 4, count);
}

/** Writes a length after one of three tags, by how many bytes it takes. */
function writeLength(tag: u32, length: u32): void {
  const size: u32 = length < 256 ? 0 : length < 65536 ? 1 : 2;
  writeNumber(1, tag + size);
  writeNumber(1 << size, length);
}

function writeText(text: string): void {
  const length = <u32>String.UTF8.byteLength(text);
  room(HEAD_BYTES_MAX + length);
  if (length < 32) writeNumber(1, 0xa0 | length);
  else writeLength(0xd9, length);
  const to = changetype<usize>(answerBytes) + written;
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, to, false, String.UTF8.ErrorMode.REPLACE);
  written += length;
}
