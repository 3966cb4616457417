//! Whether what was seen is what should have been.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};

use crate::{
    clock::TOLERANCE,
    expected::{Deeds, Lift, OtherBan},
    sources::{MAXRETRY, Source, key},
    traffic::Knock,
    watch::{Seen, Sight},
};

/// Everything that was done and seen, in times since boot.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) sources: Vec<Source>,
    pub(crate) bantime: Duration,
    pub(crate) deeds: Deeds,
    pub(crate) sight: Sight,
    pub(crate) knocks: Vec<Knock>,
}

/// What it came to, where all is well.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) bans: usize,
    /// Bans after whose end packets came through again.
    pub(crate) ended: usize,
    pub(crate) below_the_limit: usize,
    pub(crate) dropped: usize,
    pub(crate) passed: usize,
}

/// When packets of a source have to be dropped.
#[derive(Clone, Copy, Debug)]
struct Ban {
    /// Not before this.
    earliest: Duration,
    /// From then on.
    surely: Duration,
    /// Until then; none for ever.
    until: Option<Duration>,
    lift: Option<Lift>,
}

/// What a knock should have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passed,
    Dropped,
    /// It fell into a moment in which both is right.
    Either,
}

/// How many complaints are shown; the rest is counted.
const SHOWN: usize = 12;

impl Evidence {
    /// Sees that every source over the limit was banned once and for as long as it should be, nobody else was, and no packet
    /// came through or was dropped that should not.
    pub(crate) fn judge(&self) -> anyhow::Result<Tally> {
        let mut complaints: Vec<String> = self.sight.wrong.iter().map(|wrong| format!("{wrong:?}")).collect();
        let mut bans = BTreeMap::new();
        let mut tally = Tally::default();
        for source in &self.sources {
            match self.ban(source) {
                Ok(Some(ban)) => drop(bans.insert(key(source.address), ban)),
                Ok(None) => tally.below_the_limit += 1,
                Err(error) => complaints.push(format!("{error:#}")),
            }
        }
        for other in &self.deeds.other_bans {
            match self.other_ban(other) {
                Ok(ban) => drop(bans.insert(key(other.source), ban)),
                Err(error) => complaints.push(format!("{error:#}")),
            }
        }
        tally.bans = bans.len();
        for unknown in self.sight.seen.keys().filter(|seen| !self.is_known(**seen)) {
            complaints.push(format!("{unknown} is banned, who has done nothing"));
        }
        let mut ended: BTreeMap<IpAddr, ()> = BTreeMap::new();
        for knock in &self.knocks {
            let ban = bans.get(&key(knock.source));
            match (self.fate(knock, ban), knock.is_answered) {
                (Fate::Passed, false) => complaints.push(format!("dropped, and should not be: {knock:?}, {ban:?}")),
                (Fate::Dropped, true) => complaints.push(format!("came through, and should not: {knock:?}, {ban:?}")),
                (Fate::Passed, true) => {
                    tally.passed += 1;
                    if ban.is_some_and(|ban| ban.until.is_some_and(|until| knock.sent > until)) {
                        ended.insert(knock.source, ());
                    }
                }
                (Fate::Dropped, false) => tally.dropped += 1,
                (Fate::Either, _) => {}
            }
        }
        tally.ended = ended.len();
        if complaints.is_empty() { Ok(tally) } else { bail!(shown(&complaints)) }
    }

    /// The ban of a source that has reached the limit; none of another, which must not be banned.
    fn ban(&self, source: &Source) -> anyhow::Result<Option<Ban>> {
        let Source { address, .. } = source;
        let lift = self.lift(*address);
        let seen = self.sight.seen.get(&key(*address));
        let Some(at) = source.over_the_limit() else {
            let failures = source.written.len();
            ensure!(
                seen.is_none(),
                "{address} failed {failures} of {MAXRETRY} times and was banned: {seen:?}, {source:?}"
            );
            return Ok(None);
        };
        // Lifted before anybody looked.
        if let (None, Some(lift)) = (seen, lift) {
            return Ok(Some(Ban { earliest: at, surely: lift.asked, until: None, lift: Some(lift) }));
        }
        let seen =
            seen.with_context(|| format!("{address} failed {MAXRETRY} times and was never banned: {source:?}"))?;
        ensure!(seen.from >= at, "{address} was banned before its last failure: {seen:?}, {source:?}");
        self.lasts(*address, seen, (at, seen.from), Some(self.bantime)).with_context(|| format!("{source:?}"))?;
        Ok(Some(Ban { earliest: at, surely: seen.from, until: seen.until, lift }))
    }

