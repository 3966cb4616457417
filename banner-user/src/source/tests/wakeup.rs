//! The wake-up, in real time: it must come long before the poll would.

use std::time::Instant;

use super::*;
use crate::source::{POLL_INTERVAL, Wakeup};

/// Far above what a wake-up takes, far below the poll.
const SOON: Duration = Duration::from_millis(100);

/// Lets everything that was done so far be told and read.
async fn settle(bench: &mut Bench, wakeup: &mut Wakeup) {
    for _ in 0..4 {
        bench.poll();
        assert_eq!(wakeup.watch(&bench.follower).await, None);
        let _ = tokio::time::timeout(Duration::from_millis(20), wakeup.wait(Progress::Idle)).await;
    }
    bench.lines.clear();
}

/// Runs the loop until a line has come, as the daemon does. Returns how long it took, or none if it was the poll that found it.
async fn until_line(bench: &mut Bench, wakeup: &mut Wakeup) -> Option<Duration> {
    let start = Instant::now();
    while bench.lines.is_empty() && start.elapsed() < Duration::from_secs(5) {
        wakeup.wait(Progress::Idle).await;
        bench.poll();
        wakeup.watch(&bench.follower).await;
    }
    bench.lines.pop()?;
    Some(start.elapsed()).filter(|elapsed| *elapsed < SOON)
}

#[tokio::test]
async fn an_appended_line_wakes_at_once() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::new();
    settle(&mut bench, &mut wakeup).await;
    let mut taken = Vec::new();
    for _ in 0..50 {
        bench.append("log", "line\n");
        taken.push(until_line(&mut bench, &mut wakeup).await.expect("woken"));
    }
    taken.sort_unstable();
    eprintln!("append to line: median {:?}, worst {:?}", taken[25], taken[49]);
}

#[tokio::test]
async fn wake_ups_go_on_after_every_kind_of_rotation() {
    for round in 0..8 {
        let mut bench = Bench::with_log();
        let mut wakeup = Wakeup::new();
        settle(&mut bench, &mut wakeup).await;
        let mut old = bench.open("log");
        match round % 4 {
            0 => {
                bench.rename("log", "log.1");
                bench.append("log", "in the new file\n");
            }
            1 => {
                bench.append("log.new", "in the new file\n");
                bench.rename("log.new", "log");
            }
            2 => {
                fs::remove_file(bench.path("log")).unwrap();
                until_idle(&mut bench, &mut wakeup).await;
                bench.append("log", "in the new file\n");
            }
            _ => {
                bench.truncate("log");
                bench.append("log", "in the new file\n");
            }
        }
        assert!(until_line(&mut bench, &mut wakeup).await.is_some(), "rotation {round}");
        settle(&mut bench, &mut wakeup).await;
        bench.append("log", "more\n");
        assert!(until_line(&mut bench, &mut wakeup).await.is_some(), "new file after rotation {round}");
        settle(&mut bench, &mut wakeup).await;
        old.write_all(b"more\n").unwrap();
        assert!(until_line(&mut bench, &mut wakeup).await.is_some(), "old file after rotation {round}");
    }
}

async fn until_idle(bench: &mut Bench, wakeup: &mut Wakeup) {
    wakeup.wait(Progress::Idle).await;
    bench.poll();
    wakeup.watch(&bench.follower).await;
}

#[tokio::test]
async fn a_missing_file_wakes_when_it_appears() {
    let mut bench = Bench::new(&["log", "no/such/directory/log"]);
    let mut wakeup = Wakeup::new();
    settle(&mut bench, &mut wakeup).await;
    bench.append("log", "first\n");
    assert!(until_line(&mut bench, &mut wakeup).await.is_some());
}

#[tokio::test]
async fn without_a_change_the_poll_comes_on_time_even_where_the_wait_is_dropped_again_and_again() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::new();
    settle(&mut bench, &mut wakeup).await;
    let start = Instant::now();
    while tokio::time::timeout(Duration::from_millis(20), wakeup.wait(Progress::Idle)).await.is_err() {}
    let taken = start.elapsed();
    assert!((POLL_INTERVAL - Duration::from_millis(50)..POLL_INTERVAL + SOON).contains(&taken), "{taken:?}");
}

#[tokio::test]
async fn many_changes_wake_once() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::new();
    settle(&mut bench, &mut wakeup).await;
    for _ in 0..100 {
        bench.append("log", "line\n");
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    for expected in [100, 0] {
        let start = Instant::now();
        wakeup.wait(Progress::Idle).await;
        assert_eq!(start.elapsed() < SOON, expected > 0);
        assert_eq!(bench.read().len(), expected);
    }
}

#[tokio::test]
async fn a_wait_that_is_dropped_has_not_swallowed_a_change() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::new();
    settle(&mut bench, &mut wakeup).await;
    let mut dropped = 0;
    for _ in 0..50 {
        // Two changes at once: the second is held back for a moment, and its wait dropped in that moment.
        for _ in 0..2 {
            bench.append("log", "line\n");
            if tokio::time::timeout(Duration::from_micros(500), wakeup.wait(Progress::Idle)).await.is_err() {
                dropped += 1;
                let start = Instant::now();
                wakeup.wait(Progress::Idle).await;
                assert!(start.elapsed() < SOON);
            }
        }
    }
    assert!(dropped > 0);
}

#[tokio::test]
async fn a_poll_that_left_something_is_followed_by_another_at_once() {
    let mut wakeup = Wakeup::new();
    let start = Instant::now();
    for _ in 0..1000 {
        assert_eq!(wakeup.wait(Progress::More).await, None);
    }
    assert!(start.elapsed() < SOON);
}
