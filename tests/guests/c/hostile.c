/* Does wrong what only a core module can: as the payload's first letter says. Anything else it refuses. */
#include "weir.h"

static uint64_t at_length(uint32_t at, uint32_t length) { return (uint64_t)at << 32 | length; }

static uint64_t bytes(const char *text, uint32_t length) {
    return at_length((uint32_t)(uintptr_t)text, length);
}

WEIR_EXPORT_("weir_alloc") uint8_t *weir_alloc(uint32_t length) {
    weir_reset_();
    return weir_take(length);
}

WEIR_EXPORT_("weir_process") uint64_t weir_process(const uint8_t *at, uint32_t length) {
    weir_event event;
    if (!weir_read_event_((weir_bytes){at, length}, &event)) __builtin_trap();
    switch (event.payload.length ? event.payload.at[0] : 0) {
    case 'p': return at_length(0xfffffff0u, 8);            /* a pointer outside the memory */
    case 'l': return at_length(16, 0xffffffffu);           /* a length beyond its end */
    case 'n': return 0;                                    /* nothing at all */
    case 'c': return bytes("\xc1", 1);                     /* a byte that MessagePack does not have */
    case 's': return bytes("\x92\x00\x01", 3);             /* well formed, of another shape */
    case 't': return bytes("\x92\x00\xdd\xff\xff\xff\xff", 7); /* cut short: four thousand million messages */
    case 'e': return bytes("\x92\x01\xa1x\x00", 5);        /* bytes after the end */
    case 'u': return bytes("\x92\x01\xa2\xff\xfe", 5);     /* a reason that is not UTF-8 */
    case 'k': return bytes("\x92\x02\xa1x", 4);            /* an answer of no known kind */
    default: return bytes("\x92\x01\xa7refused", 10);
    }
}
