//! Reads the tree and keeps its invariants: which part may know which, the shape of files and functions, what
//! no code does, and what lies where. Each rule is a test that names file, line and what to do, and is also
//! held against a small tree that breaks it.
//!
//! Text is judged, not meaning: what a lint of the compiler can see is left to `.clippy.toml` and the
//! workspace's lints.

#[path = "tidy/architecture.rs"]
mod architecture;
#[path = "tidy/habits.rs"]
mod habits;
#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;
