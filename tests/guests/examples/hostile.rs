//! Misbehaves as its payload says; anything else it sends on. Each word is one kind of guest fault. What only
//! a core module can do wrong is in `c/hostile.c`.

use std::hint::black_box;

use weir_sdk::{Event, Message, Result, info, transform};

transform!(hostile);

fn hostile(event: Event) -> Result {
    let plain = || Message::new("x");
    Ok(match event.text()? {
        "panic" => panic!("asked to panic"),
        "divide" => vec![Message::new(vec![1 / black_box(0_u8)])],
        "loop" => forever(),
        "memory" => grow(),
        "stack" => vec![Message::new(deep(u64::MAX).to_le_bytes())],
        "exit" => std::process::exit(3),
        "socket" => {
            let refused = std::net::TcpStream::connect(("127.0.0.1", 1)).is_err();
            vec![Message::new(refused.to_string())]
        }
        "reject" => return Err("asked to refuse\r\non two lines".into()),
        "giant" => vec![Message::new(vec![b'x'; 16 << 20])],
        "record" => vec![Message::new(vec![b'x'; 2 << 20])],
        "many" => vec![plain(); 2_000],
        "header" => vec![plain().with_header("two words", "x")],
        "value" => vec![plain().with_header("name", "a\r\nInjected: b")],
        "reserved" => vec![plain().with_header("Nats-Msg-Id", "x")],
        "subject" => vec![plain().with_subject("a..b")],
        "outside" => vec![plain().with_subject("elsewhere.x")],
        "chatter" => {
            (0..100_000).for_each(|line| info!("line {line} of far too many"));
            vec![plain()]
        }
        text => vec![Message::new(text)],
    })
}

fn forever() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn grow() -> Vec<Message> {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

fn deep(left: u64) -> u64 {
    if left == 0 { 0 } else { deep(black_box(left) - 1).wrapping_add(left) }
}
