//! What can be typed.

use std::{ffi::OsString, net::IpAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use super::exit;
use crate::{
    config::duration,
    control::protocol::{AddressError, BanTime, Prefix, TRIPPED_MAX, parse_address},
};

/// Bans mail brute-forcers in the kernel: reads authentication failures from mail logs, and drops the mail packets of sources
/// over the limit
#[derive(Debug, Parser)]
#[command(name = "banner", version, after_help = exit::HELP, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// The configuration instead of /etc/banner/banner.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Be the daemon, until SIGTERM; enforcement goes on without it
    Run,
    /// Check the configuration, the kernel and the interfaces; change nothing
    Check {
        #[command(flatten)]
        format: Format,
    },
    /// Show interfaces, jails, logs and what was dropped
    Status {
        /// Only this jail
        jail: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// List the bans
    Bans {
        /// Only this jail's
        jail: Option<String>,
        /// The bans of this list, which are not shown without it
        #[arg(long, value_name = "NAME", conflicts_with = "jail")]
        list: Option<String>,
        /// One JSON object a ban, each on its own line
        #[arg(long)]
        json: bool,
    },
    /// Ban an address or a prefix by hand
    Ban(BanArguments),
    /// Lift the bans of an address or a prefix, and forget its failures
    Unban {
        /// Exactly what was banned; `banner why` tells
        #[arg(value_name = "ADDRESS|PREFIX")]
        prefix: Prefix,
        #[command(flatten)]
        format: Format,
    },
    /// Show what is known of an address: bans, failures, how near it is to a ban
    Why {
        #[arg(value_parser = address)]
        address: IpAddr,
        #[command(flatten)]
        format: Format,
    },
    /// Trip or reset the fuse: whether failures of customers count
    Fuse {
        #[command(subcommand)]
        action: FuseAction,
    },
    /// Tell what an operator should look at; for monitoring
    Health {
        #[command(flatten)]
        format: Format,
    },
    /// Make the daemon read its configuration again
    Reload {
        #[command(flatten)]
        format: Format,
    },
    /// Tell what each line of a log means to the filters, or why it means nothing
    Match(MatchArguments),
    /// Show what the configured jails would have banned on logs that are already written
    Replay(ReplayArguments),
    /// Take everything out of the kernel: no packet is dropped any more
    Detach {
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum FuseAction {
    /// Have failures of customers count against nobody, since what checks passwords is broken
    Trip {
        /// How long, up to a day
        #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = length)]
        length: Duration,
        #[command(flatten)]
        format: Format,
    },
    /// Have every failure count again, and the fuse not trip by itself for a while
    Reset {
        #[command(flatten)]
        format: Format,
    },
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Format {
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct BanArguments {
    /// Whose packets to drop
    #[arg(value_name = "ADDRESS|PREFIX")]
    pub(super) prefix: Prefix,
    /// How long: 1h30m, 2d, permanent [default: the jail's bantime]
    #[arg(long = "for", value_name = "DURATION", value_parser = ban_time)]
    pub(super) bantime: Option<BanTime>,
    /// What it cannot reach: smtp,imaps [default: the jail's services]
    #[arg(long, value_name = "SERVICE", value_delimiter = ',')]
    pub(super) services: Vec<String>,
    /// The jail that it counts for [default: the first]
    #[arg(long)]
    pub(super) jail: Option<String>,
    /// Ban what is wider than /8 (IPv6: /19), or on ignoreip
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) format: Format,
}

/// Shows the lines that count, and what all add up to; of a line that is given itself, all that is known. Only `time_zone` is
/// read of the configuration, and only if there is one that works; filters.d beside it has the operator's own filters.
#[derive(Debug, Args)]
pub(super) struct MatchArguments {
    /// Log files, plain, gz, xz or zst; `-` for standard input; or a line itself: what has a space or a newline in it and is
    /// no file
    #[arg(required = true, value_name = "FILE|-|LINE")]
    pub(super) subjects: Vec<OsString>,
    /// By this filter: a name as in a jail, or a file (./mine.toml); can be repeated [default: every filter there is]
    #[arg(long = "filter", value_name = "FILTER")]
    pub(super) filters: Vec<String>,
    /// Show the lines that no filter knows, and why, instead of those that count
    #[arg(long, conflicts_with_all = ["json", "count"])]
    pub(super) missed: bool,
    /// Only what all lines add up to; fastest
    #[arg(long)]
    pub(super) count: bool,
    /// One JSON object a counted line on stdout, and the totals on stderr; with --count the totals as one object
    #[arg(long)]
    pub(super) json: bool,
    /// Print what is logged from now on, through rotations, until interrupted; with --json each object has its file and its
    /// offset there, and counts lines from the start
    #[arg(long, conflicts_with_all = ["missed", "count"])]
    pub(super) follow: bool,
    /// Begin where FILE says that reading stopped, and save there how far it is: no line is lost in between
    #[arg(long, value_name = "FILE", requires = "follow")]
    pub(super) positions: Option<PathBuf>,
}

/// Which logs, by which configuration against which.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_HELP)]
pub(super) struct ReplayArguments {
    /// Log files, plain, gz, xz or zst, in any order; `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Show only what another configuration would have done differently
    #[arg(long, value_name = "OTHER.toml")]
    pub(super) against: Option<PathBuf>,
    /// One JSON object a ban (with --against: a difference), each on its own line, and one of the totals
    #[arg(long)]
    pub(super) json: bool,
}

const REPLAY_HELP: &str = "\
Every FILE counts as a source of every jail: which lines a jail hears is up to its filters.
Lines of all files are taken in the order of their times. Stamps without a year are read from the
time at which the file was last written; stamps without a zone in time_zone.

PREVENTED are failures under a ban, which would not have got through: they are counted apart and do
not count again. LOGGED IN marks likely false positives: the source logged in up to a day before the
ban, during it, or up to a day after it. ignoreip holds; this host's own addresses, gateways and
resolvers are not left out, for the log may be another host's.

Exit codes: 0 done, with bans or without; 2 a file or a configuration cannot be read.";

fn address(text: &str) -> Result<IpAddr, AddressError> {
    parse_address(text)
}

fn length(text: &str) -> Result<Duration, String> {
    let length = duration::parse(text).map_err(|error| format!("{error}: {}", error.hint()))?;
    if length.as_secs() > TRIPPED_MAX { Err("a day at most".to_owned()) } else { Ok(length) }
}

fn ban_time(text: &str) -> Result<BanTime, String> {
    if text == "permanent" {
        return Ok(BanTime::Permanent);
    }
    let duration = duration::parse(text).map_err(|error| format!("{error}: {}, or `permanent`", error.hint()))?;
    // Durations are 1 s to ten years.
    let seconds = u32::try_from(duration.as_secs()).ok().and_then(NonZeroU32::new);
    seconds.map(BanTime::Seconds).ok_or_else(|| "out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(["banner"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_configuration_is_named_before_or_after_the_command() {
        for line in ["--config a.toml status", "status --config a.toml", "status --config=a.toml mail"] {
            assert_eq!(parse(line).unwrap().config.as_deref(), Some(Path::new("a.toml")), "{line}");
        }
    }

    #[test]
    fn a_ban_is_read_as_it_is_meant() {
        let read = |line: &str| {
            let Command::Ban(ban) = parse(line).unwrap().command else { panic!("not a ban: {line}") };
            (ban.prefix.to_string(), ban.bantime, ban.services.join(" "), ban.jail, ban.force)
        };
        let seconds = |count| Some(BanTime::Seconds(NonZeroU32::new(count).unwrap()));
        assert_eq!(read("ban 192.0.2.1"), ("192.0.2.1".into(), None, String::new(), None, false));
        assert_eq!(
            read("ban 2001:db8::/64 --for 1h30m --services smtp,imaps --services pop3 --jail mail --force"),
            ("2001:db8::/64".into(), seconds(5400), "smtp imaps pop3".into(), Some("mail".into()), true)
        );
        assert_eq!(read("ban ::ffff:192.0.2.1 --for 600").1, seconds(600));
        assert_eq!(read("ban 192.0.2.1 --for permanent").1, Some(BanTime::Permanent));
        assert_eq!(read("ban 192.0.2.1 --for 3650d").1, seconds(315_360_000));
    }

    #[test]
    fn what_to_match_is_read_as_it_is_meant() {
        let line = "match --filter cyrus --filter ./mine.toml --count --json mail.log -";
        let read = |line| {
            let Command::Match(arguments) = parse(line).unwrap().command else { panic!("not a match: {line}") };
            arguments
        };
        let MatchArguments { subjects, filters, missed, count, json, follow, positions } = read(line);
        assert_eq!(
            (subjects, filters),
            (vec!["mail.log".into(), "-".into()], vec!["cyrus".into(), "./mine.toml".into()])
        );
        assert_eq!((missed, count, json, follow, positions), (false, true, true, false, None));
        let MatchArguments { follow, positions, .. } = read("match --follow --positions at mail.log");
        assert_eq!((follow, positions), (true, Some("at".into())));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for (line, reason) in [
            ("ban mail.example.com", "is a host name"),
            ("ban 192.0.2.1/24", "write 192.0.2.0/24, or the address alone"),
            ("ban 192.0.2.1 --for 0", "at least 1 second"),
            ("ban 192.0.2.1 --for forever", "or `permanent`"),
            ("ban 192.0.2.1 --for 1mo", "write days"),
            ("ban", "required"),
            ("unban mail.example.com", "is a host name"),
            ("why 192.0.2.0/24", "is a prefix; ask for one address"),
            ("run --json", "unexpected argument"),
            ("match", "required"),
            ("match --missed --json mail.log", "cannot be used with"),
            ("match --missed --count mail.log", "cannot be used with"),
            ("match --follow --count mail.log", "cannot be used with"),
            ("match --follow --missed mail.log", "cannot be used with"),
            ("match --positions at mail.log", "--follow"),
            ("statsu", "similar"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.use_stderr());
            assert!(error.to_string().contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn help_documents_the_exit_codes() {
        let help = parse("--help").unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp);
        assert!(help.to_string().contains("3  the daemon is not reachable"), "{help}");
    }
}
