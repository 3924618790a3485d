// The header in C++: it has to compile, with all warnings on.
#include "../weir.h"

static weir_status transform(const weir_event *event, weir_answer *answer) {
    weir_message message = weir_reply(event, weir_upper(event->payload));
    return weir_send(answer, &message);
}

WEIR_TRANSFORM(transform)
