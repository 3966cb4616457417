//! The kernel enforces without the daemon: whatever becomes of the process, a ban holds, ends on time, and is taken over.
//!
//! A stream of frames flows all the while, each of a banned source followed by one of an innocent source. What the server's TCP
//! got in the end must be the innocent frames, exactly: none of them was dropped, and no other came through.

mod detaching;
mod expiry;
mod restarting;
mod stream;
