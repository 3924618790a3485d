//! The smallest transform: the same message in capitals. What the README shows.

use weir_sdk::{Event, Result, transform};

transform!(shout);

fn shout(event: Event) -> Result {
    Ok(vec![event.message(event.payload.to_ascii_uppercase())])
}

#[test]
fn it_shouts() {
    let messages = shout(Event::new("words", "quiet")).expect("it refuses nothing");
    assert_eq!(messages[0].payload, b"QUIET");
}
