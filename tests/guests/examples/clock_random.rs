//! Asks for all that differs from run to run on an ordinary machine: both clocks, random numbers, the order
//! in which a hash map gives its keys, and the bits of a NaN.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Instant, SystemTime};

use weir_sdk::{Event, Message, Result, transform};

transform!(clock_random);

fn clock_random(event: Event) -> Result<Message> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let elapsed = Instant::now().elapsed().as_nanos();
    let random = RandomState::new().hash_one(event.sequence);
    let map: HashMap<u32, ()> = (0..32).map(|key| (key, ())).collect();
    let order: Vec<u32> = map.into_keys().collect();
    let nan = (black_box(0.0_f64) / black_box(0.0)).to_bits();
    Ok(Message::new(format!("{now} {elapsed} {random} {order:?} {nan:x}")))
}
