/* seal: adds the CRC-32 of the payload as a header, so that who stores the messages elsewhere can tell whether
 * they are still whole. */
#include "weir.h"

/* The CRC-32 of ISO 3309, as in gzip, zip and PNG. */
static uint32_t crc32(weir_bytes bytes) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.length; i++) {
        crc ^= bytes.at[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

/* Eight hexadecimal digits. */
static weir_bytes digits(uint32_t number) {
    uint8_t *text = (uint8_t *)weir_take(8);
    for (int i = 0; i < 8; i++) text[i] = (uint8_t)"0123456789abcdef"[number >> (28 - 4 * i) & 15];
    weir_bytes bytes = {text, 8};
    return bytes;
}

static weir_status seal(const weir_event *event, weir_answer *answer) {
    weir_message message = weir_reply(event, event->payload);
    weir_bytes value = digits(crc32(event->payload));
    message.headers = weir_with_header(message.headers, weir_text("Crc32"), value);
    return weir_send(answer, &message);
}

WEIR_TRANSFORM(seal)
