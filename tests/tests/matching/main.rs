//! `banner match` as a postmaster uses it, and what may stand in a file that it is given.

mod follow;

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use banner_tests::{command_line::Answer, installation::BINARY};
use jiff::Timestamp;
use lzma_rust2::{XzOptions, XzWriter};
use serde_json::Value;
use tempfile::TempDir;

const FAILURE: &str = "Nov 22 12:00:00 mail postfix/smtpd[4711]: warning: unknown[198.51.100.7]: SASL LOGIN authentication failed: \
                       (reason unavailable), sasl_username=alice";
const SUCCESS: &str = "Nov 22 12:00:01 mail postfix/smtpd[4711]: 4FA1C20B7: client=unknown[203.0.113.9], sasl_method=PLAIN, sasl_username=bob";
const OUTAGE: &str = "Nov 22 12:00:02 mail postfix/smtpd[4711]: warning: unknown[198.51.100.7]: SASL LOGIN authentication failed: \
                      Connection lost to authentication server";
const OTHER: &str = "Nov 22 12:00:03 mail postfix/smtpd[4711]: connect from unknown[198.51.100.7]";

/// A directory with logs and what belongs to them.
struct Folder(TempDir);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(path, bytes).with_context(|| name.to_owned())
    }

    /// A log that was last written at a time.
    fn log(&self, name: &str, lines: &[&str], written: &str) -> anyhow::Result<()> {
        self.write(name, lines.join("\n") + "\n")?;
        let since_epoch = Duration::from_secs(u64::try_from(written.parse::<Timestamp>()?.as_second())?);
        Ok(File::options().append(true).open(self.path(name))?.set_modified(SystemTime::UNIX_EPOCH + since_epoch)?)
    }

    /// `banner match` in this directory, with a configuration that says nothing.
    fn command(&self, arguments: &[&str]) -> anyhow::Result<assert_cmd::Command> {
        let binary = std::env::var_os(BINARY).with_context(|| format!("{BINARY} does not name the binary to test"))?;
        if !self.path("banner.toml").exists() {
            self.write("banner.toml", "")?;
        }
        let mut command = assert_cmd::Command::new(binary);
        command.current_dir(self.0.path()).env("TZ", "UTC").timeout(Duration::from_secs(60));
        command.args(["match", "--config", "banner.toml"]).args(arguments);
        Ok(command)
    }

    fn matched(&self, arguments: &[&str]) -> anyhow::Result<Answer> {
        answer(&mut self.command(arguments)?)
    }
}

fn answer(command: &mut assert_cmd::Command) -> anyhow::Result<Answer> {
    let output = command.output()?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("the output is no text");
    Ok(Answer { code: output.status.code(), stdout: text(output.stdout)?, stderr: text(output.stderr)? })
}

fn json(answer: &Answer) -> anyhow::Result<Vec<Value>> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn gz(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text)?;
    Ok(encoder.finish()?)
}

fn xz(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(6))?;
    encoder.write_all(text)?;
    Ok(encoder.finish()?)
}

fn zst(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(zstd::encode_all(text, 3)?)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/logs/real").join(name)
}

