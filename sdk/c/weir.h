/* weir.h: write a transform for Weir in C or C++. One file, no library, no allocator to bring along.
 *
 *     #include "weir.h"
 *
 *     static weir_status shout(const weir_event *event, weir_answer *answer) {
 *         if (event->payload.length == 0) return weir_reject(answer, weir_text("the payload is empty"));
 *         weir_message message = weir_reply(event, weir_upper(event->payload));
 *         return weir_send(answer, &message);
 *     }
 *
 *     WEIR_TRANSFORM(shout)
 *
 * It reads the event, keeps the memory of one event at a time, and writes the answer; what is read is checked
 * against its bounds. It may be included in any number of files of a module; WEIR_TRANSFORM stands in one of
 * them. Compiled for another machine than WebAssembly it works too, for tests of your own: lines go to standard
 * error, and the configuration is what `weir_test_config` points to.
 *
 * Names that end in `_` are the header's own. */
#ifndef WEIR_H
#define WEIR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What there is ------------------------------------------------------------------------------------------- */

/* Some bytes, or UTF-8 text. Nothing follows them: there is no 0 at the end. */
typedef struct {
    const uint8_t *at;
    size_t length;
} weir_bytes;

typedef struct {
    weir_bytes name;
    weir_bytes value;
} weir_header;

/* Headers, in order; a name may come more than once. */
typedef struct {
    const weir_header *at;
    size_t count;
} weir_headers;

/* What goes into a transform. All of it stays where it is until the function has returned. */
typedef struct {
    weir_bytes subject;
    weir_bytes payload;
    weir_headers headers;
    uint64_t sequence;     /* the event's place in the source, from 1 */
    uint64_t timestamp_ns; /* when the source took it in, in nanoseconds since 1970 */
} weir_event;

/* What comes out. A message without a subject goes where the pipeline's template says. */
typedef struct {
    weir_bytes subject;
    weir_bytes payload;
    weir_headers headers;
} weir_message;

/* How a transform ends: with what was sent, or with a refusal. */
typedef enum { WEIR_OK = 0, WEIR_REFUSED = 1 } weir_status;

typedef enum { WEIR_DEBUG = 0, WEIR_INFO = 1, WEIR_WARN = 2, WEIR_ERROR = 3 } weir_level;

/* An answer in the making: see weir_send and weir_reject. */
typedef struct {
    uint8_t *start;
    size_t length;
    size_t room;
    uint32_t messages;
    bool refused;
} weir_answer;

/* A transform: sends any number of messages, or refuses. */
typedef weir_status weir_transform(const weir_event *event, weir_answer *answer);

/* Sends a message: all of it is copied, so that nothing of it has to stay. Gives WEIR_OK. */
static inline weir_status weir_send(weir_answer *answer, const weir_message *message);

/* Refuses the event; what was sent for it is not. A reason often has bytes of the event in it: what is not UTF-8
 * becomes `?`. Gives WEIR_REFUSED, to be returned. */
static inline weir_status weir_reject(weir_answer *answer, weir_bytes reason);

/* A message with another payload and the event's headers. */
static inline weir_message weir_reply(const weir_event *event, weir_bytes payload);

/* The first value of a header; `at` is null where there is none. Names are compared exactly. */
static inline weir_bytes weir_header_value(weir_headers headers, const char *name);

/* The same headers with one more at the end. Names that begin with Nats- or Weir- are reserved. */
static inline weir_headers weir_with_header(weir_headers headers, weir_bytes name, weir_bytes value);

/* The step's configuration: JSON text with sorted keys, empty where there is none. */
static inline weir_bytes weir_config(void);

/* Writes a line to the node's log. Weir bounds what is kept for each event. */
static inline void weir_log(weir_level level, weir_bytes text);

/* Ends the event as the fault `trap`, with this as its reason: for what cannot be, not for bad events. */
static inline void weir_panic(weir_bytes reason) __attribute__((noreturn));

/* Memory until the next event comes, aligned to 16 bytes and not cleared. It never fails: where the step's
 * limit is reached, the event ends as the fault `out-of-memory`. There is nothing to give back. */
static inline void *weir_take(size_t length);

/* The bytes of a C string, where they are. */
static inline weir_bytes weir_text(const char *text);

