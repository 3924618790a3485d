/* Sends every event on in capitals, with its headers. */
#include "weir.h"

static weir_status transform(const weir_event *event, weir_answer *answer) {
    if (event->payload.length == 0) return weir_reject(answer, weir_text("the payload is empty"));
    weir_message message = weir_reply(event, weir_upper(event->payload));
    return weir_send(answer, &message);
}

WEIR_TRANSFORM(transform)
