//! The daemon with the systemd journal as its source, end to end: whose entries count, that each counts once whatever is killed,
//! rotated or removed meanwhile, and what the operator is told.

#![expect(clippy::indexing_slicing, reason = "indexed by name, JSON answers null for what it does not have")]

mod believing;
mod failing;
mod reloading;
mod restarting;
mod scene;
