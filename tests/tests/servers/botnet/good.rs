//! Somebody with the right password.

use std::{
    net::IpAddr,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::Answer,
    lab::{
        Lab,
        client::{Clients, Login, Mechanism, Outcome, Service, Transport},
    },
    patience::until,
};
use serde_json::Value;

/// Logs in while others attack. nftables count its packets where they leave its host, and where they come out of the XDP program.
pub(super) struct GoodClient<'lab> {
    lab: &'lab Lab,
    addresses: [IpAddr; 2],
}

impl<'lab> GoodClient<'lab> {
    pub(super) fn new(lab: &'lab Lab, addresses: [IpAddr; 2]) -> anyhow::Result<Self> {
        let good = Self { lab, addresses };
        let rules = addresses.map(|address| {
            let family = if address.is_ipv4() { "ip" } else { "ip6" };
            format!("{family} saddr {address} meta l4proto tcp counter name good;")
        });
        let rules = rules.concat();
        for (nft, hook) in [(good.nft_of_the_internet(), "output"), (good.nft_of_the_server(), "prerouting")] {
            let chain = format!("chain passing {{ type filter hook {hook} priority raw; {rules} }}");
            good.ask(nft, &format!("table inet lab {{ counter good {{ }}; {chain}; }}"))?;
        }
        Ok(good)
    }

    /// Each service from each address in turn, until it is over. Returns how many logins there were.
    ///
    /// # Errors
    /// One was not accepted.
    pub(super) fn log_in_again_and_again(&self, is_over: &AtomicBool) -> anyhow::Result<usize> {
        let clients = Clients::new(&self.lab.network.internet, &self.lab.root);
        let services = [Service::Smtp, Service::Imap, Service::Pop3].into_iter().cycle();
        let mut logins = 0;
        // Three services and two addresses meet in all ways.
        for (service, from) in services.zip(self.addresses.into_iter().cycle()) {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let attempt = clients.login(&Login {
                from,
                service,
                transport: Transport::Plain,
                mechanism: Mechanism::Plain,
                user: b"alice".to_vec(),
                password: b"secret".to_vec(),
            })?;
            ensure!(attempt.outcome == Outcome::Accepted, "{service:?} from {from}: {attempt:?}");
            logins += 1;
        }
        Ok(logins)
    }

    /// Sees that every packet that it sent came through.
    pub(super) fn lost_nothing(&self) -> anyhow::Result<()> {
        let sent = self.count(self.nft_of_the_internet())?;
        ensure!(sent > 0, "it sent nothing");
        until(&format!("all {sent} packets of the good client come through"), || {
            Ok((self.count(self.nft_of_the_server())? == sent).then_some(()))
        })
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

    fn count(&self, nft: Command) -> anyhow::Result<u64> {
        let counters: Value = serde_json::from_str(&self.ask(nft, "list counters")?)?;
        counters.pointer("/nftables/1/counter/packets").and_then(Value::as_u64).with_context(|| format!("{counters}"))
    }

    fn ask(&self, mut nft: Command, what: &str) -> anyhow::Result<String> {
        let answer = Answer::of(nft.args(["--json", what]))?;
        ensure!(answer.code == Some(0), "nft {what}: {answer:?}");
        Ok(answer.stdout)
    }
}
