//! The arguments of a benchmark.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::Parser;

use super::{Missing, Peer};

/// A benchmark of banner; `cargo xtask bench` runs them.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    /// In full; without it, as tests do, once and small
    #[arg(long)]
    bench: bool,
    /// Write the report there too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only beside this peer (may be repeated); otherwise beside all that are installed
    #[arg(long, value_name = "PEER")]
    against: Vec<String>,
    /// How often everybody is measured
    #[arg(long, value_name = "N")]
    pub(super) rounds: Option<usize>,
    /// As the tests' own executables take it; nothing is coloured here
    #[arg(long, hide = true)]
    color: Option<String>,
}

impl Arguments {
    pub(super) fn parse() -> Self {
        Parser::parse()
    }

    pub(super) fn is_smoke(&self) -> bool {
        !self.bench
    }

    pub(super) fn json(&self) -> Option<PathBuf> {
        self.json.clone()
    }

    /// Those that are installed of the ones that were asked for, or of all; and those that are not.
    pub(super) fn choose(&self, peers: &[Peer]) -> anyhow::Result<(Vec<Peer>, Vec<Missing>)> {
        for name in &self.against {
            let known: Vec<_> = peers.iter().map(|peer| peer.name).collect();
            match peers.iter().find(|peer| peer.name == name) {
                None => bail!("there is no peer `{name}` here; there are {}", known.join(", ")),
                Some(peer) if !is_installed(peer) => bail!("{name} is not installed: {}", peer.install),
                Some(_) => {}
            }
        }
        let wanted =
            peers.iter().filter(|peer| self.against.is_empty() || self.against.iter().any(|name| name == peer.name));
        let (there, missing): (Vec<Peer>, Vec<Peer>) = wanted.copied().partition(is_installed);
        let missing =
            missing.iter().map(|peer| Missing { peer: peer.name.to_owned(), install: peer.install.to_owned() });
        Ok((there, missing.collect()))
    }
}

fn is_installed(peer: &Peer) -> bool {
    let Some(program) = peer.program else { return true };
    let path = env::var_os("PATH").unwrap_or_default();
    // Where administrators' programs are, and where `cargo install` puts them, is not on every PATH.
    let more = [Path::new("/usr/sbin"), Path::new("/sbin"), Path::new("/root/.cargo/bin")].map(Path::to_owned);
    // An absolute path stays what it is when it is joined.
    env::split_paths(&path).chain(more).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEERS: [Peer; 3] = [
        Peer { name: "shell", program: Some("/bin/sh"), install: "apt-get install dash" },
        Peer { name: "nobody", program: Some("no-such-program"), install: "apt-get install nobody" },
        Peer { name: "floor", program: None, install: "" },
    ];

    fn chosen(arguments: &[&str]) -> Result<(Vec<&'static str>, usize), String> {
        let arguments = Arguments::parse_from(["bench"].iter().chain(arguments));
        let (there, missing) = arguments.choose(&PEERS).map_err(|error| error.to_string())?;
        Ok((there.iter().map(|peer| peer.name).collect(), missing.len()))
    }

    #[test]
    fn peers_are_those_that_are_asked_for_or_all_that_are_installed() {
        assert_eq!(chosen(&[]), Ok((vec!["shell", "floor"], 1)));
        assert_eq!(chosen(&["--against", "floor"]), Ok((vec!["floor"], 0)));
        assert_eq!(chosen(&["--against", "nobody"]), Err("nobody is not installed: apt-get install nobody".to_owned()));
        assert_eq!(
            chosen(&["--against", "somebody"]),
            Err("there is no peer `somebody` here; there are shell, nobody, floor".to_owned())
        );
    }
}
