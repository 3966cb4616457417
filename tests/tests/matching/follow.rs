//! `banner match --follow`: killed, ended and started again while logs are written, rotated and compressed.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout},
};

use banner_tests::patience::until;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;

/// A line whose user is a number, so that each can be told from every other.
fn failure(number: usize) -> String {
    FAILURE.replace("alice", &format!("user{number}")) + "\n"
}

/// A `banner match --follow` that runs, and is killed when it is dropped.
struct Followed {
    child: Child,
    folder: PathBuf,
    name: String,
}

impl Followed {
    /// Prints into a file of the folder, behind what an earlier one has printed there.
    fn start(folder: &Folder, arguments: &[&str]) -> anyhow::Result<Self> {
        let output = File::options().create(true).append(true).open(folder.path("output"))?;
        let errors = File::options().create(true).append(true).open(folder.path("errors"))?;
        let child = Self::command(folder, arguments)?.stdout(output).stderr(errors).spawn()?;
        Ok(Self { child, folder: folder.0.path().to_owned(), name: "output".to_owned() })
    }

    fn command(folder: &Folder, arguments: &[&str]) -> anyhow::Result<Command> {
        let command = folder.command(&[&["--follow", "--json"], arguments].concat())?;
        let mut copy = Command::new(command.get_program());
        copy.args(command.get_args()).current_dir(folder.0.path()).env("TZ", "UTC").stdin(Stdio::null());
        Ok(copy)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    fn end(mut self, signal: Signal) -> anyhow::Result<Option<i32>> {
        self.signal(signal)?;
        Ok(until("it ends", || Ok(self.child.try_wait()?))?.code())
    }

    /// The users of all whole lines that were printed, in their order.
    fn users(&self) -> anyhow::Result<Vec<usize>> {
        users(&fs::read_to_string(self.folder.join(&self.name))?)
    }

    fn await_user(&self, number: usize) -> anyhow::Result<()> {
        until(&format!("user{number} is printed"), || Ok(self.users()?.contains(&number).then_some(())))
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn users(output: &str) -> anyhow::Result<Vec<usize>> {
    let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let user = |line: &str| -> anyhow::Result<usize> {
        let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let user = event.get("user").and_then(Value::as_str).and_then(|user| user.strip_prefix("user"));
        Ok(user.with_context(|| line.to_owned())?.parse()?)
    };
    whole.lines().map(user).collect()
}

fn append(folder: &Folder, text: &str) -> anyhow::Result<()> {
    Ok(File::options().create(true).append(true).open(folder.path("mail.log"))?.write_all(text.as_bytes())?)
}

/// Waits until what was read is saved, too.
fn await_saved(folder: &Folder) -> anyhow::Result<()> {
    let length = fs::metadata(folder.path("mail.log"))?.len();
    until("the positions are saved", || {
        let Ok(text) = fs::read_to_string(folder.path("positions")) else { return Ok(None) };
        let saved: Value = serde_json::from_str(&text).context("what was renamed is whole")?;
        let mut files = saved.get("files").and_then(Value::as_array).into_iter().flatten();
        let is_read =
            |file: &Value| file.get("offset") == Some(&length.into()) && file.get("state") == Some(&"open".into());
        Ok(files.any(is_read).then_some(()))
    })
}

const ARGUMENTS: [&str; 5] = ["--filter", "postfix-sasl", "--positions", "positions", "mail.log"];

#[test]
fn what_is_killed_again_and_again_loses_no_line_through_rotations_and_compression() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("mail.log", "")?;
    let mut followed = Followed::start(&folder, &ARGUMENTS)?;
    await_saved(&folder)?;
    let mut next = 0;
    let mut generation = 1000;
    for round in 0..24 {
        for _ in 0..20 {
            append(&folder, &failure(next))?;
            next += 1;
        }
        // At any moment: before these lines are read, in the middle, or long after.
        if round % 3 == 0 {
            followed.await_user(next - 1)?;
        }
        if round % 6 == 0 {
            await_saved(&folder)?;
        }
        followed.signal(Signal::SIGKILL)?;
        drop(followed);
        append(&folder, &failure(next))?;
        next += 1;
        let rotated = format!("mail.log.{generation}");
        match round % 4 {
            0 => {}
            1 => fs::rename(folder.path("mail.log"), folder.path(&rotated))?,
            2 => {
                fs::rename(folder.path("mail.log"), folder.path(&rotated))?;
                folder.write(&format!("{rotated}.gz"), gz(&fs::read(folder.path(&rotated))?)?)?;
                fs::remove_file(folder.path(&rotated))?;
            }
            _ => {
                fs::copy(folder.path("mail.log"), folder.path(&rotated))?;
                File::options().write(true).open(folder.path("mail.log"))?.set_len(0)?;
            }
        }
        generation -= 1;
        append(&folder, &failure(next))?;
        next += 1;
        followed = Followed::start(&folder, &ARGUMENTS)?;
        followed.await_user(next - 1)?;
    }
    let seen = followed.users()?;
    ensure!(followed.end(Signal::SIGTERM)? == Some(0));
    let lost: Vec<_> = (0..next).filter(|number| !seen.contains(number)).collect();
    ensure!(lost.is_empty(), "lost {lost:?}; {}", fs::read_to_string(folder.path("errors"))?);
    // Each is first printed in its place, and again only what was printed in the last moment before a kill.
    let mut first = Vec::new();
    for number in &seen {
        if !first.contains(number) {
            first.push(*number);
        }
    }
    ensure!(first.is_sorted(), "{first:?}");
    ensure!(seen.len() < next + 24 * 21, "{} of {next} lines", seen.len());
    Ok(())
}

#[test]
fn what_is_ended_in_order_prints_every_line_just_once() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("mail.log", failure(1000))?;
    let mut next = 0;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM] {
        let followed = Followed::start(&folder, &ARGUMENTS)?;
        await_saved(&folder)?;
        for _ in 0..100 {
            append(&folder, &failure(next))?;
            next += 1;
        }
        followed.await_user(next - 1)?;
        ensure!(followed.end(signal)? == Some(0), "{signal}");
        // While nobody reads.
        append(&folder, &failure(next))?;
        next += 1;
    }
    let followed = Followed::start(&folder, &ARGUMENTS)?;
    followed.await_user(next - 1)?;
    ensure!(followed.users()? == (0..next).collect::<Vec<_>>(), "{:?}", followed.users()?);
    Ok(())
}