/* Whether these are the same bytes. */
static inline bool weir_equal(weir_bytes a, weir_bytes b);

/* A copy with the letters a to z as capitals. */
static inline weir_bytes weir_upper(weir_bytes text);

/* Text as by printf: %s, %c, %d, %u, %x with l, ll and z, and %%; and %.*s, which takes WEIR_ARG(bytes) and
 * writes all of them, zeros too. */
static inline weir_bytes weir_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define WEIR_ARG(bytes) (int)(bytes).length, (const char *)(bytes).at

/* Makes a function the transform of this module. Stands in one file. */
#define WEIR_TRANSFORM(function)                                                                           \
    WEIR_EXPORT_("weir_alloc") uint8_t *weir_alloc(uint32_t length) {                                      \
        weir_reset_();                                                                                     \
        return (uint8_t *)weir_take(length);                                                               \
    }                                                                                                      \
    WEIR_EXPORT_("weir_process") uint64_t weir_process(const uint8_t *at, uint32_t length) {               \
        return weir_process_(function, at, length);                                                        \
    }

#ifdef __cplusplus
#define WEIR_LINKAGE_ extern "C"
#else
#define WEIR_LINKAGE_
#endif

/* The machine under it ------------------------------------------------------------------------------------ */

#ifdef __wasm__

#define WEIR_EXPORT_(name) WEIR_LINKAGE_ __attribute__((export_name(name)))
#define WEIR_IMPORT_(name) __attribute__((import_module("weir"), import_name(name)))

WEIR_IMPORT_("log") void weir_import_log_(uint32_t level, const uint8_t *text, uint32_t length);
WEIR_IMPORT_("config_len") uint32_t weir_import_config_length_(void);
WEIR_IMPORT_("config_read") void weir_import_config_read_(uint8_t *to);

/* Memory that nobody has yet, or null; rounds `length` up. A libc beside this header takes its own in the same
 * way. */
static inline uint8_t *weir_grow_(size_t *length) {
    size_t pages = (*length >> 16) + ((*length & 65535) != 0);
    size_t before = __builtin_wasm_memory_grow(0, pages);
    *length = pages << 16;
    return before == (size_t)-1 ? NULL : (uint8_t *)(before << 16);
}

/* Whether what is taken next begins there. */
static inline bool weir_is_end_(const uint8_t *at) {
    return (uintptr_t)at == (uintptr_t)__builtin_wasm_memory_size(0) << 16;
}

#else

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIR_EXPORT_(name) WEIR_LINKAGE_

__attribute__((weak)) const char *weir_test_config;

static inline void weir_import_log_(uint32_t level, const uint8_t *text, uint32_t length) {
    fprintf(stderr, "%u %.*s\n", (unsigned)level, (int)length, (const char *)text);
}

static inline uint32_t weir_import_config_length_(void) {
    return weir_test_config ? (uint32_t)strlen(weir_test_config) : 0;
}

static inline void weir_import_config_read_(uint8_t *to) {
    if (weir_test_config) memcpy(to, weir_test_config, strlen(weir_test_config));
}

static inline uint8_t *weir_grow_(size_t *length) { return (uint8_t *)malloc(*length); }

static inline bool weir_is_end_(const uint8_t *at) { return at == NULL; }

#endif

/* Memory -------------------------------------------------------------------------------------------------- */

/* A stretch of memory; what is handed out follows this head. */
typedef struct weir_block_ {
    struct weir_block_ *next;
    uint8_t *end;
} weir_block_;

/* The memory of one event. Blocks stay from event to event, and are handed out anew from the first on. Mostly
 * there is one, which grows at its end. */
typedef struct {
    weir_block_ *first;
    weir_block_ *current;
    uint8_t *next;
} weir_memory_state_;

/* One for the module, in however many of its files this header is. */
__attribute__((weak)) weir_memory_state_ weir_memory_;

enum { WEIR_ALIGN_ = 16, WEIR_BLOCK_BYTES_ = 64 << 10 };

static inline void weir_enter_(weir_block_ *block) {
    weir_memory_.current = block;
    weir_memory_.next = (uint8_t *)block + WEIR_ALIGN_;
}

static inline void weir_reset_(void) {
    if (weir_memory_.first) weir_enter_(weir_memory_.first);
}

static inline size_t weir_left_(void) {
    return weir_memory_.current ? (size_t)(weir_memory_.current->end - weir_memory_.next) : 0;
}

