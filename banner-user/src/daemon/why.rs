//! The whole story of one address: `banner why`.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use tokio::time::timeout;

use super::{Daemon, answer::refused_by_kernel, view};
use crate::{
    clock::Now,
    control::{
        Reply,
        protocol::{self, ErrorBody, HISTORY_MAX, Network, Prefix, Standing, Text, Why},
    },
    judge,
};

/// How long an answer waits for what the disk knows; then it says that it does not know.
const HISTORY_WITHIN: Duration = Duration::from_secs(2);

impl Daemon {
    /// What is in force is known here, what has ended only on disk: that is waited for beside the loop.
    pub(super) fn tell_why(&self, address: IpAddr, reply: Reply<Why>) {
        let why = match self.why(address) {
            Ok(why) => why,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let around = IpNet::from(why.address);
        let around = (0..=around.prefix_len()).filter_map(|length| IpNet::new(why.address, length).ok());
        let history = self.saving.store().history(around.map(|net| net.trunc()).collect(), HISTORY_MAX);
        tokio::spawn(async move {
            let mut why = why;
            match timeout(HISTORY_WITHIN, history).await {
                Ok(Ok(Ok(past))) => {
                    let is_in_force = |prefix, origin: &judge::Origin| {
                        let (origin, jail) = view::origin(origin);
                        why.bans.iter().any(|ban| ban.prefix == prefix && ban.origin == origin && ban.jail == jail)
                    };
                    let causes = past.causes.iter().filter(|(prefix, origin, _)| is_in_force((*prefix).into(), origin));
                    why.causes = causes.map(|(prefix, origin, cause)| view::cause(*prefix, origin, cause)).collect();
                    why.history = past.bans.into_iter().map(view::past).collect();
                }
                Ok(Ok(Err(error))) => why.history_unknown = Some(Text::from(error.to_string())),
                Ok(Err(_)) | Err(_) => why.history_unknown = Some("the disk has not answered".into()),
            }
            let _ = reply.send(Ok(why));
        });
    }

    fn why(&self, address: IpAddr) -> Result<Why, ErrorBody> {
        let now = Now::read();
        let why = self.judge.why(address);
        let shown = why.bans.iter().map(|ban| view::ban(ban, self.enforcer.kernel_ref(), &self.config.services, now));
        let failures = why.evidence.iter().flat_map(|evidence| &evidence.failures);
        let tallies = why
            .tallies
            .iter()
            .zip(&self.config.policy.jails)
            .filter(|(tally, _)| tally.failures > 0 || tally.protection.is_some());
        // A ban that --force made over a protection holds all the same.
        let forced = why.bans.iter().any(|ban| ban.forced);
        Ok(Why {
            address: why.address,
            source: why.source.into(),
            protected: why.protections.first().filter(|_| !forced).map(|protection| Text::from(protection.to_string())),
            bans: shown.collect::<Result<_, _>>().map_err(|error| refused_by_kernel(&error))?,
            tally: tallies
                .map(|(tally, jail)| protocol::Tally {
                    jail: Text::from(&*tally.jail),
                    failures: protocol::Failures::of_quarters(tally.failures.into()),
                    weighed: Some(protocol::Failures::of_quarters(tally.weighed.into())),
                    maxretry: jail.maxretry,
                    findtime: jail.findtime.as_secs(),
                    bantime: Some(view::ban_time(tally.bantime)),
                    reasons: view::reasons(&tally.reasons),
                    protected: tally.protection.map(|protection| Text::from(protection.to_string())),
                })
                .collect(),
            failures: failures.map(|failure| view::failure(failure, self.source_name(failure.position.file))).collect(),
            newest_line: why.evidence.map(|evidence| Text::escape(&evidence.line)),
            failures_while_banned: why.bans.iter().map(|ban| u64::from(ban.late)).sum(),
            causes: Vec::new(),
            standing: standing(why.standing),
            network: network(&why),
            history: Vec::new(),
            history_unknown: None,
            remedies: remedies(&why, now),
        })
    }
}

fn standing(standing: judge::status::Standing) -> Standing {
    let judge::status::Standing { is_customer, accounts, is_shared, is_spared, tried, attacked, banned_before } =
        standing;
    Standing {
        customer: is_customer,
        accounts: accounts as u64,
        shared: is_shared,
        spared: is_spared && is_customer,
        tried: tried as u64,
        attacked: attacked as u64,
        banned_before: banned_before.into(),
    }
}

/// The prefix around a source; where it is banned, those for whom it was.
fn network(why: &judge::status::Why<'_>) -> Option<Network> {
    let around = why.neighbourhood.as_ref()?;
    let banned = why.bans.iter().find(|ban| ban.prefix == around.prefix);
    let members = match banned {
        Some(ban) => ban.members.iter().map(|member| Prefix::from(*member)).collect(),
        None => around.members.iter().map(|(member, _)| Prefix::from(*member)).collect(),
    };
    Some(Network { prefix: around.prefix.into(), members, limit: around.limit.into(), customers: around.customers })
}

/// What would let a banned address in.
fn remedies(why: &judge::status::Why<'_>, now: Now) -> Vec<Text> {
    let mut remedies = Vec::new();
    for ban in &why.bans {
        let prefix = Prefix::from(ban.prefix);
        match &ban.origin {
            judge::Origin::List(name) => {
                remedies.push(format!(
                    "take {prefix} out of the file of list {name}, or put {} into ignoreip",
                    why.address
                ));
            }
            judge::Origin::Hand | judge::Origin::Adopted | judge::Origin::Jail(_) => {
                let end = view::end(ban.until, now)
                    .map(|end| format!("; by itself it ends at {}", end.0))
                    .unwrap_or_default();
                let what = if ban.members.is_empty() { prefix } else { why.address.into() };
                let others =
                    if ban.members.is_empty() { "" } else { ", which keeps the others banned for whom it was made" };
                remedies.push(format!("banner unban {what}{others}{end}"));
            }
        }
    }
    let by_jail = |ban: &judge::status::Ban| matches!(ban.origin, judge::Origin::Jail(_));
    if why.bans.iter().any(by_jail) {
        let source = Prefix::from(why.source);
        remedies.push(format!("put {source} into ignoreip and `banner reload`, if no jail is ever to ban it again"));
    }
    remedies.into_iter().map(Text::from).collect()
}
