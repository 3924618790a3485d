//! What the receipts of a run or of a range of a chain come to: counts, and one digest of all that was read
//! and one of all that was written.
//!
//! Each of the two digests is chained from receipt to receipt, so it can be gone on with from its value
//! alone, and anybody who has the receipts can make it again.

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestBuilder};
use crate::receipt::Receipt;

/// The sum of some receipts that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// How many receipts there are.
    pub receipts: u64,
    /// How many events were read.
    pub events: u64,
    /// How many messages were written.
    pub messages: u64,
    /// How many dead letters were written.
    pub dead_letters: u64,
    /// The digest of all inputs: of the one before and the receipt's own, as raw bytes, from 32 zeros on.
    pub inputs: Digest,
    /// The digest of all outputs, made in the same way.
    pub outputs: Digest,
}

impl Totals {
    /// The sum of no receipts.
    pub const NONE: Self = Self {
        receipts: 0,
        events: 0,
        messages: 0,
        dead_letters: 0,
        inputs: Digest::from_raw([0; 32]),
        outputs: Digest::from_raw([0; 32]),
    };

    /// Adds the next receipt.
    pub fn add(&mut self, receipt: &Receipt) {
        self.receipts += 1;
        self.events += receipt.events;
        self.messages += receipt.messages;
        self.dead_letters += receipt.dead_letters;
        self.inputs = chained(self.inputs, receipt.inputs);
        self.outputs = chained(self.outputs, receipt.outputs);
    }
}

fn chained(before: Digest, next: Digest) -> Digest {
    let mut digest = DigestBuilder::new();
    digest.update(before.as_raw());
    digest.update(next.as_raw());
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(outputs: &[u8]) -> Receipt {
        Receipt {
            version: 1,
            pipeline: "p".parse().expect("a name"),
            unit_start: 1,
            first_sequence: 1,
            last_sequence: 3,
            events: 3,
            inputs: Digest::of(b"in"),
            plan: Digest::of(b"plan"),
            engine: "e".into(),
            messages: 2,
            dead_letters: 1,
            outputs: Digest::of(outputs),
            previous: None,
        }
    }

    #[test]
    fn totals_depend_on_every_receipt_and_on_their_order() {
        let sum = |outputs: &[&[u8]]| {
            let mut totals = Totals::NONE;
            outputs.iter().for_each(|outputs| totals.add(&receipt(outputs)));
            totals
        };
        let both = sum(&[b"a", b"b"]);
        assert_eq!((both.receipts, both.events, both.messages, both.dead_letters), (2, 6, 4, 2));
        assert_ne!(both.outputs, sum(&[b"b", b"a"]).outputs);
        assert_eq!(both.inputs, sum(&[b"b", b"a"]).inputs);
        let mut bytes = vec![0; 32];
        bytes.extend(Digest::of(b"a").as_raw());
        assert_eq!(sum(&[b"a"]).outputs, Digest::of(&bytes));
    }
}
