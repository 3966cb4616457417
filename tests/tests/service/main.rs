//! banner as a service of systemd: what the unit in packaging/ says, what it takes from the daemon, and what the two tell each
//! other. Nothing of this needs systemd to be running: what it would do to a process, the tests do to theirs.

mod confined;
mod journal;
mod notifying;
mod sandbox;
mod unit;
mod verifying;
