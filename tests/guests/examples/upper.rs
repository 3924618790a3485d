//! Sends every event on in capitals, with its headers. `c/upper.c` gives the same answers.

use weir_sdk::{Event, Message, Result, transform};

transform!(upper);

fn upper(event: Event) -> Result<Message> {
    Ok(event.message(event.payload.to_ascii_uppercase()))
}
