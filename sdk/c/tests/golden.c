/* The header against the contract's golden vectors, and against what no host would send. A plain program:
 *
 *     cc -Wall -Wextra -o golden sdk/c/tests/golden.c && ./golden runtime/engine/testdata/wire.txt */
#include "../weir.h"

#include <assert.h>

typedef struct {
    char name[64];
    uint8_t bytes[1024];
    size_t length;
} vector;

static vector vectors[64];
static size_t vector_count;

static void read_vectors(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(2);
    }
    static char line[4096];
    while (fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (line[0] == '#' || !colon) continue;
        assert(vector_count < sizeof vectors / sizeof *vectors);
        vector *v = &vectors[vector_count++];
        snprintf(v->name, sizeof v->name, "%.*s", (int)(colon - line), line);
        unsigned byte;
        for (char *at = colon + 2; sscanf(at, "%2x", &byte) == 1; at += 2) v->bytes[v->length++] = (uint8_t)byte;
    }
    fclose(file);
}

static weir_bytes golden(const char *name) {
    for (size_t i = 0; i < vector_count; i++)
        if (strcmp(vectors[i].name, name) == 0) return weir_bytes_(vectors[i].bytes, vectors[i].length);
    fprintf(stderr, "there is no vector %s\n", name);
    exit(1);
}

static weir_event event_of(const char *name) {
    weir_event event;
    if (weir_read_event_(golden(name), &event)) return event;
    fprintf(stderr, "%s is not read\n", name);
    exit(1);
}

static bool is(weir_bytes bytes, const char *text) { return weir_equal(bytes, weir_text(text)); }

static void events_are_read(void) {
    weir_event plain = event_of("event-plain");
    assert(is(plain.subject, "orders.new") && is(plain.payload, "hello"));
    assert(plain.headers.count == 3 && is(plain.headers.at[1].name, "a") && is(plain.headers.at[1].value, "2"));
    assert(is(weir_header_value(plain.headers, "a"), "1") && is(weir_header_value(plain.headers, "b"), ""));
    assert(!weir_header_value(plain.headers, "c").at);
    assert(plain.sequence == 7 && plain.timestamp_ns == 1700000000000000000u);

    weir_event empty = event_of("event-empty");
    assert(is(empty.subject, "s") && empty.payload.length == 0 && empty.headers.count == 0);
    assert(empty.sequence == 1 && empty.timestamp_ns == 0);

    weir_event large = event_of("event-long");
    assert(large.subject.length == 40 && large.payload.length == 300 && large.payload.at[299] == 0xff);
    assert(large.sequence == 65536 && large.timestamp_ns == UINT64_MAX);
}

/* Each event cut off anywhere, and each with one byte altered: read or not, never beyond its end. */
static void damaged_events_are_not_read_beyond_their_end(void) {
    const char *names[] = {"event-plain", "event-empty", "event-long"};
    for (size_t i = 0; i < 3; i++) {
        weir_bytes whole = golden(names[i]);
        for (size_t length = 0; length < whole.length; length++) {
            uint8_t *exact = malloc(length + 1);
            memcpy(exact, whole.at, length);
            weir_event event;
            assert(!weir_read_event_(weir_bytes_(exact, length), &event));
            free(exact);
        }
        for (size_t at = 0; at < whole.length; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                uint8_t *exact = malloc(whole.length);
                memcpy(exact, whole.at, whole.length);
                exact[at] = (uint8_t)byte;
                weir_event event;
                weir_read_event_(weir_bytes_(exact, whole.length), &event);
                free(exact);
                weir_reset_();
            }
    }
}

static void answers_are_written(void) {
    weir_answer none = {0};
    assert(weir_equal(weir_finish_(&none), golden("answer-none")));

    weir_answer refusal = {0};
    weir_message lost = {.payload = weir_text("lost")};
    weir_send(&refusal, &lost);
    assert(weir_reject(&refusal, weir_text("no amount")) == WEIR_REFUSED);
    assert(weir_send(&refusal, &lost) == WEIR_REFUSED);
    assert(weir_equal(weir_finish_(&refusal), golden("answer-reject")));

    weir_answer two = {0};
    weir_headers none_yet = {0};
    weir_message first = {weir_text("out.a"), weir_text("hello"),
                          weir_with_header(none_yet, weir_text("k"), weir_text("v"))};
    weir_message second = {0};
    assert(weir_send(&two, &first) == WEIR_OK && weir_send(&two, &second) == WEIR_OK);
    assert(weir_equal(weir_finish_(&two), golden("answer-two")));
}