#[test]
fn what_real_servers_wrote_is_told_line_by_line_however_it_is_compressed() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let text = fs::read(fixture("rsyslog-iso.log"))?;
    let expected = fs::read_to_string(fixture("rsyslog.expected"))?;
    let (outages, expected): (Vec<_>, Vec<_>) = expected.lines().partition(|line| line.contains(" outage "));
    // The names say nothing.
    folder.write("mail.log.3.gz", &text)?;
    folder.write("mail.log.2", gz(&text)?)?;
    folder.write("mail.log.1", xz(&text)?)?;
    folder.write("mail.log", zst(&text)?)?;
    for log in ["mail.log.3.gz", "mail.log.2", "mail.log.1", "mail.log"] {
        let answer = folder.matched(&["--json", log])?.expect(0)?;
        let told: Vec<_> = json(&answer)?
            .iter()
            .map(|event| {
                let weight = match (event["kind"].as_str(), event["weight"].as_f64()) {
                    (Some("failure"), Some(1.0)) => "one",
                    (Some("failure"), Some(0.25)) => "low",
                    (_, Some(0.0)) => "-",
                    _ => "?",
                };
                let user = event["user"].as_str().map_or_else(|| "-".to_owned(), |user| format!("{user:?}"));
                let text = |key: &str| event[key].as_str().unwrap_or_default();
                format!("{} {} {} {weight} {user}", event["line"], text("kind"), text("addr"))
            })
            .collect();
        // How users are escaped is not the same there.
        let plain = |lines: &[String]| lines.iter().filter(|line| !line.contains('\\')).cloned().collect::<Vec<_>>();
        let lines: Vec<_> = expected.iter().map(ToString::to_string).collect();
        ensure!(told.len() == expected.len(), "{log}: {} of {} lines", told.len(), expected.len());
        ensure!(plain(&told) == plain(&lines), "{log}: {told:#?}");
        let totals = folder.matched(&["--json", "--count", log])?.expect(0)?;
        let totals = &json(&totals)?[0];
        ensure!(totals["matched"] == expected.len() && totals["outages"] == outages.len(), "{log}: {totals}");
        ensure!(totals["lines"] == text.split(|byte| *byte == b'\n').count() - 1, "{log}: {totals}");
    }
    Ok(())
}

#[test]
fn an_object_has_just_these_keys_in_this_order_and_the_file_where_there_are_several() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.log("mail.log", &[OTHER, FAILURE, SUCCESS, OUTAGE], "2026-11-22T13:00:00Z")?;
    let failure = "\"line\":2,\"filter\":\"postfix-sasl\",\"addr\":\"198.51.100.7\",\"user\":\"alice\",\"weight\":1,\
                   \"kind\":\"failure\",\"at\":\"2026-11-22T12:00:00Z\"}\n";
    let success = "\"line\":3,\"filter\":\"postfix-sasl\",\"addr\":\"203.0.113.9\",\"user\":\"bob\",\"weight\":0,\
                   \"kind\":\"success\",\"at\":\"2026-11-22T12:00:01Z\"}\n";
    let answer = folder.matched(&["--json", "mail.log"])?.expect(0)?;
    ensure!(answer.stdout == format!("{{{failure}{{{success}"), "{answer:?}");
    ensure!(answer.stderr.starts_with("4 lines: 2 matched, 1 outage, 0 ignored, 1 missed\n"), "{answer:?}");
    folder.log("mail.log.1", &[FAILURE], "2025-11-22T13:00:00Z")?;
    let answer = folder.matched(&["--json", "mail.log.1", "mail.log"])?.expect(0)?;
    let (first, rest) = answer.stdout.split_once('\n').context("no line")?;
    let earlier = failure.replace("\"line\":2", "\"line\":1").replace("2026-", "2025-");
    ensure!(format!("{first}\n") == format!("{{\"file\":\"mail.log.1\",{earlier}"), "{answer:?}");
    ensure!(rest == format!("{{\"file\":\"mail.log\",{failure}{{\"file\":\"mail.log\",{success}"), "{answer:?}");
    Ok(())
}

#[test]
fn counted_lines_are_shown_then_what_all_add_up_to() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.log("mail.log", &[OTHER, FAILURE, SUCCESS, OUTAGE], "2026-11-22T13:00:00Z")?;
    let answer = folder.matched(&["mail.log"])?.expect(0)?;
    let shown: Vec<Vec<_>> = answer.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(shown[1] == ["2", "2026-11-22", "12:00:00+00:00", "failure", "1", "postfix-sasl", "198.51.100.7", "alice"]);
    ensure!(shown[2] == ["3", "2026-11-22", "12:00:01+00:00", "success", "0", "postfix-sasl", "203.0.113.9", "bob"]);
    ensure!(shown[3][3] == "outage" && shown[5][..4] == ["4", "lines:", "2", "matched,"], "{answer:?}");
    ensure!(answer.stderr.is_empty(), "{answer:?}");

    let answer = folder.matched(&["--missed", "mail.log"])?.expect(0)?;
    let expected = format!("1: {OTHER}\n    no rule matches, of the filters that read this program's lines: ");
    ensure!(answer.stdout.starts_with(&expected), "{answer:?}");
    ensure!(answer.stdout.matches("\n    ").count() == 1 && answer.stdout.contains("2 matched"), "{answer:?}");

    let answer = folder.matched(&["--count", "mail.log"])?.expect(0)?;
    ensure!(answer.stdout.starts_with("4 lines: 2 matched, 1 outage, 0 ignored, 1 missed\n"), "{answer:?}");
    Ok(())
}

