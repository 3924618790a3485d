//! The randomness that a guest gets: a stream of bytes made from the module's digest and the event's
//! sequence.
//!
//! Block *n* of an event is `SHA-256("weir-random-1" ‖ digest ‖ sequence ‖ n)`, with the digest's 32 raw
//! bytes and both numbers as eight little-endian bytes; *n* counts from 0. While an instance starts, the
//! sequence is 0, which no event has.

use model::{Digest, DigestBuilder};

const DOMAIN: &[u8] = b"weir-random-1";

pub(crate) struct Random {
    module: Digest,
    sequence: u64,
    blocks: u64,
    block: [u8; 32],
    used: usize,
}

impl Random {
    pub(crate) fn new(module: Digest) -> Self {
        Self { module, sequence: 0, blocks: 0, block: [0; 32], used: 32 }
    }

    /// Starts the stream of an event. Costs nothing until bytes are asked for.
    pub(crate) fn restart(&mut self, sequence: u64) {
        (self.sequence, self.blocks, self.used) = (sequence, 0, 32);
    }

    pub(crate) fn fill(&mut self, target: &mut [u8]) {
        let mut target = target;
        while !target.is_empty() {
            if self.used == self.block.len() {
                self.next_block();
            }
            let count = target.len().min(self.block.len() - self.used);
            let (now, later) = target.split_at_mut(count);
            now.copy_from_slice(&self.block[self.used..self.used + count]);
            self.used += count;
            target = later;
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn next_block(&mut self) {
        let mut digest = DigestBuilder::new();
        digest.update(DOMAIN);
        digest.update(self.module.as_raw());
        digest.number(self.sequence);
        digest.number(self.blocks);
        self.block = *digest.finish().as_raw();
        self.blocks += 1;
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(sequence: u64, cuts: &[usize]) -> Vec<u8> {
        let mut random = Random::new(Digest::of(b"module"));
        random.restart(sequence);
        let mut all = Vec::new();
        for cut in cuts {
            let mut part = vec![0; *cut];
            random.fill(&mut part);
            all.extend(part);
        }
        all
    }

    #[test]
    fn the_stream_is_the_documented_one_however_it_is_cut() {
        let block = |n: u64| {
            let mut input = b"weir-random-1".to_vec();
            input.extend(Digest::of(b"module").as_raw());
            input.extend(7_u64.to_le_bytes());
            input.extend(n.to_le_bytes());
            *Digest::of(&input).as_raw()
        };
        let expected = [block(0), block(1)].concat();
        assert_eq!(bytes(7, &[64]), expected);
        assert_eq!(bytes(7, &[1, 30, 2, 0, 31]), expected);
        assert_ne!(bytes(8, &[64]), expected);
    }
}
