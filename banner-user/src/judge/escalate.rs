//! Longer bans for who was banned before, and from everything for who is banned again and again.

use std::{hash::Hasher as _, time::Duration};

use ipnet::IpNet;
use siphasher::sip::SipHasher13;

use super::{
    Judge,
    effect::Until,
    measure::Measure,
    origin::Origin,
    policy::{BanTime, Growth, Increment},
    prefixes::LEARNING,
    reason::Reason,
    report::Ended,
    window::earlier,
};
use crate::clock::LogTime;

impl Judge {
    /// Lets a ban grow by the former bans of what it bans. `first` is how long a first ban lasts, `at` when this one begins.
    /// Never makes it shorter than it is.
    pub(super) fn escalate(&self, first: BanTime, prefix: IpNet, observe: bool, at: LogTime, measure: &mut Measure) {
        let former = self.history.former(prefix, observe, at);
        // Who mistypes in an office does not come back for it: the next one does.
        if let Some(increment) = &self.policy.increment
            && former > 0
            && self.may_grow(increment.without_logins, at)
            && !self.is_shared(prefix)
        {
            let grown = match first {
                BanTime::For(first) => BanTime::For(increment.grown(first, former, prefix)),
                BanTime::Permanent => BanTime::Permanent,
            };
            if grown > measure.bantime {
                measure.bantime = grown;
                measure.reasons.push(Reason::BannedBefore { times: former });
            }
        }
        // Behind a customer's address there may be an office: many who mistype are not one who comes back.
        if let Some(recidive) = &self.policy.recidive
            && self.may_grow(recidive.without_logins, at)
            && !self.customers.is_customer(prefix)
        {
            let bans = self.history.lately(prefix, observe, at, recidive.findtime).saturating_add(1);
            if bans >= recidive.maxretry {
                measure.bantime = measure.bantime.max(BanTime::For(recidive.bantime));
                measure.services = measure.services.union(recidive.services);
                measure.reasons.push(Reason::Recidivist { bans });
            }
        }
    }

    /// Whether a ban may be longer for those before it: where it is known who logs in, and has been heard for a day. Else the first
    /// telephone with an old password would have an office or a carrier's whole gateway banned for a week. A configuration can have
    /// it otherwise, and then there is nothing to wait for where no log tells of logins.
    fn may_grow(&self, without_logins: bool, at: LogTime) -> bool {
        let tells_logins = self.policy.customers.is_some() && self.jails.iter().any(|jail| jail.jail.hears_logins);
        let has_learnt = || self.customers.heard_since().is_some_and(|since| since <= earlier(at, LEARNING));
        match without_logins {
            true => !tells_logins || has_learnt(),
            false => tells_logins && self.customers.since().is_some() && has_learnt(),
        }
    }

    /// A ban has ended: what that means for the history of what was banned.
    pub(super) fn note_in_history(
        &mut self,
        prefix: IpNet,
        origin: &Origin,
        (observe, until): (bool, Until),
        why: Ended,
    ) {
        let Some(offset) = self.offset else { return };
        if !matches!(origin, Origin::Jail(_)) {
            return;
        }
        let until = match until {
            Until::Boot(at) => offset.wall_at(at).as_log_time(),
            Until::Permanent => LogTime(i64::MAX),
        };
        match why {
            Ended::Expired | Ended::Recognised | Ended::Unlisted => {}
            Ended::ByHand | Ended::Protected(_) | Ended::Detached | Ended::Outage => {
                self.history.take_back(prefix, observe, until);
            }
            Ended::Yielded(_) | Ended::CannotProtect(_) => {
                let now = offset.wall_at(self.now).as_log_time();
                self.history.ended(prefix, observe, until, now);
            }
        }
    }
}

impl Increment {
    /// How long a ban lasts after so many former ones, at least one, where the first lasts `first`.
    fn grown(&self, first: Duration, former: u16, prefix: IpNet) -> Duration {
        let times = match &self.growth {
            Growth::Factor(factor) => u32::from(*factor).checked_pow(u32::from(former)),
            Growth::Multipliers(times) => times.get(usize::from(former)).or(times.last()).copied(),
        };
        let grown = times.and_then(|times| first.checked_mul(times)).unwrap_or(self.maxtime);
        grown.min(self.maxtime).saturating_add(self.jitter(former, prefix))
    }

    /// The same for the same ban, whenever it is judged.
    fn jitter(&self, former: u16, prefix: IpNet) -> Duration {
        let Some(span) = u64::try_from(self.rndtime.as_millis()).ok().and_then(|span| span.checked_add(1)) else {
            return Duration::ZERO;
        };
        let mut hasher = SipHasher13::new();
        std::hash::Hash::hash(&prefix, &mut hasher);
        hasher.write_u16(former);
        Duration::from_millis(hasher.finish().checked_rem(span).unwrap_or_default())
    }
}