#[test]
fn a_line_itself_is_explained() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let iso = FAILURE.replace("Nov 22 12:00:00", "2026-11-22T12:00:00.25+01:00");
    let answer = folder.matched(&[&iso])?.expect(0)?;
    for said in ["means    failure", "postfix-sasl", "2026-11-22 11:00:00+00:00", "198.51.100.7", "alice", "weight   1"]
    {
        ensure!(answer.stdout.contains(said), "no {said:?}: {answer:?}");
    }
    for (line, why) in [
        (OTHER, "no rule matches"),
        ("Nov 22 12:00:00 mail sshd[1]: Failed password for root", "no filter reads lines of `sshd`"),
        ("what is this", "does not start with a time"),
    ] {
        let answer = folder.matched(&["--filter", "postfix-sasl", line])?.expect(1)?;
        ensure!(answer.stdout.contains(why) && answer.stdout.contains("nothing"), "{answer:?}");
    }
    let answer = folder.matched(&[&format!("{FAILURE}{}", "x".repeat(20_000))])?.expect(1)?;
    ensure!(answer.stdout.contains("longer than the 16384 bytes that are read"), "{answer:?}");
    let pasted = format!("{OTHER}\n{FAILURE}\n");
    let answer = folder.matched(&["--json", &pasted])?.expect(0)?;
    ensure!(json(&answer)?[0]["line"] == 2, "{answer:?}");
    // A file is a file, whatever its name.
    folder.write(OTHER.replace('/', "|").as_str(), FAILURE)?;
    folder.matched(&[&OTHER.replace('/', "|")])?.expect(0)?;
    Ok(())
}

#[test]
fn standard_input_is_read_compressed_or_not() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let text = format!("{OTHER}\n{FAILURE}");
    for bytes in [text.as_bytes().to_vec(), gz(text.as_bytes())?, xz(text.as_bytes())?, zst(text.as_bytes())?] {
        let answer = answer(folder.command(&["--json", "-"])?.write_stdin(bytes))?.expect(0)?;
        ensure!(json(&answer)?[0]["line"] == 2, "{answer:?}");
    }
    answer(folder.command(&["-"])?.write_stdin(""))?.expect(1)?;
    Ok(())
}