static inline uint8_t *weir_grow_or_end_(size_t *length) {
    uint8_t *start = weir_grow_(length);
    if (!start) weir_panic(weir_text("out of memory"));
    return start;
}

/* Makes a new block the current one. Its size is a power of two, so that blocks that are too small one after
 * the other come to no more than the last. */
static inline void weir_new_block_(size_t length) {
    size_t whole = WEIR_BLOCK_BYTES_;
    while (whole < length + WEIR_ALIGN_) whole *= 2;
    weir_block_ *block = (weir_block_ *)(void *)weir_grow_or_end_(&whole);
    block->next = NULL;
    block->end = (uint8_t *)block + whole;
    if (weir_memory_.current) weir_memory_.current->next = block;
    else weir_memory_.first = block;
    weir_enter_(block);
}

/* Sees to it that the current block has `length` bytes left. */
static inline void weir_more_(size_t length) {
    while (weir_left_() < length && weir_memory_.current && weir_memory_.current->next)
        weir_enter_(weir_memory_.current->next);
    size_t left = weir_left_();
    if (left >= length) return;
    if (weir_memory_.current && weir_is_end_(weir_memory_.current->end)) {
        size_t missing = length - left;
        weir_grow_or_end_(&missing);
        weir_memory_.current->end += missing;
    } else {
        weir_new_block_(length);
    }
}

static inline void *weir_take(size_t length) {
    if (length > SIZE_MAX / 4) weir_panic(weir_text("out of memory"));
    size_t whole = length ? (length + WEIR_ALIGN_ - 1) & ~(size_t)(WEIR_ALIGN_ - 1) : WEIR_ALIGN_;
    if (whole > weir_left_()) weir_more_(whole);
    uint8_t *start = weir_memory_.next;
    weir_memory_.next += whole;
    return start;
}

static inline void weir_copy_(uint8_t *to, weir_bytes from) {
    if (from.length) __builtin_memcpy(to, from.at, from.length);
}

/* Text ---------------------------------------------------------------------------------------------------- */

static inline weir_bytes weir_bytes_(const void *at, size_t length) {
    weir_bytes bytes = {(const uint8_t *)at, length};
    return bytes;
}

static inline weir_bytes weir_text(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return weir_bytes_(text, length);
}

static inline bool weir_equal(weir_bytes a, weir_bytes b) {
    if (a.length != b.length) return false;
    for (size_t i = 0; i < a.length; i++)
        if (a.at[i] != b.at[i]) return false;
    return true;
}

static inline weir_bytes weir_upper(weir_bytes text) {
    uint8_t *copy = (uint8_t *)weir_take(text.length);
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.at[i];
        copy[i] = (uint8_t)(c - ((uint8_t)(c - 'a') < 26 ? 32 : 0));
    }
    return weir_bytes_(copy, text.length);
}

/* The length of the character of UTF-8 there, or 0 where there is none. */
static inline size_t weir_character_(const uint8_t *at, size_t left) {
    uint8_t first = at[0];
    if (first < 0x80) return 1;
    size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (length == 0 || length > left) return 0;
    /* Longer than needed, a surrogate, or beyond the last character. */
    uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most) return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    return length;
}

static inline void weir_replace_what_is_not_text_(uint8_t *text, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t character = weir_character_(text + at, length - at);
        if (character == 0) text[at] = '?';
        at += character ? character : 1;
    }
}

/* Text in the making: the first pass counts, the second writes. */
typedef struct {
    uint8_t *to;
    size_t length;
} weir_text_writer_;

static inline void weir_put_(weir_text_writer_ *writer, weir_bytes text) {
    if (writer->to) weir_copy_(writer->to + writer->length, text);
    writer->length += text.length;
}

static inline void weir_put_number_(weir_text_writer_ *writer, bool negative, uint64_t value, unsigned base) {
    uint8_t digits[24];
    size_t at = sizeof digits;
    do digits[--at] = (uint8_t)"0123456789abcdef"[value % base];
    while (value /= base);
    if (negative) digits[--at] = '-';
    weir_put_(writer, weir_bytes_(digits + at, sizeof digits - at));
}

