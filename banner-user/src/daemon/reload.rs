//! Reading the configuration again.

use std::mem;

use tracing::warn;

use super::{Daemon, addresses, heap, reading};
use crate::{
    catalogue::Catalogue,
    clock::Now,
    config::Config,
    control::protocol::{ErrorBody, ErrorKind, Reloaded, Text},
    enforce::guard::Guard,
    judge::Input,
};

impl Daemon {
    /// Takes over a new configuration, with all failures, bans and positions kept. One that does not check changes nothing.
    pub(super) async fn reload(&mut self) -> Result<Reloaded, ErrorBody> {
        let invalid = |error: &dyn std::fmt::Display| {
            let mut body =
                ErrorBody::new(ErrorKind::Configuration, "the configuration has errors; the old one stays in force");
            for line in error.to_string().lines() {
                body = body.because(line);
            }
            body
        };
        let catalogue = Catalogue::beside(self.config_path.as_deref());
        let known = catalogue.names().map_err(|error| invalid(&error))?;
        let mut config = Config::load(self.config_path.as_deref(), &known).map_err(|error| invalid(&error))?;
        let detector = catalogue.detector(&mut config).map_err(|error| invalid(&error))?;
        let kernel = |error: &dyn std::fmt::Display| ErrorBody::new(ErrorKind::Kernel, error.to_string());
        let network = self.host.read().await.map_err(|error| kernel(&error))?;
        self.guard.check_replacement(&config.interface, &network).map_err(|error| invalid(&error))?;

        let mut warnings: Vec<String> = config.warnings.iter().map(|warning| warning.problem.to_string()).collect();
        warnings.extend(keep_what_needs_a_restart(&self.config, &mut config));
        // What a new source tells of earlier, another one may have told of, and it was counted then.
        let now = Now::read().wall;
        self.follower.set_memory(now, reading::findtime(&config), now, reading::time_of_line(&config));
        self.follower.configure(reading::files(&config)).map_err(|error| invalid(&error))?;
        self.reload_journal(&config);
        let former = mem::replace(&mut self.detector, detector);
        self.detector.continue_from(former);
        let before = self.judge.bans_in_force();
        let now = Now::read();
        self.enforcer.carry_out(&mut self.judge, Input::Configure(Box::new(config.policy.clone())), now);
        self.enforcer.carry_out(&mut self.judge, Input::Protect(addresses(&network)), now);
        for input in self.lists.configure(&config) {
            self.enforcer.carry_out(&mut self.judge, input, now);
        }
        let lifted = before.saturating_sub(self.judge.bans_in_force());
        let last_known = self.guard.names();
        match Guard::start(config.interface.clone(), config.attach, self.enforcer.kernel(), &network, &last_known) {
            Ok(guard) => {
                let former = mem::replace(&mut self.guard, guard);
                self.guard.changes_from(&former).iter().for_each(|change| warn!("{change}"));
            }
            Err(error) => {
                warn!("the interfaces stay as they were: {error}");
                warnings.push(format!("the interfaces stay as they were: {error}"));
            }
        }
        self.enforcer.compare_with_haste();
        self.config = config;
        self.warnings.clone_from(&warnings);
        // At once: `status` would call a log that is new to the configuration missing until it is looked at.
        self.read();
        heap::give_back();
        Ok(Reloaded { lifted: lifted as u64, warnings: warnings.into_iter().map(Text::from).collect() })
    }

    /// A journal that is read on is; one that no jail reads any more is let go, and one that a jail now reads begins now.
    fn reload_journal(&mut self, config: &Config) {
        let now = Now::read();
        self.journal = match (self.journal.take(), reading::journal(config, None, now.wall, now)) {
            (Some(mut former), Some(_)) => {
                former.reload(now);
                Some(former)
            }
            (_, new) => {
                self.journal_position = None;
                new
            }
        };
    }
}

/// What cannot change while the daemon runs stays as it is, and the operator is told.
fn keep_what_needs_a_restart(running: &Config, config: &mut Config) -> Vec<String> {
    let mut kept = Vec::new();
    let mut keep = |key: &str, is_changed: bool| {
        if is_changed {
            kept.push(format!("`{key}` has changed, and takes effect at the next start"));
        }
    };
    keep("socket", config.socket != running.socket);
    keep("bpffs", config.bpffs != running.bpffs);
    keep("state_dir", config.state_dir != running.state_dir);
    keep("limits", config.map_sizes != running.map_sizes || config.history != running.history);
    keep("services", config.services != running.services);
    config.socket.clone_from(&running.socket);
    config.bpffs.clone_from(&running.bpffs);
    config.state_dir.clone_from(&running.state_dir);
    config.history = running.history;
    config.map_sizes = running.map_sizes;
    if config.services != running.services {
        // The bits of a mask mean other services then, in every jail, and in every ban that is in force.
        if config.policy.jails != running.policy.jails {
            kept.push("with `services`, what has changed under `jail` takes effect at the next start too".to_owned());
        }
        config.policy.jails.clone_from(&running.policy.jails);
        config.policy.recidive.clone_from(&running.policy.recidive);
        config.services.clone_from(&running.services);
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(&[(PathBuf::from("banner.toml"), text.to_owned())], &[]).unwrap()
    }

    #[test]
    fn what_needs_a_restart_is_kept_and_named_and_all_else_is_taken_over() {
        let running = config("");
        for (text, kept, is_taken_over) in [
            ("", vec![], false),
            ("ignoreip = [\"192.0.2.1\"]\ninterface = \"eth0\"\n[jail.mail]\nmaxretry = 5", vec![], true),
            ("socket = \"/run/other/banner.sock\"", vec!["`socket`"], false),
            ("bpffs = \"/sys/fs/bpf/other\"", vec!["`bpffs`"], false),
            ("state_dir = \"/var/lib/other\"", vec!["`state_dir`"], false),
            ("[limits]\nbans_v4 = 5\nsources = 7", vec!["`limits`"], true),
            ("[services]\nsmtp = [25, 2525]", vec!["`services`"], false),
            ("[services]\nadmin = 9000\n[jail.mail]\nmaxretry = 5", vec!["`services`", "`jail`"], false),
        ] {
            let mut new = config(text);
            let said = keep_what_needs_a_restart(&running, &mut new);
            assert_eq!(said.len(), kept.len(), "{text}: {said:?}");
            assert!(said.iter().zip(&kept).all(|(said, key)| said.contains(key)), "{text}: {said:?}");
            assert_eq!(new != running, is_taken_over, "{text}");
        }
    }
}