#[test]
fn years_are_found_from_when_the_file_was_written() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let at = |stamp: &str| FAILURE.replace("Nov 22 12:00:00", stamp);
    let lines = ["Dec 31 23:59:59", "Jan  1 00:00:00", "Feb 29 12:00:00", "Jul 30 12:00:00"].map(at);
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    folder.log("mail.log", &lines, "2024-07-31T00:00:00Z")?;
    let answer = folder.matched(&["--json", "mail.log"])?.expect(0)?;
    let times: Vec<_> =
        json(&answer)?.iter().map(|event| event["at"].as_str().unwrap_or_default().to_owned()).collect();
    let expected = ["2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z", "2024-02-29T12:00:00Z", "2024-07-30T12:00:00Z"];
    ensure!(times == expected, "{times:?}");
    // In the zone of the configuration.
    folder.write("banner.toml", "time_zone = \"Asia/Tokyo\"\n")?;
    let answer = folder.matched(&["--json", "mail.log"])?.expect(0)?;
    ensure!(json(&answer)?[0]["at"] == "2023-12-31T14:59:59Z", "{answer:?}");
    Ok(())
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_and_the_rest_is_read() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("mail.log", FAILURE)?;
    folder.write("empty", "")?;
    let lines: String = (0..20_000).map(|number| format!("{FAILURE}{}\n", number * 7919)).collect();
    for (name, archive) in
        [("cut.gz", gz(lines.as_bytes())?), ("cut.xz", xz(lines.as_bytes())?), ("cut.zst", zst(lines.as_bytes())?)]
    {
        let half = archive.len() / 2;
        folder.write(name, &archive[..half])?;
        let answer = folder.matched(&["--json", name, "mail.log"])?.expect(2)?;
        let kind = name.trim_start_matches("cut.");
        let told = json(&answer)?;
        let read = told.len() - 1;
        let said = format!(
            "error: cannot read {name}: it is no whole {kind} file: it ends at byte {half}, behind line {read};"
        );
        ensure!(answer.stderr.contains(&said), "no {said:?}: {}", answer.stderr);
        ensure!(read > 3_000 && told[read]["file"] == "mail.log", "{name}: {read} lines");
    }
    let mut damaged = gz(lines.as_bytes())?;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 32].fill(0xff);
    folder.write("damaged", damaged)?;
    let answer = folder.matched(&["--count", "damaged", "mail.log"])?.expect(2)?;
    ensure!(answer.stderr.contains("cannot read damaged: it is damaged, or no gz file"), "{answer:?}");

    for (name, said) in [("none", "No such file"), (".", "it is a directory; name the files in it")] {
        let answer = folder.matched(&["--count", name, "mail.log", "empty"])?.expect(2)?;
        ensure!(answer.stderr.contains(&format!("error: cannot read {name}: {said}")), "{answer:?}");
        ensure!(answer.stdout.starts_with("1 line: 1 matched"), "{answer:?}");
    }
    for arguments in [&["none"][..], &["none", "."], &["--count", "none"], &["--count", "--json", "none"]] {
        let answer = folder.matched(arguments)?.expect(2)?;
        ensure!(answer.stderr.starts_with("error: cannot read none"), "{answer:?}");
        ensure!(answer.stdout.is_empty() && !answer.stderr.contains("0 lines"), "numbers of nothing: {answer:?}");
    }
    Ok(())
}

#[test]
fn filters_are_chosen_by_name_and_by_file() -> anyhow::Result<()> {
    const MINE: &str = "ident = [\"mine\"]\n[[rule]]\nkind = \"failure\"\nstart = \"bad \"\npattern = '<ADDR>'\n\
                        example = 'bad 192.0.2.1'\n";
    let folder = Folder::new()?;
    let own = "Nov 22 12:00:00 mail mine[1]: bad 192.0.2.66";
    folder.write("mail.log", format!("{FAILURE}\n{own}\n"))?;
    let lines = |arguments: &[&str], code: i32| -> anyhow::Result<(String, Answer)> {
        let answer = folder.matched(&[&["--json"], arguments, &["mail.log"]].concat())?.expect(code)?;
        let filters =
            json(&answer)?.iter().map(|event| format!("{} ", event["filter"].as_str().unwrap_or("?"))).collect();
        Ok((filters, answer))
    };
    ensure!(lines(&[], 0)?.0 == "postfix-sasl ");
    ensure!(lines(&["--filter", "cyrus"], 1)?.0.is_empty());
    folder.write("elsewhere/mine.toml", MINE)?;
    ensure!(lines(&["--filter", "./elsewhere/mine.toml"], 0)?.0 == "mine ");
    // Beside the configuration it is one of all, and has a name.
    folder.write("filters.d/mine.toml", MINE)?;
    ensure!(lines(&[], 0)?.0 == "postfix-sasl mine ");
    ensure!(lines(&["--filter", "mine", "--filter", "mine", "--filter", "cyrus"], 0)?.0 == "mine ");

    // One that cannot be used is told: where it was named, nothing is done; otherwise the others are used.
    folder.write("filters.d/broken.toml", MINE.replace("<ADDR>", "<ADDR>("))?;
    let (filters, answer) = lines(&[], 2)?;
    ensure!(filters == "postfix-sasl mine " && answer.stderr.contains("broken"), "{filters}, {answer:?}");
    for (name, said) in [("broken", "broken"), ("postfix-sals", "did you mean"), ("./none/mine.toml", "No such file")] {
        let (filters, answer) = lines(&["--filter", name], 2)?;
        ensure!(filters.is_empty() && answer.stderr.contains(said), "{answer:?}");
    }
    Ok(())
}

