//! Selects and reshapes late flights by types, as one would write it in Rust.

use weir_sdk::{Event, Message, Result, transform};

transform!(late_flights);

fn late_flights(event: Event) -> Result<Option<Message>> {
    let selected = late_flights::select(&event.payload).map_err(|error| error.to_string())?;
    Ok(selected.map(Message::new))
}
