/* The reference module in C: does what the last token of the event's subject says, as the cases of
 * tests/conformance ask of every SDK. */
#include "weir.h"

static weir_status send_payload(weir_answer *answer, weir_bytes payload) {
    weir_message message = {.payload = payload};
    return weir_send(answer, &message);
}

static weir_status echo(const weir_event *event, weir_answer *answer) {
    weir_message message = weir_reply(event, event->payload);
    return weir_send(answer, &message);
}

static weir_status upper(const weir_event *event, weir_answer *answer) {
    return send_payload(answer, weir_upper(event->payload));
}

static weir_status none(const weir_event *event, weir_answer *answer) {
    (void)event, (void)answer;
    return WEIR_OK;
}

static weir_status many(const weir_event *event, weir_answer *answer) {
    unsigned count = 0;
    for (size_t i = 0; i < event->payload.length; i++) {
        uint8_t c = event->payload.at[i];
        if (c < '0' || c > '9') return weir_reject(answer, weir_text("the payload is not a number"));
        count = count * 10 + (c - '0');
    }
    for (unsigned i = 0; i < count; i++) send_payload(answer, weir_format("%u", i));
    return WEIR_OK;
}

static weir_status subject(const weir_event *event, weir_answer *answer) {
    weir_message message = {.subject = event->payload};
    return weir_send(answer, &message);
}

static weir_status facts(const weir_event *event, weir_answer *answer) {
    return send_payload(answer, weir_format("%.*s|%llu|%llu|%zu", WEIR_ARG(event->subject),
                                            (unsigned long long)event->sequence,
                                            (unsigned long long)event->timestamp_ns, event->headers.count));
}

static weir_status headers(const weir_event *event, weir_answer *answer) {
    weir_message message = {.headers = event->headers};
    message.headers = weir_with_header(message.headers, weir_text("Added"), weir_text("one"));
    message.headers = weir_with_header(message.headers, weir_text("Added"), weir_text("two"));
    return weir_send(answer, &message);
}

static weir_status reject(const weir_event *event, weir_answer *answer) {
    return weir_reject(answer, event->payload);
}

static weir_status config(const weir_event *event, weir_answer *answer) {
    (void)event;
    return send_payload(answer, weir_config());
}

static weir_status log_payload(const weir_event *event, weir_answer *answer) {
    (void)answer;
    weir_log(WEIR_INFO, event->payload);
    return WEIR_OK;
}

static weir_status throw_payload(const weir_event *event, weir_answer *answer) {
    (void)answer;
    weir_panic(event->payload);
}

static weir_status memory(const weir_event *event, weir_answer *answer) {
    (void)event, (void)answer;
    enum { STEP = 64 << 10 };
    for (;;) *(volatile uint8_t *)weir_take(STEP) = 1;
}

static weir_status loop(const weir_event *event, weir_answer *answer) {
    (void)event, (void)answer;
    for (volatile unsigned turns = 0;; turns++) {
    }
}

static const struct {
    const char *name;
    weir_transform *run;
} OPERATIONS[] = {
    {"echo", echo},       {"upper", upper},   {"none", none},     {"many", many},         {"subject", subject},
    {"facts", facts},     {"headers", headers}, {"reject", reject}, {"config", config},   {"log", log_payload},
    {"throw", throw_payload}, {"memory", memory}, {"loop", loop},
};

static weir_bytes last_token(weir_bytes subject) {
    size_t start = subject.length;
    while (start > 0 && subject.at[start - 1] != '.') start--;
    return (weir_bytes){subject.at + start, subject.length - start};
}

static weir_status operate(const weir_event *event, weir_answer *answer) {
    weir_bytes name = last_token(event->subject);
    for (size_t i = 0; i < sizeof OPERATIONS / sizeof *OPERATIONS; i++)
        if (weir_equal(name, weir_text(OPERATIONS[i].name))) return OPERATIONS[i].run(event, answer);
    return weir_reject(answer, weir_format("unknown operation: %.*s", WEIR_ARG(name)));
}

WEIR_TRANSFORM(operate)
