//! Leaks state from one event into the next: each answer begins with how many events this instance has seen.
//! The payload `trap` makes it panic, and so costs it its memory.

use std::cell::Cell;

use weir_sdk::{Event, Message, Result, transform};

transform!(leaky);

thread_local! {
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

fn leaky(event: Event) -> Result<Message> {
    let seen = SEEN.get() + 1;
    SEEN.set(seen);
    assert_ne!(event.payload, b"trap", "asked to panic");
    Ok(Message::new([format!("{seen} ").as_bytes(), &event.payload].concat()))
}
