//! The main job of the binary, end to end: what a mail server logs becomes packets that do not arrive.
//!
//! `banner run` guards a mail server in a namespace; lines as Postfix and Cyrus write them are appended to its log, and real TCP
//! connections say who still gets through.

#![expect(clippy::indexing_slicing, reason = "indexed by name, JSON answers null for what it does not have")]

mod counting;
mod enforcing;
mod following;
mod interface;
mod judging;
mod lists;
