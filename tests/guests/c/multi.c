/* Sends none, one or three messages, by the event's sequence, and refuses what begins with `no`. Gives the same
 * answers as ../examples/multi.rs, and exports weir_free, which modules made with the SDK do without. */
#include "weir.h"

WEIR_EXPORT_("weir_free") void weir_free(uint8_t *at, uint32_t length) {
    (void)at, (void)length;
    weir_reset_();
}

static void send_part(const weir_event *event, weir_answer *answer, unsigned part) {
    weir_bytes number = weir_format("%u", part);
    weir_message message = weir_reply(event, weir_format("%.*s#%u", WEIR_ARG(event->payload), part));
    message.headers = weir_with_header(message.headers, weir_text("Part"), number);
    weir_send(answer, &message);
}

static weir_status multi(const weir_event *event, weir_answer *answer) {
    weir_bytes payload = event->payload;
    if (payload.length >= 2 && payload.at[0] == 'n' && payload.at[1] == 'o') {
        weir_bytes reason = weir_text("the payload begins with no");
        weir_log(WEIR_INFO, reason);
        return weir_reject(answer, reason);
    }
    unsigned count = event->sequence % 3 == 2 ? 3 : (unsigned)(event->sequence % 3);
    for (unsigned part = 0; part < count; part++) send_part(event, answer, part);
    return WEIR_OK;
}

WEIR_TRANSFORM(multi)
