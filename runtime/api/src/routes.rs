//! The handlers, by what they are about. Each one reads the request, asks the node, and writes the answer;
//! what it needs to be allowed to is in `access`, what its errors look like is in `problem`.

pub(crate) mod health;
pub(crate) mod modules;
pub(crate) mod pipelines;
pub(crate) mod revisions;
pub(crate) mod shadow;
pub(crate) mod tags;
pub(crate) mod trace;
pub(crate) mod verification;
