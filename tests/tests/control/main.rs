//! What an operator says to the daemon, by the command line and by HTTP, and what comes back.

#![expect(clippy::indexing_slicing, reason = "indexed by name, JSON answers null for what it does not have")]

mod answers;
mod hand;
mod hanging;
mod held;
mod http;
mod output;
mod phases;
mod socket;