static inline void weir_format_pass_(weir_text_writer_ *writer, const char *format, va_list *arguments) {
    while (*format) {
        size_t plain = 0;
        while (format[plain] && format[plain] != '%') plain++;
        weir_put_(writer, weir_bytes_(format, plain));
        format += plain;
        if (!*format) return;
        format++;
        size_t length = SIZE_MAX;
        if (format[0] == '.' && format[1] == '*') {
            length = (size_t)va_arg(*arguments, int);
            format += 2;
        }
        const char *string;
        unsigned width = 0; /* 1 for l and z, 2 for ll */
        while (*format == 'l' || *format == 'z') width++, format++;
        uint64_t value;
        uint8_t character;
        switch (*format++) {
        case '%': weir_put_(writer, weir_bytes_("%", 1)); break;
        case 's':
            string = va_arg(*arguments, const char *);
            weir_put_(writer, length == SIZE_MAX ? weir_text(string) : weir_bytes_(string, length));
            break;
        case 'c':
            character = (uint8_t)va_arg(*arguments, int);
            weir_put_(writer, weir_bytes_(&character, 1));
            break;
        case 'd':
            value = width == 0   ? (uint64_t)va_arg(*arguments, int)
                    : width == 1 ? (uint64_t)va_arg(*arguments, long)
                                 : (uint64_t)va_arg(*arguments, long long);
            weir_put_number_(writer, (int64_t)value < 0, (int64_t)value < 0 ? 0 - value : value, 10);
            break;
        case 'u':
        case 'x':
            value = width == 0   ? va_arg(*arguments, unsigned)
                    : width == 1 ? va_arg(*arguments, unsigned long)
                                 : va_arg(*arguments, unsigned long long);
            weir_put_number_(writer, false, value, format[-1] == 'x' ? 16 : 10);
            break;
        default: weir_panic(weir_text("weir_format knows %s, %.*s, %c, %d, %u, %x with l, ll and z, and %%"));
        }
    }
}

static inline weir_bytes weir_format(const char *format, ...) {
    weir_text_writer_ writer = {NULL, 0};
    va_list arguments;
    va_start(arguments, format);
    weir_format_pass_(&writer, format, &arguments);
    va_end(arguments);
    writer.to = (uint8_t *)weir_take(writer.length);
    writer.length = 0;
    va_start(arguments, format);
    weir_format_pass_(&writer, format, &arguments);
    va_end(arguments);
    return weir_bytes_(writer.to, writer.length);
}

/* What Weir gives ------------------------------------------------------------------------------------------ */

static inline void weir_log(weir_level level, weir_bytes text) {
    weir_import_log_((uint32_t)level, text.at, (uint32_t)text.length);
}

static inline void weir_panic(weir_bytes reason) {
    weir_log(WEIR_ERROR, reason);
    __builtin_trap();
}

static inline weir_bytes weir_config(void) {
    uint32_t length = weir_import_config_length_();
    uint8_t *text = (uint8_t *)weir_take(length);
    weir_import_config_read_(text);
    return weir_bytes_(text, length);
}

static inline weir_message weir_reply(const weir_event *event, weir_bytes payload) {
    weir_message message = {{NULL, 0}, payload, event->headers};
    return message;
}

static inline weir_bytes weir_header_value(weir_headers headers, const char *name) {
    weir_bytes wanted = weir_text(name);
    for (size_t i = 0; i < headers.count; i++)
        if (weir_equal(headers.at[i].name, wanted)) return headers.at[i].value;
    return weir_bytes_(NULL, 0);
}

static inline weir_headers weir_with_header(weir_headers headers, weir_bytes name, weir_bytes value) {
    weir_header *all = (weir_header *)weir_take((headers.count + 1) * sizeof(weir_header));
    for (size_t i = 0; i < headers.count; i++) all[i] = headers.at[i];
    all[headers.count].name = name;
    all[headers.count].value = value;
    weir_headers more = {all, headers.count + 1};
    return more;
}

/* Reading the event ---------------------------------------------------------------------------------------- */

/* MessagePack that is left to read. After the first thing that is not as it should be, `bad` stays set. */
typedef struct {
    const uint8_t *at;
    size_t left;
    bool bad;
} weir_reader_;

