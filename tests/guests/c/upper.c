/* Sends every event on in capitals, with its headers. Gives the same answers as ../examples/upper.rs. */
#include "weir.h"

EXPORT("weir_process") uint64_t weir_process(const uint8_t *at, uint32_t length) {
    (void)length;
    Event event = read_event(at);
    Answer out = answer(event.payload.length + event.headers.length + 64);
    *out.at++ = 0x92;
    *out.at++ = 0;
    write_array(&out, 1);
    *out.at++ = 0x93;
    *out.at++ = 0xc0;
    write_head(&out, 0xc6, event.payload.length);
    for (uint32_t i = 0; i < event.payload.length; i++) {
        uint8_t c = event.payload.at[i];
        *out.at++ = c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
    }
    write_array(&out, event.header_count);
    write_raw(&out, event.headers);
    return finish(&out);
}
