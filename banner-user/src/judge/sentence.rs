//! What follows from the account that a failure was on, beside its counting in jails. In this order, the first that applies:
//!
//! 1. It is a **trap**: banned at once.
//! 2. **Spraying**: it is one of many accounts that the source has tried, and none of them has logged in from there.
//! 3. It is an **account under attack**, as are all that the source has tried, and nobody has logged in from there lately.
//!
//! The last two only where logins have been heard of for an hour: else nobody would have logged in, and an office in which five
//! people mistype in a day would be spraying.
//!
//! A failure on an account that has logged in from its source means none of this: whoever knows a password does not guess it.
//! Nor does one without a name, of a source that is ignored, or of too little weight to be a wrong password (but for a trap: its
//! name is enough). At a shared source, the first two are only told.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{
    BATCH, Judge,
    account::{AccountId, AccountTag},
    accounts::Network,
    effect::Effect,
    failure::Found,
    policy::{Accounts, Spraying},
    reason::Reason,
    recent::Aged,
    report::Report,
    saved::SavedSuspect,
    seconds::LogSeconds,
    suspects::{Suspect, TRIES_MAX, Try},
    traps::Traps,
};
use crate::{
    clock::Now,
    event::{Attempt, Weight},
};

/// Why a source is banned by one failure, and for how long at least.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    /// Not shorter than the jail's; zero where the jail decides.
    pub(super) bantime: Duration,
    pub(super) reason: Reason,
}

/// Who never logged in is known when logins have been heard of for so long: mail programs log in every few minutes. Not where
/// logs have no logins, and not when banner has just been installed.
const KNOWN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Reports about accounts under attack are this many an hour.
const TOLD_MAX: u32 = 20;

/// How often accounts under attack were told of lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    hour: u32,
    reports: u32,
    untold: u64,
}

