/* What a core module needs to speak with Weir: memory, and MessagePack for the two shapes that there are.
 * One event is held at a time; everything made for it is given back when the next one comes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("weir"), import_name(name)))

typedef struct {
    const uint8_t *at;
    uint32_t length;
} Bytes;

/* An event; the headers stay as they came: count of pairs, and their MessagePack bytes. */
typedef struct {
    Bytes subject;
    Bytes payload;
    uint32_t header_count;
    Bytes headers;
    uint64_t sequence;
    uint64_t timestamp_ns;
} Event;

/* Memory ------------------------------------------------------------------------------------------------ */

extern uint8_t __heap_base;
static uint8_t *heap_next;

static void *take(uint32_t length) {
    uint8_t *start = heap_next;
    heap_next += (length + 15) & ~15u;
    uintptr_t pages = ((uintptr_t)heap_next + 65535) >> 16;
    uintptr_t have = __builtin_wasm_memory_size(0);
    if (pages > have && __builtin_wasm_memory_grow(0, pages - have) == (uintptr_t)-1) __builtin_trap();
    return start;
}

EXPORT("weir_alloc") uint8_t *weir_alloc(uint32_t length) {
    heap_next = &__heap_base;
    return take(length);
}

static void copy(uint8_t *to, const uint8_t *from, uint32_t length) {
    for (uint32_t at = 0; at < length; at++) to[at] = from[at];
}

/* Reading: the host's MessagePack is well formed, so nothing is checked here. ------------------------------ */

static uint64_t number(const uint8_t **at, uint32_t bytes) {
    uint64_t value = 0;
    while (bytes--) value = value << 8 | *(*at)++;
    return value;
}

static uint64_t read_uint(const uint8_t **at) {
    uint8_t tag = *(*at)++;
    return tag < 0x80 ? tag : number(at, 1u << (tag - 0xcc));
}

static uint32_t read_array(const uint8_t **at) {
    uint8_t tag = *(*at)++;
    return (tag & 0xf0) == 0x90 ? tag & 0x0f : (uint32_t)number(at, tag == 0xdc ? 2 : 4);
}

static Bytes read_bytes(const uint8_t **at) {
    uint8_t tag = *(*at)++;
    uint32_t length = tag >= 0xd9   ? (uint32_t)number(at, 1u << (tag - 0xd9))
                      : tag >= 0xc4 && tag <= 0xc6 ? (uint32_t)number(at, 1u << (tag - 0xc4))
                                    : tag & 0x1fu;
    Bytes bytes = {*at, length};
    *at += length;
    return bytes;
}

static Event read_event(const uint8_t *at) {
    Event event;
    read_array(&at);
    event.subject = read_bytes(&at);
    event.payload = read_bytes(&at);
    event.header_count = read_array(&at);
    event.headers.at = at;
    for (uint32_t pair = 0; pair < event.header_count; pair++) {
        read_array(&at);
        read_bytes(&at);
        read_bytes(&at);
    }
    event.headers.length = (uint32_t)(at - event.headers.at);
    event.sequence = read_uint(&at);
    event.timestamp_ns = read_uint(&at);
    return event;
}

/* Writing ------------------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *start;
    uint8_t *at;
} Answer;

static Answer answer(uint32_t room) {
    uint8_t *start = take(room);
    return (Answer){start, start};
}

static void write_head(Answer *answer, uint8_t tag, uint32_t length) {
    *answer->at++ = tag;
    for (int shift = 24; shift >= 0; shift -= 8) *answer->at++ = (uint8_t)(length >> shift);
}

static void write_array(Answer *answer, uint32_t length) { write_head(answer, 0xdd, length); }

static void write_raw(Answer *answer, Bytes bytes) {
    copy(answer->at, bytes.at, bytes.length);
    answer->at += bytes.length;
}

static void write_text(Answer *answer, Bytes text) {
    write_head(answer, 0xdb, text.length);
    write_raw(answer, text);
}

static uint64_t finish(const Answer *answer) {
    return (uint64_t)(uintptr_t)answer->start << 32 | (uint32_t)(answer->at - answer->start);
}

/* A module that is asked for one answer with one reason. */
static uint64_t reject(Bytes reason) {
    Answer refusal = answer(reason.length + 16);
    *refusal.at++ = 0x92;
    *refusal.at++ = 1;
    write_text(&refusal, reason);
    return finish(&refusal);
}
