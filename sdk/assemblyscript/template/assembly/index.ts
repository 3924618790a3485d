/** Sends every event on in capitals, with its headers. */
import { Answer, Event, reject, send, transform, upper } from "./weir";
export { weir_alloc, weir_process } from "./weir";

transform((event: Event): Answer => {
  if (event.payload.length == 0) return reject("the payload is empty");
  return send(event.message(upper(event.payload)));
});
