//! What is in a journal file is handed on, each entry once.

use super::*;

#[tokio::test]
async fn every_entry_is_a_line_with_its_writer_and_number() {
    let directory = tempfile::tempdir().unwrap();
    let odd = entry(3, "three").replace("SYSLOG_IDENTIFIER=postfix/smtpd\n", "");
    let kernel = entry(5, "five").replace("_TRANSPORT=syslog", "_TRANSPORT=kernel");
    let bare = entry(6, "six").replace("_EXE=/usr/lib/postfix/sbin/smtpd\n_SYSTEMD_UNIT=postfix@-.service\n", "");
    let broken = entry(4, "four").replace("MESSAGE=four", "MESSAGE\n\x05\0\0\0\0\0\0\0a\nb\nc");
    let entries = [entry(1, "one"), entry(2, &"x".repeat(20_000)), odd, broken, kernel, bare].concat();
    if !write_journal(directory.path(), "system.journal", &entries) {
        return;
    }
    let (mut journal, mut heard) = (journal(directory.path(), None), Heard::default());
    heard.until(&mut journal, |heard| heard.lines.len() == 3).await;
    assert_eq!(heard.lines[0], "2026-11-22T17:53:20.001000Z mail postfix/smtpd[4711]: one");
    assert_eq!(heard.messages(), ["one", "a#012b#012c", "six"]);
    let smtpd = r#"Some(0) Some("root") Some("/usr/lib/postfix/sbin/smtpd") Some("postfix@-.service")"#;
    assert_eq!(heard.writers, [smtpd, smtpd, r#"Some(0) Some("root") None None"#]);
    assert_eq!((&*heard.offsets, &*heard.live), (&[1, 4, 6][..], &[false; 3][..]));
    assert_eq!(heard.notices, [Notice::Overlong { entries: 1 }]);
    assert_eq!((journal.counters().entries, journal.counters().overlong), (5, 1));
}

#[tokio::test]
async fn what_journald_threw_away_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let suppressed = |number, transport: &str| {
        entry(number, &format!("Suppressed {number} messages from postfix@-.service"))
            .replace("_TRANSPORT=syslog", &format!("_TRANSPORT={transport}"))
            .replace(
                "SYSLOG_IDENTIFIER=postfix/smtpd",
                "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\nSYSLOG_IDENTIFIER=x",
            )
    };
    // The second is a client's own.
    let entries =
        [suppressed(7, "driver"), suppressed(8, "journal"), suppressed(9, "driver"), entry(10, "ten")].concat();
    if !write_journal(directory.path(), "system.journal", &entries) {
        return;
    }
    let (mut journal, mut heard) = (journal(directory.path(), None), Heard::default());
    heard.until(&mut journal, |heard| heard.lines.len() == 2).await;
    assert_eq!(heard.notices, [Notice::Suppressed { unit: b"postfix@-.service"[..].into(), messages: 7 }]);
    assert_eq!(journal.counters().suppressed, 16);
}

#[tokio::test]
async fn a_restart_goes_on_after_the_last_entry() {
    let directory = tempfile::tempdir().unwrap();
    let entries: String = (0..50).map(|number| entry(number, &number.to_string())).collect();
    if !write_journal(directory.path(), "system.journal", &entries) {
        return;
    }
    let expected: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    let (mut position, mut heard, mut runs): (Option<JournalPosition>, _, _) = (None, Heard::default(), 0);
    while heard.lines.len() < 50 {
        // What is kept is text.
        let kept = position.map(|position| position.to_string().parse().unwrap());
        let (mut journal, before) = (journal(directory.path(), kept), heard.lines.len());
        // Some entries at a time: the rest of the pipe is lost with the process.
        heard.until(&mut journal, |heard| heard.lines.len() > before).await;
        position = journal.position();
        runs += 1;
    }
    assert!(runs > 2, "{runs}");
    assert_eq!(heard.messages(), expected);
    assert_eq!(heard.notices, []);
}

#[tokio::test]
async fn what_was_removed_before_it_was_read_is_told_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    if !write_journal(directory.path(), "system.journal", &[entry(1, "one"), entry(2, "two")].concat()) {
        return;
    }
    let (mut first, mut heard) = (journal(directory.path(), None), Heard::default());
    heard.until(&mut first, |heard| heard.lines.len() == 2).await;
    let position = first.position();
    drop(first);

    // The same entries, copied by another journald: nothing is gone.
    std::fs::remove_file(directory.path().join("system.journal")).unwrap();
    write_journal(directory.path(), "system.journal", &[entry(1, "one"), entry(2, "two"), entry(3, "three")].concat());
    let (mut again, mut heard) = (journal(directory.path(), position), Heard::default());
    heard.until(&mut again, |heard| !heard.lines.is_empty()).await;
    assert_eq!((heard.messages(), &*heard.notices), (vec!["three"], &[][..]));
    drop(again);

    std::fs::remove_file(directory.path().join("system.journal")).unwrap();
    write_journal(directory.path(), "system.journal", &[entry(5, "five"), entry(6, "six")].concat());
    let (mut again, mut heard) = (journal(directory.path(), position), Heard::default());
    heard.until(&mut again, |heard| heard.lines.len() == 2).await;
    assert_eq!(heard.messages(), ["five", "six"]);
    let second = WallTime(1_795_370_000_002_000);
    assert_eq!(heard.notices, [Notice::Vacuumed { from: second, to: WallTime(second.0 + 3000) }]);
    assert_eq!(again.counters().gaps, 1);
}

#[tokio::test]
async fn reading_begins_so_long_ago() {
    let directory = tempfile::tempdir().unwrap();
    let now = WallTime(1_795_370_000_000_000);
    let entries = [entry(1, "old"), entry(9000, "new"), entry(10_000, "newer")].concat();
    if !write_journal(directory.path(), "system.journal", &entries) {
        return;
    }
    let now = Now { wall: WallTime(now.0 + 12_000_000), ..Now::read() };
    let journalctl = Journalctl::system().of_directory(directory.path());
    let mut journal = Journal::new(journalctl, None, Duration::from_secs(4), now);
    let mut heard = Heard::default();
    heard.until(&mut journal, |heard| heard.lines.len() == 2).await;
    assert_eq!(heard.messages(), ["new", "newer"]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_before_a_boot_hides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    if !write_journal(directory.path(), "system.journal", &[entry(1, "one"), entry(2, "two")].concat()) {
        return;
    }
    // Of a boot that the journal knows nothing of, a year later.
    let later = 1_795_370_000_000_000_u64 + 365 * 86_400_000_000;
    let position =
        format!("s=00000000000000000000000000000001;i=1;b=00000000000000000000000000000002;m=1;t={later:x};x=1");
    let now = Now { wall: WallTime(1_795_370_001_000_000), ..Now::read() };
    let journalctl = Journalctl::system().of_directory(directory.path());
    let mut journal = Journal::new(journalctl, position.parse().ok(), Duration::from_secs(60), now);
    let deadline = Instant::now() + PATIENCE;
    let mut lines = 0;
    while lines < 2 {
        journal.poll(now, 4096, &mut |_| lines += 1, &mut |notice| panic!("{notice}"));
        timeout_at(deadline, journal.wait()).await.unwrap();
    }
}
