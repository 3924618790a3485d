//! The broker against real servers: the newest nats-server and, where it is there, 2.9. One test binary.

mod chain;
mod connecting;
mod credentials;
mod embedded;
mod harness;
mod reading;
mod shared;
mod streams;