static inline weir_bytes weir_read_raw_(weir_reader_ *reader, size_t length) {
    if (reader->bad || length > reader->left) {
        reader->bad = true;
        return weir_bytes_(NULL, 0);
    }
    weir_bytes bytes = {reader->at, length};
    reader->at += length;
    reader->left -= length;
    return bytes;
}

static inline uint64_t weir_read_number_(weir_reader_ *reader, size_t width) {
    weir_bytes bytes = weir_read_raw_(reader, width);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.length; i++) value = value << 8 | bytes.at[i];
    return value;
}

static inline uint64_t weir_read_uint_(weir_reader_ *reader) {
    uint64_t tag = weir_read_number_(reader, 1);
    if (tag < 0x80) return tag;
    if (tag >= 0xcc && tag <= 0xcf) return weir_read_number_(reader, (size_t)1 << (tag - 0xcc));
    reader->bad = true;
    return 0;
}

static inline size_t weir_read_array_(weir_reader_ *reader) {
    uint64_t tag = weir_read_number_(reader, 1);
    if ((tag & 0xf0) == 0x90) return tag & 0x0f;
    if (tag == 0xdc || tag == 0xdd) return (size_t)weir_read_number_(reader, tag == 0xdc ? 2 : 4);
    reader->bad = true;
    return 0;
}

static inline weir_bytes weir_read_text_(weir_reader_ *reader) {
    uint64_t tag = weir_read_number_(reader, 1);
    if ((tag & 0xe0) == 0xa0) return weir_read_raw_(reader, tag & 0x1f);
    if (tag < 0xd9 || tag > 0xdb) reader->bad = true;
    return weir_read_raw_(reader, (size_t)weir_read_number_(reader, (size_t)1 << ((tag - 0xd9) & 3)));
}

static inline weir_bytes weir_read_binary_(weir_reader_ *reader) {
    uint64_t tag = weir_read_number_(reader, 1);
    if (tag < 0xc4 || tag > 0xc6) reader->bad = true;
    return weir_read_raw_(reader, (size_t)weir_read_number_(reader, (size_t)1 << ((tag - 0xc4) & 3)));
}

static inline weir_headers weir_read_headers_(weir_reader_ *reader) {
    weir_headers headers = {NULL, weir_read_array_(reader)};
    enum { HEADER_BYTES_MIN = 3 };
    if (headers.count > reader->left / HEADER_BYTES_MIN) reader->bad = true;
    if (reader->bad || headers.count == 0) {
        headers.count = 0;
        return headers;
    }
    weir_header *all = (weir_header *)weir_take(headers.count * sizeof(weir_header));
    for (size_t i = 0; i < headers.count; i++) {
        if (weir_read_array_(reader) != 2) reader->bad = true;
        all[i].name = weir_read_text_(reader);
        all[i].value = weir_read_text_(reader);
    }
    headers.at = all;
    return headers;
}

/* Reads an event; false where it is not of the contract's shape. */
static inline bool weir_read_event_(weir_bytes bytes, weir_event *event) {
    weir_reader_ reader = {bytes.at, bytes.length, false};
    if (weir_read_array_(&reader) != 5) return false;
    event->subject = weir_read_text_(&reader);
    event->payload = weir_read_binary_(&reader);
    event->headers = weir_read_headers_(&reader);
    event->sequence = weir_read_uint_(&reader);
    event->timestamp_ns = weir_read_uint_(&reader);
    return !reader.bad && reader.left == 0;
}

/* Writing the answer --------------------------------------------------------------------------------------- */

/* Room for `[0, [` in its longest form, before the messages: their number is known last. */
enum { WEIR_HEAD_BYTES_ = 7, WEIR_FIELD_BYTES_ = 5 };

/* Makes room for `more` bytes. */
static inline void weir_answer_room_(weir_answer *answer, uint64_t more) {
    if (answer->length < WEIR_HEAD_BYTES_) answer->length = WEIR_HEAD_BYTES_;
    uint64_t needed = answer->length + more;
    if (needed > SIZE_MAX / 4) weir_panic(weir_text("out of memory"));
    if (needed <= answer->room) return;
    size_t room = needed < (uint64_t)answer->room * 2 ? answer->room * 2 : (size_t)needed;
    uint8_t *start = (uint8_t *)weir_take(room);
    if (answer->room) weir_copy_(start, weir_bytes_(answer->start, answer->length));
    answer->start = start;
    answer->room = room;
}

