//! The reference module in Rust: what the conformance suite asks of every SDK, by the subject's last token.

use weir_sdk::{Event, Message, Reject, Result, config_text, info, transform};

transform!(perform);

/// What one step of `memory` takes.
const STEP_BYTES: usize = 1 << 20;

fn perform(event: Event) -> Result {
    let operation = event.subject.rsplit('.').next().unwrap_or_default();
    Ok(match operation {
        "echo" => vec![event.message(event.payload.clone())],
        "upper" => vec![Message::new(event.payload.to_ascii_uppercase())],
        "none" => vec![],
        "many" => (0..event.text()?.parse::<u32>()?).map(|number| Message::new(number.to_string())).collect(),
        "subject" => vec![Message::new("").with_subject(event.text()?)],
        "facts" => vec![facts(&event)],
        "headers" => vec![event.message("").with_header("Added", "one").with_header("Added", "two")],
        "reject" => return Err(Reject::new(event.text()?)),
        "config" => vec![Message::new(config_text())],
        "log" => {
            info!("{}", event.text()?);
            vec![]
        }
        "throw" => panic!("{}", event.text()?),
        "memory" => exhaust(),
        "loop" => spin(),
        other => return Err(format!("unknown operation: {other}").into()),
    })
}

fn facts(event: &Event) -> Message {
    let Event { subject, sequence, timestamp_ns, headers, .. } = event;
    Message::new(format!("{subject}|{sequence}|{timestamp_ns}|{}", headers.len()))
}

/// Takes memory until there is no more, which ends the program.
fn exhaust() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1_u8; STEP_BYTES]));
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}
