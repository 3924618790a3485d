//! Sends every event on as it is.

use weir_sdk::{Event, Message, Result, transform};

transform!(identity);

fn identity(event: Event) -> Result<Message> {
    Ok(Message::new(event.payload).with_headers(event.headers))
}
