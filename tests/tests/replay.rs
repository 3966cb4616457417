//! `banner replay` as a postmaster uses it: rotated logs, configurations, and what it writes about them.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::{Answer, CommandLine as _},
    installation::{BINARY, Configuration, Installation},
    mail_log,
    network::Network,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The zone, and the words of the default jail.
const CONFIGURATION: &str = "time_zone = \"UTC\"\nignoreip = [\"198.51.100.0/24\"]\ncustomers.enabled = false\n\
     increment.enabled = false\nrecidive.enabled = false\nprefixes.enabled = false\n\
     [jail.mail]\nsource = \"/var/log/mail.log\"\n";

/// A directory with a configuration and logs.
struct Folder(TempDir);

impl Folder {
    fn new(configuration: &str) -> anyhow::Result<Self> {
        let folder = Self(tempfile::tempdir()?);
        folder.write("banner.toml", configuration.as_bytes())?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        fs::write(self.path(name), bytes).with_context(|| name.to_owned())
    }

    /// A log that was last written at a time.
    fn log(&self, name: &str, lines: &[&str], written: &str) -> anyhow::Result<()> {
        self.write(name, (lines.join("\n") + "\n").as_bytes())?;
        let since_epoch = Duration::from_secs(u64::try_from(written.parse::<Timestamp>()?.as_second())?);
        Ok(File::options().append(true).open(self.path(name))?.set_modified(SystemTime::UNIX_EPOCH + since_epoch)?)
    }

    /// Compresses a file as logrotate does, in its place, keeping its time.
    fn gzip(&self, name: &str) -> anyhow::Result<()> {
        ensure!(Command::new("gzip").arg(self.path(name)).status().context("running gzip")?.success());
        Ok(())
    }

    fn command(&self, arguments: &str) -> anyhow::Result<Command> {
        let binary = std::env::var_os(BINARY).with_context(|| format!("{BINARY} does not name the binary to test"))?;
        let mut command = Command::new(binary);
        command.current_dir(self.0.path()).env("TZ", "UTC").stdin(Stdio::null());
        command.args(["replay", "--config", "banner.toml"]).args(arguments.split_whitespace());
        Ok(command)
    }

    fn replay(&self, arguments: &str) -> anyhow::Result<Answer> {
        answer(&mut self.command(arguments)?)
    }

    /// The lines of `--json`.
    fn json(&self, arguments: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.replay(&format!("--json {arguments}"))?.expect(0)?;
        ensure!(answer.stderr.is_empty(), "{answer:?}");
        values(&answer)
    }
}

