//! Whatever is rotated, reloaded and started again under load: every failure that the servers logged is counted once.

mod attack;
mod books;

use banner_tests::installation::binary;
use banner_tests::lab::{Lab, Setup, root::Kind};

use self::{attack::Attack, books::balance};

/// A jail for each shape that rsyslog and the journal give a line. All but the first count without end.
const JAILS: [(&str, &str); 5] = [
    ("mail", r#"["/var/log/mail.log"]"#),
    ("iso", r#"["/var/log/mail.log"]"#),
    ("rfc3164", r#"["/var/log/mail-3164.log"]"#),
    ("rfc5424", r#"["/var/log/mail-5424.log"]"#),
    ("journal", r#"["journal"]"#),
];

/// What rsyslog writes, and nobody rotates.
const KEPT: &str = "/var/log/mail-kept.log";

#[test]
fn logrotate_loses_no_failure() -> anyhow::Result<()> {
    under_attack(|lab, attack| {
        for _ in 0..3 {
            lab.server.run("logrotate --force /etc/logrotate.conf")?;
            attack.go_on()?;
        }
        Ok(())
    })
}

/// Attacks a host while `events` lasts, and sees that nothing was lost.
fn under_attack(events: impl FnOnce(&Lab, &Attack<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let configuration: String = JAILS
        .iter()
        .map(|(name, source)| {
            let maxretry = if *name == "mail" { attack::MAXRETRY } else { 1000 };
            format!(
                "[jail.{name}]\nfilter = [\"postfix-sasl\", \"cyrus\"]\nsource = {source}\nmaxretry = {maxretry}\n\
                 findtime = \"1h\"\nbantime = \"1h\"\n"
            )
        })
        .collect();
    let setup = Setup { variants: vec!["quick".to_owned()], configuration, ..Setup::new(Kind::Cyrus, binary()?) };
    let Some(lab) = Lab::up(&setup)? else { return Ok(()) };
    lab.server.script(&format!("echo 'mail.* -{KEPT}' > /etc/rsyslog.d/kept.conf; systemctl restart rsyslog"))?;
    lab.start_banner()?;
    let answered = Attack::during(&lab, |attack| events(&lab, attack))?;
    let jails: Vec<_> = JAILS.iter().map(|(name, _)| *name).filter(|name| *name != "mail").collect();
    balance(&lab, &answered, &format!("cat {KEPT}"), &jails)
}
