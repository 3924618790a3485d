/* Sends every event on in capitals, with its headers. Gives the same answers as ../examples/upper.rs. */
#include "weir.h"

static weir_status upper(const weir_event *event, weir_answer *answer) {
    weir_message message = weir_reply(event, weir_upper(event->payload));
    return weir_send(answer, &message);
}

WEIR_TRANSFORM(upper)