/* The last `width` bytes of a number, the highest first. */
static inline void weir_write_number_(weir_answer *answer, size_t width, uint64_t value) {
    while (width--) answer->start[answer->length++] = (uint8_t)(value >> 8 * width);
}

static inline void weir_write_array_(weir_answer *answer, size_t count) {
    unsigned width = count < 16 ? 0 : count < 65536 ? 2 : 4;
    weir_write_number_(answer, 1, width == 0 ? 0x90 | count : width == 2 ? 0xdc : 0xdd);
    weir_write_number_(answer, width, count);
}

/* A length after one of three tags, by how many bytes it takes. */
static inline void weir_write_length_(weir_answer *answer, uint8_t tag, size_t length) {
    unsigned size = length < 256 ? 0 : length < 65536 ? 1 : 2;
    weir_write_number_(answer, 1, tag + size);
    weir_write_number_(answer, (size_t)1 << size, length);
}

static inline void weir_write_raw_(weir_answer *answer, weir_bytes bytes) {
    weir_copy_(answer->start + answer->length, bytes);
    answer->length += bytes.length;
}

static inline void weir_write_text_(weir_answer *answer, weir_bytes text) {
    if (text.length < 32) weir_write_number_(answer, 1, 0xa0 | text.length);
    else weir_write_length_(answer, 0xd9, text.length);
    weir_write_raw_(answer, text);
}

static inline weir_status weir_send(weir_answer *answer, const weir_message *message) {
    if (answer->refused) return WEIR_REFUSED;
    uint64_t needed = (uint64_t)1 + 3 * WEIR_FIELD_BYTES_ + message->subject.length + message->payload.length;
    for (size_t i = 0; i < message->headers.count; i++) {
        const weir_header *header = &message->headers.at[i];
        needed += (uint64_t)1 + 2 * WEIR_FIELD_BYTES_ + header->name.length + header->value.length;
    }
    weir_answer_room_(answer, needed);
    answer->messages++;
    weir_write_array_(answer, 3);
    if (message->subject.at) weir_write_text_(answer, message->subject);
    else weir_write_number_(answer, 1, 0xc0);
    weir_write_length_(answer, 0xc4, message->payload.length);
    weir_write_raw_(answer, message->payload);
    weir_write_array_(answer, message->headers.count);
    for (size_t i = 0; i < message->headers.count; i++) {
        weir_write_array_(answer, 2);
        weir_write_text_(answer, message->headers.at[i].name);
        weir_write_text_(answer, message->headers.at[i].value);
    }
    return WEIR_OK;
}

static inline weir_status weir_reject(weir_answer *answer, weir_bytes reason) {
    answer->length = 0;
    answer->refused = true;
    weir_answer_room_(answer, (uint64_t)WEIR_FIELD_BYTES_ + reason.length);
    weir_write_text_(answer, reason);
    weir_replace_what_is_not_text_(answer->start + answer->length - reason.length, reason.length);
    return WEIR_REFUSED;
}

/* The answer's bytes. */
static inline weir_bytes weir_finish_(weir_answer *answer) {
    weir_answer_room_(answer, 0);
    size_t end = answer->length, head = 2;
    if (!answer->refused) head += answer->messages < 16 ? 1 : answer->messages < 65536 ? 3 : 5;
    answer->length = WEIR_HEAD_BYTES_ - head;
    weir_bytes bytes = {answer->start + answer->length, end - answer->length};
    weir_write_array_(answer, 2);
    weir_write_number_(answer, 1, answer->refused);
    if (!answer->refused) weir_write_array_(answer, answer->messages);
    return bytes;
}

/* One event through a transform. */
static inline uint64_t weir_process_(weir_transform *transform, const uint8_t *at, uint32_t length) {
    weir_event event;
    weir_answer answer = {NULL, 0, 0, 0, false};
    if (!weir_read_event_(weir_bytes_(at, length), &event))
        weir_panic(weir_text("the event is not of the contract's shape"));
    if (transform(&event, &answer) != WEIR_OK && !answer.refused)
        weir_reject(&answer, weir_text("refused without a reason"));
    weir_bytes bytes = weir_finish_(&answer);
    return (uint64_t)(uintptr_t)bytes.at << 32 | (uint32_t)bytes.length;
}

#ifdef __cplusplus
}
#endif

#endif
