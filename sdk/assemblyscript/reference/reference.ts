/**
 * The reference module in AssemblyScript: does what the last token of the event's subject says, as the cases of
 * tests/conformance ask of every SDK.
 */
import { Answer, Event, Level, Message, config, drop, log, reject, send, sendAll, transform, upper } from "../weir";
export { weir_alloc, weir_process } from "../weir";

let turns: u64 = 0;

transform((event: Event): Answer => {
  const operation = event.subject.substring(event.subject.lastIndexOf(".") + 1);
  if (operation == "echo") return send(event.message(event.payload));
  if (operation == "upper") return send(new Message(upper(event.payload)));
  if (operation == "none") return drop();
  if (operation == "many") return many(I32.parseInt(event.text()));
  if (operation == "subject") return send(new Message(new Uint8Array(0)).withSubject(event.text()));
  if (operation == "facts") {
    const count = event.headers.length;
    return send(Message.text(`${event.subject}|${event.sequence}|${event.timestampNs}|${count}`));
  }
  if (operation == "headers") {
    return send(event.message(new Uint8Array(0)).withHeader("Added", "one").withHeader("Added", "two"));
  }
  if (operation == "reject") return reject(event.text());
  if (operation == "config") return send(Message.text(config()));
  if (operation == "log") {
    log(Level.Info, event.text());
    return drop();
  }
  if (operation == "throw") throw new Error(event.text());
  if (operation == "memory") return memoryWithoutEnd();
  if (operation == "loop") while (true) turns++;
  return reject("unknown operation: " + operation);
});

function many(count: i32): Answer {
  const messages = new Array<Message>(count);
  for (let i = 0; i < count; i++) messages[i] = Message.text(i.toString());
  return sendAll(messages);
}

function memoryWithoutEnd(): Answer {
  const kept: Uint8Array[] = [];
  // New memory is filled with zeros, and so touched.
  while (true) kept.push(new Uint8Array(1 << 20));
}
