//! The other sides of the benchmarks, written natively, as a good engineer would write them by hand, without
//! Weir.
//!
//! They are a program of their own, so that it can be built as such programs are: optimised as far as the
//! compiler goes, all dependencies too (the profile `native`). The load whose latencies are measured is here
//! for the same reason.

pub mod flights;
pub mod load;
pub mod relay;