impl Told {
    /// Where it may be told now: how many were not, since the last.
    fn due(&mut self, at: LogSeconds) -> Option<u64> {
        let hour = at.0 / 3600;
        if hour != self.hour {
            *self = Self { hour, reports: 0, ..*self };
        }
        if self.reports >= TOLD_MAX {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        self.reports = self.reports.saturating_add(1);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Judge {
    /// Notes which account a failure was on. What follows from that.
    pub(super) fn sentence(&mut self, found: &Found<'_>, now: Now, effects: &mut Vec<Effect>) -> Option<Sentence> {
        let account = found.account?;
        if self.policy.accounts.is_none() && self.policy.spraying.is_none() {
            return None;
        }
        let source = found.source;
        let is_known = self.customers.knows(source, account.tag());
        if is_known || self.ledger.protections().forbids(source, false).is_some() {
            return None;
        }
        let trap = self.trap(found.attempt, account, source, now, effects);
        let tried = if found.attempt.weight >= Weight::ONE {
            self.tried(source, account.tag(), found, now, effects)
        } else {
            None
        };
        let sentence = trap.or(tried)?;
        if !matches!(sentence.reason, Reason::UnderAttack { .. }) && self.is_shared(source) {
            if self.suspects.tell(source, now.wall.as_log_time().into()) {
                effects.push(Effect::Report(Report::Shared { source, reason: sentence.reason }));
            }
            return None;
        }
        Some(sentence)
    }

    /// Whether the account is a trap. One that has logged in is none, whatever the configuration says.
    fn trap(
        &mut self,
        attempt: &Attempt,
        account: AccountId,
        source: IpNet,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Option<Sentence> {
        let trap = Arc::clone(self.traps.find(attempt.user.as_ref()?)?);
        if self.customers.has_logged_in(account) {
            self.tell_of_trap(trap, now, effects);
            return None;
        }
        // Somebody there is a customer, who may have an old telephone: the jail's ban is enough.
        let bantime =
            self.policy.accounts.as_ref().filter(|_| !self.customers.is_customer(source)).map(|policy| policy.bantime);
        Some(Sentence { bantime: bantime.unwrap_or_default(), reason: Reason::Trap(trap) })
    }

    /// Tells of a trap that somebody has the password of.
    fn tell_of_trap(&mut self, trap: Arc<str>, now: Now, effects: &mut Vec<Effect>) {
        if self.trap_told.due(now.boot) {
            effects.push(Effect::Report(Report::TrapLogsIn { trap }));
        }
    }

    /// A wrong password was tried: notes that, and says what follows from all that the source has tried.
    fn tried(
        &mut self,
        source: IpNet,
        account: AccountTag,
        found: &Found<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Option<Sentence> {
        let now = LogSeconds::from(now.wall.as_log_time());
        let is_customer = self.customers.is_customer(source);
        let new = Try { account, at: found.at.into() };
        let (accounts, policy) = (&mut self.accounts, self.policy.accounts.as_ref().filter(|_| !is_customer));
        let name = found.attempt.user.as_ref();
        let mut begins = None;
        let suspect = self.suspects.note(source, new, self.policy.limits.sources, |suspect| {
            if let Some(policy) = policy
                && suspect.accounts(now.earlier(policy.window), |_| true) < TRIES_MAX
            {
                let enough = (usize::from(policy.sources), policy.window);
                let noted = accounts.note(account, name, Network::of(found.address), new.at, enough);
                begins = name.filter(|_| noted.begins);
                return noted.is_under_attack;
            }
            accounts.is_under_attack(account)
        });
        if let Some((name, policy)) = begins.zip(policy)
            && let Some(untold) = self.attacks_told.due(now)
        {
            let report = Report::AccountUnderAttack { account: name.clone(), networks: policy.sources, untold };
            effects.push(Effect::Report(report));
        }
        if !self.knows_who_logs_in(now) {
            return None;
        }
        self.spraying(source, &suspect, now)
            .or_else(|| if is_customer { None } else { self.under_attack(&suspect, now) })
    }

    /// Whether nothing heard of a source's logins means that there were none.
    fn knows_who_logs_in(&self, now: LogSeconds) -> bool {
        self.customers.since().is_some_and(|since| LogSeconds::from(since) <= now.earlier(KNOWN_AFTER))
    }

    /// Whether a source has tried too many accounts of which none has logged in from there.
    fn spraying(&self, source: IpNet, suspect: &Suspect, now: LogSeconds) -> Option<Sentence> {
        let Spraying { accounts, findtime, bantime } = self.policy.spraying.as_ref()?;
        let (start, enough) = (now.earlier(*findtime), usize::from(*accounts));
        if suspect.accounts(start, |_| true) < enough {
            return None; // Nearly always: nobody's logins are looked for.
        }
        let tried = suspect.accounts(start, |account| !self.customers.knows(source, account));
        let accounts = u16::try_from(tried).unwrap_or(u16::MAX);
        (tried >= enough).then_some(Sentence { bantime: *bantime, reason: Reason::Spraying { accounts } })
    }

    /// Whether a source from which nobody logs in has tried accounts under attack too often, and nothing else.
    fn under_attack(&self, suspect: &Suspect, now: LogSeconds) -> Option<Sentence> {
        let Accounts { maxretry, findtime, bantime, .. } = self.policy.accounts.as_ref()?;
        let tries =
            suspect.tries_under_attack(now.earlier(*findtime), |account| self.accounts.is_under_attack(account));
        let enough = if suspect.banned_until().is_some() { 1 } else { usize::from(*maxretry).max(2) };
        let failures = u16::try_from(tries).unwrap_or(u16::MAX);
        (tries >= enough).then_some(Sentence { bantime: *bantime, reason: Reason::UnderAttack { failures } })
    }

    /// Takes over what the policy says about accounts.
    pub(super) fn set_up_accounts(&mut self) {
        match &self.policy.accounts {
            Some(policy) => self.traps = Traps::new(&policy.traps),
            None => {
                self.traps = Traps::default();
                self.accounts.clear();
            }
        }
    }

    /// Takes over which accounts were tried in an earlier run, but for what has happened since the start: the state could not be
    /// opened then. What is under attack follows from it, and was told.
    pub(super) fn restore_suspects(&mut self, mut suspects: Vec<SavedSuspect>, now: Now) {
        // By age, as they came: each has its place at the end then.
        suspects.sort_by_key(|saved| saved.suspect.newest());
        let now = LogSeconds::from(now.wall.as_log_time());
        for SavedSuspect { source, suspect } in suspects {
            if !self.suspects.restore(source, suspect) {
                continue;
            }
            let Some(policy) = &self.policy.accounts else { continue };
            if self.customers.is_customer(source) {
                continue;
            }
            let (start, enough) = (now.earlier(policy.window), (usize::from(policy.sources), policy.window));
            for (tried, _) in suspect.tries().filter(|(tried, _)| tried.at >= start) {
                self.accounts.note(tried.account, None, Network::of(source.addr()), tried.at, enough);
            }
        }
        self.suspects.bound(self.policy.limits.sources);
    }

    /// Somebody logged in.
    pub(super) fn logged_in(&mut self, attempt: &Attempt, source: IpNet, now: Now, effects: &mut Vec<Effect>) {
        let Some(name) = &attempt.user else { return };
        if let Some(trap) = self.traps.find(name).cloned() {
            self.tell_of_trap(trap, now, effects);
        }
        self.accounts.forgive(AccountId::of(name).tag(), Network::of(source.addr()));
    }

    /// Remembers that a source is banned by a sentence.
    pub(super) fn sentenced(&mut self, source: IpNet, reason: &Reason, until: LogSeconds) {
        if matches!(reason, Reason::UnderAttack { .. }) {
            self.suspects.banned(source, until);
        }
    }

    /// Forgets tries that say nothing any more.
    pub(super) fn tidy_accounts(&mut self, now: Now) {
        let now = now.wall.as_log_time().into();
        let findtimes = [
            self.policy.accounts.as_ref().map(|policy| policy.findtime),
            self.policy.spraying.as_ref().map(|policy| policy.findtime),
        ];
        let findtime = findtimes.into_iter().flatten().max().unwrap_or_default();
        self.suspects.tidy(LogSeconds::earlier(now, findtime).as_log_time(), BATCH);
        let window = self.policy.accounts.as_ref().map_or(Duration::ZERO, |policy| policy.window);
        self.accounts.tidy(now, window, BATCH);
    }
}
