//! How answers look to people. Pure: an answer and a style in, text out. What was hostile is escaped already: every string is a
//! [`Text`](crate::control::protocol::Text).

mod bans;
mod columns;
mod matched;
mod outcome;
mod replay;
mod status;
mod style;
mod why;

pub(super) use bans::Listing;
pub(super) use matched::{MatchedListing, counted_line, explained, missed, overlong, totals, totals_json, unexplained};
pub(super) use outcome::{banned, detached, fuse, health, reloaded, unbanned};
pub(super) use replay::{BanTable, DifferenceTable, replayed, replayed_both};
pub(super) use status::{jail, status};
pub(super) use style::Style;
pub(super) use why::why;