/* Lengths around where MessagePack takes another form, read back by the reader for events. */
static void every_length_is_written_in_its_form(void) {
    size_t lengths[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        weir_reset_();
        uint8_t *many = memset(weir_take(lengths[i]), 'x', lengths[i]);
        weir_answer answer = {0};
        weir_message message = {.payload = {many, lengths[i]}};
        message.headers = weir_with_header(message.headers, weir_text("n"), message.payload);
        weir_send(&answer, &message);
        weir_bytes bytes = weir_finish_(&answer);
        weir_reader_ reader = {bytes.at, bytes.length, false};
        assert(weir_read_array_(&reader) == 2 && weir_read_uint_(&reader) == 0 && weir_read_array_(&reader) == 1);
        assert(weir_read_array_(&reader) == 3 && weir_read_number_(&reader, 1) == 0xc0);
        assert(weir_equal(weir_read_binary_(&reader), message.payload));
        weir_headers headers = weir_read_headers_(&reader);
        assert(headers.count == 1 && weir_equal(headers.at[0].value, message.payload));
        assert(!reader.bad && reader.left == 0);
    }
    size_t counts[] = {15, 16, 65535, 65536};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        weir_reset_();
        weir_answer answer = {0};
        weir_message message = {0};
        for (size_t sent = 0; sent < counts[i]; sent++) weir_send(&answer, &message);
        weir_bytes bytes = weir_finish_(&answer);
        weir_reader_ reader = {bytes.at, bytes.length, false};
        assert(weir_read_array_(&reader) == 2 && weir_read_uint_(&reader) == 0);
        assert(weir_read_array_(&reader) == counts[i] && reader.left == counts[i] * 5);
    }
}

static void text_is_formatted(void) {
    weir_bytes part = {(const uint8_t *)"p\0rtial", 4};
    assert(weir_equal(weir_format("%.*s", WEIR_ARG(part)), part));
    part.at += 2;
    assert(is(weir_format("%s %.*s %c %d %u %x %% %lld %llu %zu", "all", WEIR_ARG(part), 'c', -7, 8u, 255u,
                          (long long)INT64_MIN, (unsigned long long)UINT64_MAX, (size_t)0),
              "all rtia c -7 8 ff % -9223372036854775808 18446744073709551615 0"));
    assert(is(weir_upper(weir_text("az AZ \xc3\xa9 {`")), "AZ AZ \xc3\xa9 {`"));
}

static void a_reason_is_text(void) {
    static const struct {
        const char *from, *to;
    } reasons[] = {
        {"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"},
        {"a\xffz", "a?z"},
        {"\xc0\x80 \xe0\x9f\x80", "?? ???"},
        {"\xed\xa0\x80 \xf4\x90\x80\x80", "??? ????"},
        {"cut \xe2\x82", "cut ??"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        weir_answer answer = {0};
        weir_reject(&answer, weir_text(reasons[i].from));
        weir_bytes bytes = weir_finish_(&answer);
        assert(is(weir_bytes_(bytes.at + 3, bytes.length - 3), reasons[i].to));
    }
}

static void memory_is_handed_out_again(void) {
    weir_reset_();
    uint8_t *first = weir_take(1);
    assert((uintptr_t)first % 16 == 0 && (uint8_t *)weir_take(0) == first + 16);
    memset(weir_take(10 << 20), 1, 10 << 20);
    weir_block_ *blocks = weir_memory_.first;
    for (int event = 0; event < 256; event++) {
        weir_reset_();
        assert(weir_take(1) == first);
        memset(weir_take(10 << 20), 1, 10 << 20);
    }
    size_t count = 0;
    for (; blocks; blocks = blocks->next) count++;
    assert(count <= 10);
}

static void configuration_is_read(void) {
    assert(weir_config().length == 0);
    weir_test_config = "{\"n\":1}";
    assert(is(weir_config(), "{\"n\":1}"));
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: golden wire.txt\n");
        return 2;
    }
    read_vectors(arguments[1]);
    events_are_read();
    damaged_events_are_not_read_beyond_their_end();
    answers_are_written();
    every_length_is_written_in_its_form();
    text_is_formatted();
    a_reason_is_text();
    memory_is_handed_out_again();
    configuration_is_read();
    printf("weir.h: 8 tests passed\n");
    return 0;
}
