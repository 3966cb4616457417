//! A page of bans, made by two threads at once: while the server writes one slice, the loop looks up the next.
//!
//! A slice is what the loop does without looking at anything else; a page is what is asked for and sent at once. Were they the same,
//! each thread would wait for the other.

use std::time::Duration;

use tokio::{join, time::Instant};

use super::{
    Request,
    protocol::{Ban, BansPage, BansQuery, ErrorBody, ErrorKind, PAGE_MAX, Prefix},
    queue::{ANSWERED_WITHIN, Asker},
};

/// The most bans of one slice: about a millisecond of the loop's time.
pub const SLICE_MAX: u16 = 1000;

/// No further slice is asked for after so long, where the loop has other things to do: a shorter page is one, too.
const ENOUGH: Duration = Duration::from_secs(1);

/// The page that is asked for, as JSON: a [`BansPage`].
pub(super) async fn page(daemon: &Asker, query: &BansQuery) -> Result<Vec<u8>, ErrorBody> {
    let began = Instant::now();
    let slice = |after: Option<Prefix>, left: u16| {
        let query = BansQuery { after, limit: Some(left.min(SLICE_MAX)), ..query.clone() };
        daemon.ask(|reply| Request::Bans(query, reply), ANSWERED_WITHIN)
    };
    let mut left = query.limit.unwrap_or(PAGE_MAX);
    let mut page = Page::new();
    let mut current = slice(query.after, left).await?;
    loop {
        left = left.saturating_sub(u16::try_from(current.bans.len()).unwrap_or(u16::MAX));
        let BansPage { bans, next } = current;
        let Some(after) = next.filter(|_| left > 0 && began.elapsed() < ENOUGH) else {
            page.write(&bans)?;
            return page.end(next);
        };
        // In this order: the loop has been asked before anything is written.
        let (following, written) = join!(biased; slice(Some(after), left), async { page.write(&bans) });
        written?;
        match following {
            Ok(following) => current = following,
            // Whoever asks for the rest is told what is wrong.
            Err(_) => return page.end(Some(after)),
        }
    }
}

/// A [`BansPage`] that is written before all of it is there.
struct Page(Vec<u8>);

const BEGIN: &[u8] = br#"{"bans":["#;

impl Page {
    fn new() -> Self {
        Self(BEGIN.to_vec())
    }

    fn write(&mut self, bans: &[Ban]) -> Result<(), ErrorBody> {
        for ban in bans {
            if self.0.len() > BEGIN.len() {
                self.0.push(b',');
            }
            serde_json::to_writer(&mut self.0, ban).map_err(|error| unwritable(&error))?;
        }
        Ok(())
    }

    fn end(mut self, next: Option<Prefix>) -> Result<Vec<u8>, ErrorBody> {
        self.0.extend_from_slice(br#"],"next":"#);
        serde_json::to_writer(&mut self.0, &next).map_err(|error| unwritable(&error))?;
        self.0.push(b'}');
        Ok(self.0)
    }
}

fn unwritable(error: &serde_json::Error) -> ErrorBody {
    ErrorBody::new(ErrorKind::Unavailable, "a ban could not be written").because(error.to_string())
}
