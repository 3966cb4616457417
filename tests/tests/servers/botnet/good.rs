//! Somebody with the right passwords.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::{Answer, CommandLine as _},
    lab::{
        Lab,
        client::{Clients, Login, Mechanism, Outcome, Service, Transport},
    },
    patience::until,
};
use serde_json::Value;

/// Of both families, with names that are theirs.
const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x600d, 0, 0, 0, 0, 0x10))];

/// A household whose members log in while others attack. nftables count its packets where they leave its host, and where they come
/// out of the XDP program.
pub(super) struct GoodClient<'lab> {
    lab: &'lab Lab,
    /// One for each service.
    pub(super) users: [User; 3],
}

impl<'lab> GoodClient<'lab> {
    pub(super) fn new(lab: &'lab Lab) -> anyhow::Result<Self> {
        let users = [("alice", Service::Smtp), ("bob", Service::Imap), ("carol", Service::Pop3)]
            .map(|(name, service)| User { name, service, accepted: AtomicUsize::new(0), complaint: Mutex::new(None) });
        let good = Self { lab, users };
        let rules = ADDRESSES.map(|address| {
            let family = if address.is_ipv4() { "ip" } else { "ip6" };
            format!("{family} saddr {address} meta l4proto tcp counter name good;")
        });
        let rules = rules.concat();
        for (nft, hook) in [(good.nft_of_the_internet(), "output"), (good.nft_of_the_server(), "prerouting")] {
            let chain = format!("chain passing {{ type filter hook {hook} priority raw; {rules} }}");
            ask(nft, &format!("table inet lab {{ counter good {{ }}; {chain}; }}"))?;
        }
        Ok(good)
    }

    /// Waits until each user has logged in so many times.
    pub(super) fn await_logins(&self, count: usize) -> anyhow::Result<()> {
        self.users.iter().try_for_each(|user| {
            until(&format!("{} has logged in {count} times", user.name), || {
                user.complaint.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)?;
                Ok((user.accepted.load(Ordering::SeqCst) >= count).then_some(()))
            })
        })
    }

    /// Sees that every packet that it sent came through.
    pub(super) fn lost_nothing(&self) -> anyhow::Result<()> {
        let sent = count(self.nft_of_the_internet())?;
        ensure!(sent > 0, "it sent nothing");
        until(&format!("all {sent} packets of the good client come through"), || {
            Ok((count(self.nft_of_the_server())? == sent).then_some(()))
        })
    }

    /// Sees that banner knows no failure of it.
    pub(super) fn is_unsuspected(&self) -> anyhow::Result<()> {
        for address in ADDRESSES {
            let why = self.lab.banner(&format!("why {address} --json"))?.expect(1)?;
            let why: Value = serde_json::from_str(&why.stdout)?;
            ensure!(why.pointer("/failures") == Some(&Value::Array(Vec::new())), "{why}");
        }
        Ok(())
    }

    fn nft_of_the_server(&self) -> Command {
        self.lab.server.command("nft")
    }

    /// As the root has it.
    fn nft_of_the_internet(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.lab.network.internet.path())).arg("chroot").arg(&self.lab.root).arg("nft");
        command
    }
}

/// Somebody who uses one service.
pub(super) struct User {
    name: &'static str,
    service: Service,
    accepted: AtomicUsize,
    complaint: Mutex<Option<anyhow::Error>>,
}

impl User {
    /// Logs in from each address in turn, until it is over or a login is not accepted.
    pub(super) fn log_in_again_and_again(&self, clients: &Clients<'_>, is_over: &AtomicBool) {
        for from in ADDRESSES.into_iter().cycle() {
            if is_over.load(Ordering::SeqCst) {
                return;
            }
            if let Err(error) = self.log_in(clients, from) {
                *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return;
            }
            self.accepted.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn log_in(&self, clients: &Clients<'_>, from: IpAddr) -> anyhow::Result<()> {
        let attempt = clients.login(&Login {
            from,
            service: self.service,
            transport: Transport::Plain,
            mechanism: Mechanism::Plain,
            user: self.name.into(),
            password: b"secret".to_vec(),
        })?;
        ensure!(attempt.outcome == Outcome::Accepted, "{} from {from}: {attempt:?}", self.name);
        Ok(())
    }
}

fn count(nft: Command) -> anyhow::Result<u64> {
    let counters: Value = serde_json::from_str(&ask(nft, "list counters")?)?;
    counters.pointer("/nftables/1/counter/packets").and_then(Value::as_u64).with_context(|| format!("{counters}"))
}

fn ask(mut nft: Command, what: &str) -> anyhow::Result<String> {
    let answer = Answer::of(nft.args(["--json", what]))?;
    ensure!(answer.code == Some(0), "nft {what}: {answer:?}");
    Ok(answer.stdout)
}
