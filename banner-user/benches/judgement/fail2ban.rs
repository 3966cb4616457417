//! fail2ban's rule: five failures of an address within ten minutes ban it for ten minutes (its defaults `maxretry`, `findtime` and
//! `bantime`, jail.conf(5)). A login clears nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    net::Ipv4Addr,
};

use ipnet::IpNet;

use super::{rule::Rule, stream::Try};

const MAXRETRY: usize = 5;
const FINDTIME: u64 = 600;
const BANTIME: u64 = 600;

#[derive(Debug, Default)]
pub(crate) struct Fail2ban {
    failures: BTreeMap<Ipv4Addr, VecDeque<u64>>,
    banned_until: BTreeMap<Ipv4Addr, u64>,
    bans: Vec<(IpNet, u64, u64)>,
}

impl Rule for Fail2ban {
    fn is_banned(&mut self, source: Ipv4Addr, at: u64) -> bool {
        self.banned_until.get(&source).is_some_and(|until| *until > at)
    }

    fn answered(&mut self, tried: &Try) {
        if tried.succeeds {
            return;
        }
        let failures = self.failures.entry(tried.source).or_default();
        failures.push_back(tried.at);
        failures.retain(|at| at + FINDTIME >= tried.at);
        if failures.len() >= MAXRETRY {
            failures.clear();
            self.banned_until.insert(tried.source, tried.at + BANTIME);
            self.bans.push((IpNet::V4(tried.source.into()), tried.at, tried.at + BANTIME));
        }
    }

    fn bans(&mut self, end: u64) -> Vec<(IpNet, u64, u64)> {
        self.bans.iter().map(|(prefix, from, until)| (*prefix, *from, (*until).min(end.max(*from)))).collect()
    }
}