    fn other_ban(&self, other: &OtherBan) -> anyhow::Result<Ban> {
        let OtherBan { source, asked, answered, waits, length } = *other;
        let seen = self.sight.seen.get(&key(source));
        let lift = self.lift(source);
        let Some(seen) = seen else {
            ensure!(lift.is_some(), "{source} is banned, and not in the kernel: {other:?}");
            return Ok(Ban { earliest: asked, surely: answered, until: None, lift });
        };
        self.lasts(source, seen, (asked, answered), length).with_context(|| format!("{other:?}"))?;
        let surely = if waits { seen.from.max(answered) } else { answered };
        Ok(Ban { earliest: asked, surely, until: seen.until, lift })
    }

    /// Sees that a ban that began between these times has the end that it should have, and was not over before.
    fn lasts(
        &self,
        source: IpAddr,
        seen: &Seen,
        began: (Duration, Duration),
        length: Option<Duration>,
    ) -> anyhow::Result<()> {
        let lift = self.lift(source);
        match (seen.until, length) {
            (None, None) => {}
            (Some(until), Some(length)) => {
                let earliest = (began.0 + length).saturating_sub(TOLERANCE);
                let latest = began.1 + length + TOLERANCE;
                ensure!(
                    (earliest..=latest).contains(&until),
                    "the ban of {source} ends at {until:?}, and should between {earliest:?} and {latest:?}: {seen:?}"
                );
            }
            ends => bail!("the ban of {source} ends where it should not, or does not where it should: {ends:?}"),
        }
        match (seen.gone, lift) {
            (Some(gone), Some(lift)) if gone >= lift.asked => {}
            (None, Some(lift)) => bail!("the ban of {source} was lifted, and is still there: {seen:?}, {lift:?}"),
            (Some(gone), _) => ensure!(
                seen.until.is_some_and(|until| gone + TOLERANCE >= until),
                "the ban of {source} was gone at {gone:?}, before its end: {seen:?}"
            ),
            (None, None) => {}
        }
        Ok(())
    }

    fn fate(&self, knock: &Knock, ban: Option<&Ban>) -> Fate {
        let Some(ban) = ban else { return Fate::Passed };
        let Knock { sent, dealt_with, .. } = *knock;
        let is_over = ban.until.is_some_and(|until| sent > until + TOLERANCE);
        let is_lifted = ban.lift.is_some_and(|lift| sent > lift.answered);
        if dealt_with < ban.earliest || is_over || is_lifted {
            return Fate::Passed;
        }
        let holds = sent > ban.surely
            && ban.until.is_none_or(|until| dealt_with + TOLERANCE < until)
            && ban.lift.is_none_or(|lift| dealt_with < lift.asked)
            && !self.deeds.gaps.iter().any(|gap| dealt_with >= gap.from && sent <= gap.until);
        if holds { Fate::Dropped } else { Fate::Either }
    }

    fn lift(&self, source: IpAddr) -> Option<Lift> {
        self.deeds.lifts.iter().find(|lift| lift.source == source).copied()
    }

    fn is_known(&self, banned: IpAddr) -> bool {
        let sources = self.sources.iter().map(|source| source.address);
        let mut all = sources.chain(self.deeds.other_bans.iter().map(|other| other.source));
        all.any(|source| key(source) == banned)
    }
}

fn shown(complaints: &[String]) -> String {
    let mut text = format!("{} things are wrong:", complaints.len());
    for complaint in complaints.iter().take(SHOWN) {
        // Writing to a String cannot fail.
        let _: std::fmt::Result = write!(text, "\n- {complaint}");
    }
    text
}
