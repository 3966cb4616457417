//! What an operator says to the daemon, by the command line and by HTTP, and what comes back.

mod answers;
mod hand;
mod output;
mod socket;
