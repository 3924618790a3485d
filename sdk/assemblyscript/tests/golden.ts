/** The module that golden.mjs asks: tells an event as text, or gives the answer that the subject names. */
import { Answer, Event, Message, drop, isUtf8, reject, send, sendAll, transform, utf8, upper } from "../weir";
export { weir_alloc, weir_process } from "../weir";

class Strange extends Answer {}

const kept: Event[] = [];
const capitals: Uint8Array[] = [];

transform((event: Event): Answer => {
  if (event.subject == "keep") {
    kept.push(event);
    capitals.push(upper(event.payload));
    const messages: Message[] = [];
    for (let i = 0; i < kept.length; i++) messages.push(kept[i].message(capitals[i]));
    return sendAll(messages);
  }
  if (event.subject == "answer-none") return drop();
  if (event.subject == "strange") return new Strange();
  if (event.subject == "answer-reject") return reject("no amount");
  if (event.subject == "answer-two") {
    const first = new Message(utf8("hello")).withSubject("out.a").withHeader("k", "v");
    return sendAll([first, new Message(new Uint8Array(0))]);
  }
  if (event.subject == "same") return send(event.message(event.payload));
  if (event.subject == "upper") return send(new Message(upper(event.payload)));
  if (event.subject == "utf8") return send(Message.text(isUtf8(event.payload).toString()));
  if (event.subject == "many") {
    const messages: Message[] = [];
    for (let i = I32.parseInt(event.text()); i > 0; i--) messages.push(new Message(new Uint8Array(0)));
    return sendAll(messages);
  }
  let text = `${event.subject}|${event.payload.length}|${event.sequence}|${event.timestampNs}`;
  for (let i = 0; i < event.headers.length; i++) {
    text += `|${event.headers[i].name}=${event.headers[i].value}`;
  }
  return send(Message.text(text));
});
