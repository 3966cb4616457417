//! The wake-up, in real time, and but for one test without the poll that would find everything in the end.

use std::time::Instant;

use super::*;
use crate::source::{POLL_INTERVAL, WATCHED_INTERVAL, Wakeup};

/// Far above what a wake-up takes on a busy machine, far below the poll.
const PATIENCE: Duration = Duration::from_secs(20);

/// Within this, nothing comes.
const A_WHILE: Duration = Duration::from_millis(50);

/// Lets everything that was done so far be told and read.
async fn settle(bench: &mut Bench, wakeup: &mut Wakeup) {
    for _ in 0..4 {
        bench.poll();
        assert_eq!(wakeup.watch(&bench.follower).await, None);
        let _ = tokio::time::timeout(Duration::from_millis(20), wakeup.wait(Progress::Idle)).await;
    }
    bench.lines.clear();
}

/// Runs the loop until a line has come, as the daemon does. Returns how long it took.
async fn until_line(bench: &mut Bench, wakeup: &mut Wakeup) -> Duration {
    let start = Instant::now();
    let lines = async {
        while bench.lines.is_empty() {
            turn(bench, wakeup).await;
        }
    };
    tokio::time::timeout(PATIENCE, lines).await.expect("woken");
    bench.lines.clear();
    start.elapsed()
}

async fn turn(bench: &mut Bench, wakeup: &mut Wakeup) {
    assert_eq!(wakeup.wait(Progress::Idle).await, None);
    bench.poll();
    assert_eq!(wakeup.watch(&bench.follower).await, None);
}

#[tokio::test]
async fn an_appended_line_wakes_at_once() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::without_polling();
    settle(&mut bench, &mut wakeup).await;
    let mut taken = Vec::new();
    for _ in 0..50 {
        bench.append("log", "line\n");
        taken.push(until_line(&mut bench, &mut wakeup).await);
        // The next one is the first after a pause.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    taken.sort_unstable();
    eprintln!("append to line: median {:?}, worst {:?}", taken[25], taken[49]);
}

#[tokio::test]
async fn wake_ups_go_on_after_every_kind_of_rotation() {
    for round in 0..8 {
        let mut bench = Bench::with_log();
        let mut wakeup = Wakeup::without_polling();
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
                turn(&mut bench, &mut wakeup).await;
                bench.append("log", "in the new file\n");
            }
            _ => {
                bench.truncate("log");
                bench.append("log", "in the new file\n");
            }
        }
        until_line(&mut bench, &mut wakeup).await;
        settle(&mut bench, &mut wakeup).await;
        bench.append("log", "more\n");
        until_line(&mut bench, &mut wakeup).await;
        settle(&mut bench, &mut wakeup).await;
        old.write_all(b"more\n").unwrap();
        until_line(&mut bench, &mut wakeup).await;
    }
}

#[tokio::test]
async fn a_missing_file_wakes_when_it_appears() {
    let mut bench = Bench::new(&["log", "no/such/directory/log"]);
    let mut wakeup = Wakeup::without_polling();
    settle(&mut bench, &mut wakeup).await;
    bench.append("log", "first\n");
    until_line(&mut bench, &mut wakeup).await;
}

#[tokio::test]
async fn without_a_change_the_poll_comes_on_time_even_where_the_wait_is_dropped_again_and_again() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::new();
    settle(&mut bench, &mut wakeup).await;
    wakeup.wait(Progress::Idle).await;
    let start = Instant::now();
    while tokio::time::timeout(Duration::from_millis(20), wakeup.wait(Progress::Idle)).await.is_err() {}
    let taken = start.elapsed();
    assert!((WATCHED_INTERVAL - A_WHILE..PATIENCE).contains(&taken), "{taken:?}");
}

#[tokio::test]
async fn polls_come_sooner_where_nothing_can_be_watched() {
    let mut bench = Bench::new(&["no/such/directory/log"]);
    let mut wakeup = Wakeup::new();
    settle(&mut bench, &mut wakeup).await;
    wakeup.wait(Progress::Idle).await;
    // The shortest of some: each may take longer on a busy machine.
    let mut shortest = PATIENCE;
    for _ in 0..5 {
        let start = Instant::now();
        wakeup.wait(Progress::Idle).await;
        shortest = shortest.min(start.elapsed());
    }
    assert!((POLL_INTERVAL - A_WHILE..WATCHED_INTERVAL).contains(&shortest), "{shortest:?}");
}

#[tokio::test]
async fn many_changes_wake_a_few_times() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::without_polling();
    settle(&mut bench, &mut wakeup).await;
    for _ in 0..1000 {
        bench.append("log", "line\n");
    }
    let mut woken = 0;
    while tokio::time::timeout(A_WHILE, wakeup.wait(Progress::Idle)).await.is_ok() {
        bench.poll();
        woken += 1;
    }
    assert_eq!(bench.lines.len(), 1000);
    assert!(woken <= 100, "{woken} times");
}

#[tokio::test]
async fn a_wait_that_is_dropped_has_not_swallowed_a_change() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::without_polling();
    settle(&mut bench, &mut wakeup).await;
    let mut dropped = 0;
    for _ in 0..50 {
        // Two changes at once: the second is held back for a moment, and its wait dropped in that moment.
        for _ in 0..2 {
            bench.append("log", "line\n");
            if tokio::time::timeout(Duration::from_micros(500), wakeup.wait(Progress::Idle)).await.is_err() {
                dropped += 1;
                tokio::time::timeout(PATIENCE, wakeup.wait(Progress::Idle)).await.expect("woken");
            }
        }
    }
    assert!(dropped > 0);
}

#[tokio::test]
async fn a_poll_that_left_something_is_followed_by_another_at_once() {
    let mut wakeup = Wakeup::without_polling();
    let waits = async {
        for _ in 0..100 {
            assert_eq!(wakeup.wait(Progress::More).await, None);
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("no wait");
}

#[tokio::test]
async fn a_poll_that_is_brought_forward_comes_at_once_but_not_twice() {
    let mut bench = Bench::with_log();
    let mut wakeup = Wakeup::without_polling();
    settle(&mut bench, &mut wakeup).await;
    tokio::time::sleep(POLL_INTERVAL).await;
    wakeup.bring_forward();
    tokio::time::timeout(PATIENCE, turn(&mut bench, &mut wakeup)).await.expect("brought forward");
    wakeup.bring_forward();
    let again = tokio::time::timeout(A_WHILE, wakeup.wait(Progress::Idle)).await;
    assert!(again.is_err(), "polled twice within {A_WHILE:?}");
}
