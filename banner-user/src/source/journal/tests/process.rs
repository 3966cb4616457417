//! journalctl fails, and is started again.

use super::*;

/// A program that does what journalctl does: its own arguments are in `$*`.
fn script(directory: &Path, text: &str) -> Journalctl {
    let (written, path) = (directory.join("text"), directory.join("journalctl"));
    std::fs::write(&written, format!("#!/bin/sh\n{text}\n")).unwrap();
    install_program(&written, &path);
    Journalctl::system().with_program(&path)
}

fn entry_at(number: u64) -> String {
    format!(
        "__CURSOR=s=00000000000000000000000000000001;i={number:x};b=00000000000000000000000000000002;m={number:x};t={number:x};x=1\\n\
         __REALTIME_TIMESTAMP={number}\\nSYSLOG_IDENTIFIER=x\\n_PID=1\\nMESSAGE={number}\\n\\n"
    )
}

#[tokio::test]
async fn a_killed_journalctl_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    // Each run begins with the entry that it is told to begin with, has one new one and half of another, and dies.
    let text = format!(
        "case \"$*\" in\n\
         *--cursor=*i=2\\;*) printf '{two}{three}' ; sleep 60;;\n\
         *--cursor=*i=1\\;*) printf '{one}{two}__CURSOR=s=0000'; echo oh no >&2; kill -9 $$;;\n\
         *--since=@*) printf '{one}'; kill -9 $$;;\n\
         esac",
        one = entry_at(1),
        two = entry_at(2),
        three = entry_at(3)
    );
    let journalctl = script(directory.path(), &text);
    let mut journal = Journal::new(journalctl, None, Duration::from_secs(60), Now::read());
    let (mut heard, start) = (Heard::default(), Instant::now());
    heard.until(&mut journal, |heard| heard.lines.len() == 3).await;
    assert_eq!(heard.messages(), ["1", "2", "3"]);
    // Told once, although it died twice; after 0.1 s and 0.2 s.
    assert_eq!(heard.notices, [Notice::Ended { how: "signal: 9 (SIGKILL)".to_owned(), said: None }]);
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(journal.counters().starts, 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_tried_more_and_more_seldom_and_told_once() {
    let program = Path::new("/nonexistent/journalctl");
    let journalctl = Journalctl::system().with_program(program);
    let mut journal = Journal::new(journalctl, None, Duration::from_secs(60), Now::read());
    let (mut heard, start, mut starts) = (Heard::default(), Instant::now(), Vec::new());
    while journal.counters().starts < 12 {
        heard.poll(&mut journal);
        starts.push(start.elapsed().as_millis());
        journal.wait().await;
    }
    assert_eq!(starts, [0, 100, 300, 700, 1500, 3100, 6300, 12_700, 25_500, 51_100, 81_100, 111_100]);
    let [notice @ Notice::NotStarted { is_missing: true, .. }] = &*heard.notices else { panic!("{heard:?}") };
    assert!(notice.to_string().starts_with("/nonexistent/journalctl does not exist"), "{notice}");
    assert_eq!(journal.state(), JournalState::Failed);
}

#[tokio::test]
async fn what_it_says_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let journalctl = script(directory.path(), "printf 'no \\033[1mfiles\\nmore\\n' >&2; exit 1");
    let mut journal = Journal::new(journalctl, None, Duration::from_secs(60), Now::read());
    let mut heard = Heard::default();
    heard.until(&mut journal, |heard| !heard.notices.is_empty()).await;
    let said = Some("no \\u{1b}[1mfiles".to_owned());
    assert_eq!(heard.notices, [Notice::Ended { how: "exit status: 1".to_owned(), said }]);
}

#[tokio::test]
async fn what_is_no_journal_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    for text in ["printf 'MESSAGE=x\\n\\n'", "printf '__CURSOR=x\\n\\n'", "head -c 1000000 /dev/zero | tr '\\0' '\\n'"]
    {
        let journalctl = script(directory.path(), &format!("{text}; sleep 60"));
        let mut journal = Journal::new(journalctl, None, Duration::from_secs(60), Now::read());
        let mut heard = Heard::default();
        heard.until(&mut journal, |heard| !heard.notices.is_empty()).await;
        let [Notice::Ended { how, .. }] = &*heard.notices else { panic!("{heard:?}") };
        assert_eq!(
            (how.as_str(), heard.lines.len()),
            ("what it writes is not the journal's export format", 0),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_flood_of_complaints_holds_nothing_up() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("head -c 1000000 /dev/zero >&2; printf '{}'; sleep 60", entry_at(1));
    let mut journal = Journal::new(script(directory.path(), &text), None, Duration::from_secs(60), Now::read());
    let mut heard = Heard::default();
    heard.until(&mut journal, |heard| heard.lines.len() == 1).await;
}

#[tokio::test]
async fn one_poll_hands_on_no_more_than_its_budget() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("for i in 1 2 3 4 5 6 7 8; do printf '{}{}'; done; sleep 60", entry_at(1), entry_at(2));
    let mut journal = Journal::new(script(directory.path(), &text), None, Duration::from_secs(60), Now::read());
    let size = entry_at(1).replace("\\n", "n").len();
    let (mut lines, deadline) = (0, Instant::now() + PATIENCE);
    while lines < 16 {
        let before = lines;
        journal.poll(Now::read(), 3 * size, &mut |_| lines += 1, &mut |notice| panic!("{notice}"));
        assert!(lines - before <= 3, "{}", lines - before);
        timeout_at(deadline, journal.wait()).await.unwrap();
    }
}