#[test]
fn a_broken_configuration_stands_in_nobodys_way() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("banner.toml", "intreface = ")?;
    let answer = folder.matched(&["--json", FAILURE])?.expect(0)?;
    ensure!(answer.stderr.starts_with("warning: the configuration cannot be used"), "{answer:?}");
    Ok(())
}

#[test]
fn nothing_of_a_line_steers_the_terminal() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let hostile = "\x1b]0;x\x07\x1b[2J\u{202e}\u{9b}31m\r\0\x7f";
    let mut log = format!("{FAILURE}{hostile}\n{hostile} {FAILURE}\n{OTHER}{hostile}\n").into_bytes();
    log.extend(b"\xff\xfe\x80\n");
    folder.write("\x1bmail.log", log)?;
    for arguments in [&[][..], &["--missed"], &["--json"], &["--count"]] {
        let answer = folder.matched(&[arguments, &["\x1bmail.log", "\x1bnone"]].concat())?.expect(2)?;
        for text in [&answer.stdout, &answer.stderr] {
            let steers = |character: &char| character.is_control() && *character != '\n' || *character == '\u{202e}';
            ensure!(text.chars().find(steers).is_none(), "{arguments:?}: {text:?}");
        }
    }
    // As an argument, and in an error of the arguments themselves.
    let answer = folder.matched(&["a \x1b[31m", "--filter", "\x1b[31m"])?.expect(2)?;
    ensure!(!answer.stderr.contains('\x1b'), "{answer:?}");
    Ok(())
}

#[test]
fn rubbish_and_a_line_of_a_gigabyte_take_no_memory_to_speak_of() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let mut state = 1_u64;
    let rubbish: Vec<u8> = (0..2_000_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    folder.write("rubbish", &rubbish)?;
    folder.matched(&["--missed", "rubbish"])?.expect(1)?;

    let mut bomb = zstd::Encoder::new(File::create(folder.path("bomb"))?, 3)?;
    writeln!(bomb, "{FAILURE}")?;
    for _ in 0..1024 {
        bomb.write_all(&[b'x'; 1 << 20])?;
    }
    write!(bomb, "\n{FAILURE}\n")?;
    bomb.finish()?;
    let command = folder.command(&["--json", "--count", "bomb"])?;
    let mut limited = assert_cmd::Command::new("sh");
    // 256 MiB of addresses: program, libraries and buffers.
    limited.args(["-c", "ulimit -v 262144 && exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    limited.current_dir(folder.0.path()).env("TZ", "UTC").timeout(Duration::from_secs(120));
    let answer = answer(&mut limited)?.expect(0)?;
    let totals = &json(&answer)?[0];
    ensure!(totals["lines"] == 3 && totals["matched"] == 2 && totals["overlong"] == 1, "{totals}");
    let answer = folder.matched(&["--missed", "bomb"])?.expect(0)?;
    ensure!(answer.stdout.contains("2: 1073741824 bytes\n    longer than the 16384 bytes"), "{answer:?}");
    Ok(())
}

#[test]
fn a_broken_pipe_is_quiet() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("mail.log", format!("{FAILURE}\n").repeat(20_000))?;
    let command = folder.command(&["mail.log"])?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut command = Command::new(command.get_program());
    command.current_dir(folder.0.path()).args(["match", "mail.log"]).stdout(writer).stderr(Stdio::piped());
    let output = command.spawn()?.wait_with_output()?;
    ensure!(output.status.code() == Some(0) && output.stderr.is_empty(), "{output:?}");
    Ok(())
}

#[test]
fn a_file_that_may_not_be_read_is_told() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("mail.log", FAILURE)?;
    fs::set_permissions(folder.path("mail.log"), Permissions::from_mode(0o000))?;
    if File::open(folder.path("mail.log")).is_ok() {
        return Ok(()); // Root may.
    }
    let answer = folder.matched(&["mail.log"])?.expect(2)?;
    ensure!(answer.stderr.contains("cannot read mail.log: Permission denied"), "{answer:?}");
    Ok(())
}
