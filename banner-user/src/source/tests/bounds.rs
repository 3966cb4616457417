//! What happens where there is too much.

use super::*;
use crate::source::{DRAINING_MAX, FILES_MAX};

#[test]
fn of_too_many_files_the_named_and_the_last_written_are_followed() {
    let mut bench = Bench::new(&["named", "*.log"]);
    let start = std::time::SystemTime::now();
    let write = |bench: &Bench, name: &str, bytes: &str, second: u64| {
        bench.append(name, bytes);
        bench.open(name).set_modified(start + Duration::from_secs(second)).unwrap();
    };
    write(&bench, "named", "", 0);
    for number in 0..FILES_MAX + 4 {
        write(&bench, &format!("{number:04}.log"), "", 1 + number as u64);
    }
    bench.poll();
    assert_eq!(bench.follower.files().count(), FILES_MAX);
    assert_eq!(bench.take_notices(), [Notice::TooManyFiles { matched: FILES_MAX + 5 }]);
    // 0 to 4 were written first. One that is written to now gets a place, and 5 loses it.
    write(&bench, "0002.log", "not followed yet\n", 10_000);
    write(&bench, "0005.log", "followed\n", 6);
    write(&bench, "named", "named\n", 0);
    assert_eq!(bench.read(), ["named", "followed"]);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.read(), ["not followed yet"]);
    bench.pass(DRAIN);
    bench.poll();
    assert_eq!(bench.follower.files().count(), FILES_MAX);
    assert!(bench.follower.files().all(|file| file.path != bench.path("0005.log")));
    assert_eq!(bench.take_notices(), []);
    // It comes back where it was left.
    write(&bench, "0005.log", "again\n", 20_000);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.read(), ["again"]);
}

#[test]
fn of_too_many_rotated_files_the_one_quiet_longest_is_closed() {
    let mut bench = Bench::with_log();
    let mut writers = Vec::new();
    for round in 0..=DRAINING_MAX {
        writers.push(bench.open("log"));
        bench.rename("log", &format!("log.{round}"));
        bench.append("log", "");
        bench.pass(Duration::from_millis(10));
        bench.poll();
    }
    assert_eq!(bench.status("log").draining, DRAINING_MAX);
    let told = Notice::DrainCutShort { path: bench.path("log"), unread: 0 };
    assert_eq!(bench.notices.iter().filter(|notice| **notice == told).count(), 1);
    for (round, writer) in writers.iter_mut().enumerate() {
        writer.write_all(format!("{round}\n").as_bytes()).unwrap();
    }
    assert_eq!(bench.read(), (1..=DRAINING_MAX).map(|round| round.to_string()).collect::<Vec<_>>());
}