fn answer(command: &mut Command) -> anyhow::Result<Answer> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Answer { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

fn values(answer: &Answer) -> anyhow::Result<Vec<Value>> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Source and beginning of each ban.
fn bans(values: &[Value]) -> Vec<(&str, &str)> {
    let bans = values.iter().filter(|value| value["source"].is_string());
    bans.filter_map(|ban| Some((ban["source"].as_str()?, ban["at"].as_str()?))).collect()
}

fn failure(stamp: &str, source: &str, user: &str) -> String {
    format!(
        "{stamp} mail cyrus/imap[4711]: badlogin: [{source}] plaintext ({user}) [SASL(-13): authentication failure]"
    )
}

fn login(stamp: &str, source: &str, user: &str) -> String {
    format!("{stamp} mail cyrus/imap[4711]: login: [{source}] {user} plaintext+TLS User logged in SESSIONID=<x>")
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

#[test]
fn a_log_without_years_is_read_over_new_year() -> anyhow::Result<()> {
    let folder = Folder::new(CONFIGURATION)?;
    let stamps = ["Dec 31 23:55:00", "Dec 31 23:59:59", "Jan  1 00:00:01"];
    let lines = stamps.map(|stamp| failure(stamp, "192.0.2.1", "alice"));
    folder.log("mail.log", &refs(&lines), "2026-01-02T00:00:00Z")?;
    let found = folder.json("mail.log")?;
    ensure!(bans(&found) == [("192.0.2.1", "2026-01-01T00:00:01Z")], "{found:?}");
    let totals = &found.last().context("totals")?["totals"];
    ensure!(totals["first"] == "2025-12-31T23:55:00Z" && totals["lines"] == 3, "{totals}");
    Ok(())
}

#[test]
fn the_hour_that_is_shown_twice_lasts_two_hours() -> anyhow::Result<()> {
    let berlin = CONFIGURATION.replace("\"UTC\"", "\"Europe/Berlin\"");
    let folder = Folder::new(&berlin)?;
    // Ten minutes pass from 02:58 to 02:08, and an hour and ten minutes from 02:08 to 03:18.
    let stamps = ["Oct 26 02:57:00", "Oct 26 02:58:00", "Oct 26 02:06:59", "Oct 26 02:08:00", "Oct 26 03:18:00"];
    let lines = stamps.map(|stamp| failure(stamp, "192.0.2.1", "alice"));
    folder.log("mail.log", &refs(&lines), "2025-10-27T00:00:00Z")?;
    let found = folder.json("mail.log")?;
    ensure!(bans(&found) == [("192.0.2.1", "2025-10-26T01:06:59Z")], "{found:?}");
    ensure!(found[0]["prevented"] == 1 && found[0]["until"] == "2025-10-26T01:16:59Z", "{found:?}");
    Ok(())
}

#[test]
fn rotated_and_compressed_logs_come_in_any_order() -> anyhow::Result<()> {
    let folder = Folder::new(CONFIGURATION)?;
    let stamps = ["Nov  1 23:55:00", "Nov  1 23:59:00", "Nov  2 00:03:00"];
    let [first, second, third] = stamps.map(|stamp| failure(stamp, "192.0.2.1", "alice"));
    let other = failure("Nov  1 23:58:00", "192.0.2.2", "bob");
    folder.log("mail.log.2", &[&first, &other], "2025-11-01T23:58:00Z")?;
    folder.gzip("mail.log.2")?;
    folder.log("mail.log.1", &[&other, &second, &other], "2025-11-01T23:59:00Z")?;
    folder.log("mail.log", &[&third], "2025-11-02T00:03:00Z")?;
    for files in ["mail.log mail.log.1 mail.log.2.gz", "mail.log.1 mail.log.2.gz mail.log"] {
        let found = folder.json(files)?;
        let expected = [("192.0.2.2", "2025-11-01T23:59:00Z"), ("192.0.2.1", "2025-11-02T00:03:00Z")];
        ensure!(bans(&found) == expected, "{files}: {found:?}");
    }
    Ok(())
}

/// A log that has something of everything.
fn eventful() -> Vec<String> {
    let at = |time: &str| format!("2025-11-02T{time}Z");
    let mut lines = vec![
        login(&at("02:00:00"), "192.0.2.1", "carol"),
        failure(&at("03:00:00"), "192.0.2.1", "alice"),
        failure(&at("03:00:01"), "192.0.2.1", "alice\u{1b}[31m"),
        failure(&at("03:00:02"), "192.0.2.1", "bob"),
        failure(&at("03:05:00"), "192.0.2.1", "bob"),
        login(&at("03:06:00"), "192.0.2.1", "dave"),
        "garbage".to_owned(),
    ];
    lines.extend((0..3).map(|_| failure(&at("04:00:00"), "2001:db8::7", "eve")));
    lines.extend((0..2).map(|_| failure(&at("04:01:00"), "203.0.113.5", "eve")));
    lines.extend((0..3).map(|_| failure(&at("04:02:00"), "198.51.100.9", "eve")));
    lines
}

#[test]
fn bans_and_totals_are_written_as_documented() -> anyhow::Result<()> {
    let folder = Folder::new(CONFIGURATION)?;
    folder.log("mail.log", &refs(&eventful()), "2025-11-03T00:00:00Z")?;
    let answer = folder.replay("mail.log")?.expect(0)?;
    let expected = "\
AT                         SOURCE                   JAIL          UNTIL                      FAILURES      PREVENTED  LOGGED IN  USERS
2025-11-02 03:00:02+00:00  192.0.2.1                mail          2025-11-02 03:10:02+00:00  4 in 10m      1          during     alice, alice\\u{1b}[31m, bob
2025-11-02 04:00:00+00:00  2001:db8::/64            mail          2025-11-02 04:10:00+00:00  3 in 10m      0          -          eve

totals
  lines                          15
  first event                    2025-11-02 02:00:00+00:00
  last event                     2025-11-02 04:02:00+00:00
  failures                       12
  prevented by bans              1
  logins                         2
  outages                        0
  bans                           2
  banned sources                 2
  permanent                      0
  only observed                  0
  over the limit, but ignored    1
  likely false positives         1
  bans early, for many accounts  1

likely false positives: the source logged in, within a day of its ban or under it
  192.0.2.1  banned 2025-11-02 03:00:02+00:00 by mail  dave logged in 2025-11-02 03:06:00+00:00, during the ban (filter cyrus)
";
    ensure!(answer.stdout == expected && answer.stderr.is_empty(), "{}{}", answer.stdout, answer.stderr);

    let answer = folder.replay("--json mail.log")?.expect(0)?;
    let expected = concat!(
        r#"{"at":"2025-11-02T03:00:02Z","until":"2025-11-02T03:10:02Z","source":"192.0.2.1","jail":"mail","observe":false,"failures":4,"#,
        r#""limit":3,"reasons":[{"reason":"many_accounts","text":"those on a third account and further ones weigh double"}],"#,
        r#""findtime":600,"users":["alice","alice\\u{1b}[31m","bob"],"prevented":1,"yielded":false,"#,
        r#""false_positive":{"at":"2025-11-02T03:06:00Z","when":"during","address":"192.0.2.1","user":"dave","filter":"cyrus"}}"#,
        "\n",
        r#"{"at":"2025-11-02T04:00:00Z","until":"2025-11-02T04:10:00Z","source":"2001:db8::/64","jail":"mail","observe":false,"failures":3,"#,
        r#""limit":3,"reasons":[],"findtime":600,"users":["eve"],"prevented":0,"yielded":false,"false_positive":null}"#,
        "\n",
        r#"{"totals":{"lines":15,"overlong":0,"first":"2025-11-02T02:00:00Z","last":"2025-11-02T04:02:00Z","failures":12,"prevented":1,"#,
        r#""successes":2,"outages":0,"bans":2,"observed":0,"permanent":0,"yielded":0,"false_positives":1,"cut_short":0,"sources":2,"#,
        r#""ignored":1,"reasons":{"many_accounts":1},"spared_prefixes":0,"fuse_tripped":0,"spared":0,"attacks":0,"evicted":0}}"#,
        "\n",
    );
    ensure!(answer.stdout == expected, "{}", answer.stdout);
    Ok(())
}

#[test]
fn two_configurations_are_held_against_each_other() -> anyhow::Result<()> {
    let folder = Folder::new(CONFIGURATION)?;
    folder.log("mail.log", &refs(&eventful()), "2025-11-03T00:00:00Z")?;
    // Beside it, so that what the other configuration calls a filter is its own.
    fs::create_dir(folder.path("other"))?;
    fs::write(folder.path("other/banner.toml"), format!("{CONFIGURATION}maxretry = 2\nobserve = true\n"))?;
    let found = folder.json("--against other/banner.toml mail.log")?;
    let told: Vec<_> = found.iter().map(|value| (value["source"].as_str(), &value["difference"])).collect();
    let expected = [
        (Some("192.0.2.1"), &json!(["earlier", "other_observes"])),
        (Some("2001:db8::/64"), &json!(["other_observes"])),
        (Some("203.0.113.5"), &json!(["only_other"])),
        (None, &Value::Null),
    ];
    ensure!(told == expected, "{found:?}");
    ensure!(found[0]["this"]["first"] == "2025-11-02T03:00:02Z", "{}", found[0]);
    ensure!(found[0]["other"]["first"] == "2025-11-02T03:00:01Z", "{}", found[0]);
    ensure!(found[2]["this"].is_null() && found[2]["other"]["banned"] == 600, "{}", found[2]);
    let totals = &found[3]["totals"];
    ensure!((&totals["this"]["bans"], &totals["other"]["bans"]) == (&json!(2), &json!(3)), "{totals}");
    ensure!(found[3]["differences"] == 3, "{}", found[3]);

    let text = folder.replay("--against other/banner.toml mail.log")?.expect(0)?.stdout;
    for said in ["this:  banner.toml\nother: other/banner.toml\n", "bans earlier, only observes", "3 differing sources"]
    {
        ensure!(text.contains(said), "no {said:?} in {text}");
    }
    let text = folder.replay("--against banner.toml mail.log")?.expect(0)?.stdout;
    ensure!(text.starts_with("no difference\n"), "{text}");
    Ok(())
}

#[test]
fn standard_input_and_observing_jails_are_shown_as_such() -> anyhow::Result<()> {
    let folder = Folder::new(&format!("{CONFIGURATION}observe = true\nbantime = \"permanent\"\n"))?;
    folder.log("mail.log", &refs(&eventful()), "2025-11-03T00:00:00Z")?;
    let answer = answer(folder.command("-")?.stdin(File::open(folder.path("mail.log"))?))?.expect(0)?;
    for said in [
        "mail (observed)  permanent ",
        "\n  only observed                  2\n",
        "  prevented by bans              0\n",
    ] {
        ensure!(answer.stdout.contains(said), "no {said:?} in {}", answer.stdout);
    }
    Ok(())
}

#[test]
fn what_cannot_be_read_is_an_error_after_all_that_could_be() -> anyhow::Result<()> {
    let folder = Folder::new(CONFIGURATION)?;
    folder.log("mail.log", &refs(&eventful()), "2025-11-03T00:00:00Z")?;
    folder.log("cut", &refs(&eventful()), "2025-11-03T00:00:00Z")?;
    folder.gzip("cut")?;
    let whole = fs::read(folder.path("cut.gz"))?;
    folder.write("cut.gz", &whole[..whole.len() - 8])?;
    folder.write("broken.toml", b"maxretyr = 3\n")?;
    fs::create_dir_all(folder.path("bad/filters.d"))?;
    folder.write("bad/filters.d/mine.toml", b"[[rule]]\n")?;
    folder.write("bad/banner.toml", b"[jail.mail]\nfilter = \"mine\"\n")?;
    for (arguments, code, bans, said) in [
        ("mail.log", 0, true, ""),
        ("banner.toml", 0, false, ""),
        ("missing.log mail.log", 2, false, "error: cannot read missing.log: No such file"),
        (".", 2, false, "it is a directory"),
        ("cut.gz", 2, true, "error: cannot read cut.gz: it is no whole gz"),
        ("--against missing.toml mail.log", 2, false, "cannot read missing.toml"),
        ("--against broken.toml mail.log", 2, false, "unknown key `maxretyr`"),
        ("--against bad/banner.toml mail.log", 2, false, "mine"),
        ("", 2, false, "required"),
    ] {
        let answer = folder.replay(arguments)?;
        ensure!(answer.code == Some(code) && answer.stderr.contains(said), "{arguments}: {answer:?}");
        ensure!(answer.stdout.contains("192.0.2.1") == bans, "{arguments}: {answer:?}");
        ensure!(said.is_empty() == answer.stderr.is_empty(), "{arguments}: {answer:?}");
    }
    Ok(())
}

#[test]
fn a_file_that_goes_back_in_time_is_named_once() -> anyhow::Result<()> {
    let folder = Folder::new(CONFIGURATION)?;
    let lines: Vec<_> = (0..10)
        .flat_map(|minute| [format!("2025-11-02T04:{minute:02}:00Z"), format!("2025-11-02T03:{minute:02}:00Z")])
        .map(|stamp| failure(&stamp, "192.0.2.1", "alice"))
        .collect();
    folder.log("mail.log", &refs(&lines), "2025-11-03T00:00:00Z")?;
    let answer = folder.replay("mail.log")?.expect(0)?;
    ensure!(answer.stderr.lines().count() == 1, "{}", answer.stderr);
    ensure!(answer.stderr.starts_with("warning: mail.log: a line is stamped 3600 s before"), "{}", answer.stderr);
    Ok(())
}

#[test]
fn one_line_with_a_wrong_clock_does_not_hold_up_its_file() -> anyhow::Result<()> {
    let folder = Folder::new(CONFIGURATION)?;
    let stamps = ["2025-11-02T03:00:00Z", "2038-01-19T03:14:07Z", "2025-11-02T03:01:00Z"];
    let lines = stamps.map(|stamp| failure(stamp, "192.0.2.1", "alice"));
    folder.log("mail.log.1", &refs(&lines), "2025-11-03T00:00:00Z")?;
    folder.log("mail.log", &[&failure("2025-11-03T03:00:00Z", "192.0.2.1", "alice")], "2025-11-04T00:00:00Z")?;
    let answer = folder.replay("--json mail.log mail.log.1")?.expect(0)?;
    let values = values(&answer)?;
    ensure!(bans(&values) == [("192.0.2.1", "2025-11-02T03:01:00Z")], "{values:?}");
    let said = "warning: mail.log.1: a line is stamped more than a day after now";
    ensure!(answer.stderr.starts_with(said) && answer.stderr.lines().count() == 1, "{}", answer.stderr);
    Ok(())
}

#[test]
fn hostile_logs_end_in_counts() -> anyhow::Result<()> {
    let folder = Folder::new(CONFIGURATION)?;
    let mut log = File::create(folder.path("mail.log"))?;
    log.write_all(&[b'x'; 1 << 20])?;
    log.write_all(b"\n\0\xff\x1b[2J\n")?;
    for stamp in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z"] {
        writeln!(log, "{}", failure(stamp, "192.0.2.1", "alice"))?;
    }
    drop(log);
    let answer = folder.replay("mail.log")?.expect(0)?;
    ensure!(answer.stdout.contains("  lines                        5\n"), "{}", answer.stdout);
    ensure!(answer.stdout.contains("  overlong lines, left out     1\n"), "{}", answer.stdout);
    ensure!(!answer.stdout.contains('\u{1b}'), "{}", answer.stdout);
    Ok(())
}

#[test]
fn it_bans_whom_the_daemon_has_banned() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let mut lines = String::new();
    for host in 1..=60_u8 {
        let source = IpAddr::from(Ipv4Addr::new(198, 51, 100, host));
        // One to six failures of a source, by both servers, and outages that count nothing.
        for attempt in 0..=host % 6 {
            let failure = if attempt % 2 == 0 { mail_log::postfix } else { mail_log::cyrus };
            let _ = write!(lines, "{}{}", failure(source, "alice"), mail_log::cyrus_outage(source));
        }
    }
    installation.log.append(&lines)?;
    installation.await_log_read()?;
    let key = |ban: &Value, key: &str| ban[key].as_str().map(str::to_owned);
    let banned: BTreeSet<_> = installation.bans()?.iter().map(|ban| (key(ban, "prefix"), key(ban, "jail"))).collect();
    ensure!(banned.len() == 40, "{banned:?}");
    let log = installation.log.path().to_string_lossy().into_owned();
    let answer = installation.banner(&format!("replay --json {log}"))?.expect(0)?;
    let mut values = values(&answer)?;
    let totals = values.pop().context("no totals")?;
    let replayed: BTreeSet<_> = values.iter().map(|ban| (key(ban, "source"), key(ban, "jail"))).collect();
    ensure!(replayed == banned, "replayed {replayed:?}, banned {banned:?}");
    ensure!(totals["totals"]["bans"] == 40, "{totals}");
    Ok(())
}
