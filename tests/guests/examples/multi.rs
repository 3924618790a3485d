//! Sends none, one or three messages, by the event's sequence, and refuses what begins with `no`. What it
//! sends to begins with the event's headers and names the part. `c/multi.c` and `zig/multi.zig` give the same
//! answers.

use weir_sdk::{Event, Result, transform};

transform!(multi);

fn multi(event: Event) -> Result {
    if event.payload.starts_with(b"no") {
        return Err("the payload begins with no".into());
    }
    let count = [0, 1, 3][(event.sequence % 3) as usize];
    let part = |part: u8| {
        let payload = [event.payload.as_slice(), &[b'#', b'0' + part]].concat();
        event.message(payload).with_header("Part", part.to_string())
    };
    Ok((0..count).map(part).collect())
}
