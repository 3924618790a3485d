/* Sends none, one or three messages, by the event's sequence, and refuses what begins with `no`. Gives the same
 * answers as ../examples/multi.rs, and exports weir_free, which the other modules here do without. */
#include "weir.h"

static const Bytes NO = {(const uint8_t *)"the payload begins with no", 26};
static const Bytes PART = {(const uint8_t *)"Part", 4};

IMPORT("log") void weir_log(uint32_t level, const uint8_t *text, uint32_t length);

EXPORT("weir_free") void weir_free(uint8_t *at, uint32_t length) {
    (void)length;
    if (at < heap_next) heap_next = at;
}

static void write_part(Answer *out, const Event *event, uint8_t part) {
    *out->at++ = 0x93;
    *out->at++ = 0xc0;
    write_head(out, 0xc6, event->payload.length + 2);
    write_raw(out, event->payload);
    *out->at++ = '#';
    *out->at++ = (uint8_t)('0' + part);
    write_array(out, event->header_count + 1);
    write_raw(out, event->headers);
    *out->at++ = 0x92;
    write_text(out, PART);
    *out->at++ = 0xa1;
    *out->at++ = (uint8_t)('0' + part);
}

EXPORT("weir_process") uint64_t weir_process(const uint8_t *at, uint32_t length) {
    (void)length;
    Event event = read_event(at);
    if (event.payload.length >= 2 && event.payload.at[0] == 'n' && event.payload.at[1] == 'o') {
        weir_log(1, NO.at, NO.length);
        return reject(NO);
    }
    uint8_t count = (uint8_t)(event.sequence % 3 == 2 ? 3 : event.sequence % 3);
    Answer out = answer(3 * (event.payload.length + event.headers.length + 64) + 16);
    *out.at++ = 0x92;
    *out.at++ = 0;
    write_array(&out, count);
    for (uint8_t part = 0; part < count; part++) write_part(&out, &event, part);
    return finish(&out);
}