#[test]
fn an_object_has_its_file_and_its_offset_besides_the_usual_keys() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("mail.log", "before\n")?;
    folder.write("other.log", "")?;
    let mut child = Followed::command(&folder, &["mail.log", "other.log", "--positions", "positions"])?
        .stdout(Stdio::piped())
        .spawn()?;
    await_saved(&folder)?;
    append(&folder, &format!("{OTHER}\n{FAILURE}\n"))?;
    let stdout = child.stdout.take().context("stdout")?;
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let path = folder.path("mail.log");
    let expected = format!(
        "{{\"file\":{path:?},\"line\":2,\"offset\":{},\"filter\":\"postfix-sasl\",\"addr\":\"198.51.100.7\",\"user\":\"alice\",\
         \"weight\":1,\"kind\":\"failure\",\"at\":",
        "before\n".len() + OTHER.len() + 1
    );
    ensure!(line.starts_with(&expected), "{line}{expected}");
    // Nobody reads on: it ends, though nothing is printed.
    drop::<BufReader<ChildStdout>>(lines);
    let ended = until("it ends", || Ok(child.try_wait()?));
    drop(child.kill());
    ensure!(ended?.code() == Some(0));
    Ok(())
}

#[test]
fn a_damaged_file_of_positions_is_told_and_left_alone() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("mail.log", "")?;
    folder.write("positions", "{\"version\":1,")?;
    let answer = folder.matched(&["--follow", "--positions", "positions", "mail.log"])?.expect(2)?;
    ensure!(answer.stderr.contains("positions holds no positions of banner, or is damaged"), "{answer:?}");
    ensure!(answer.stderr.contains("remove it"), "{answer:?}");
    ensure!(fs::read_to_string(folder.path("positions"))? == "{\"version\":1,");
    let answer = folder.matched(&["--follow", "--positions", "none/positions", "mail.log"])?.expect(2)?;
    ensure!(answer.stderr.contains("cannot save the positions in none/positions: No such file"), "{answer:?}");
    for subject in ["-", "Nov 22 12:00:00 a line"] {
        let answer = folder.matched(&["--follow", subject])?.expect(2)?;
        ensure!(answer.stderr.contains("--follow needs log files"), "{answer:?}");
    }
    Ok(())
}

#[test]
fn without_positions_it_begins_at_the_end() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.write("mail.log", failure(0))?;
    let followed = Followed::start(&folder, &["--filter", "postfix-sasl", "mail.log"])?;
    // When it is read from is not to be seen: something is written until it comes.
    let mut next = 1;
    until("a line is printed", || {
        append(&folder, &failure(next))?;
        next += 1;
        Ok((!followed.users()?.is_empty()).then_some(()))
    })?;
    ensure!(!followed.users()?.contains(&0));
    let mut errors = String::new();
    File::open(folder.path("errors"))?.read_to_string(&mut errors)?;
    ensure!(errors.is_empty(), "{errors}");
    Ok(())
}
