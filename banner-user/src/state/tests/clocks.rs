use super::*;

/// The store of a machine with one ban of an hour, made at second 0, whose daemon has just died.
fn banned() -> (World, SavedBan) {
    let (mut world, _) = World::new();
    let ban = ban("192.0.2.1/32", at(0), 3600);
    assert_eq!(world.commit(with_bans(complete(at(1)), [began(ban.clone())])), Outcome::Committed);
    world.store = None;
    (world, ban)
}

/// The clocks, when the wall's was set by so many seconds.
fn stepped(seconds: i64, by: i64) -> Now {
    let Now { boot, wall } = at(seconds);
    Now { boot, wall: WallTime(wall.0 + by * 1_000_000) }
}

/// The clocks of another boot, so many seconds after the first one's start.
fn rebooted(seconds: i64) -> Now {
    Now { boot: BootTime(7 * SECOND + 1), wall: at(seconds).wall }
}

const DAY: i64 = 86_400;

#[test]
fn a_restart_gives_back_the_deadlines_whatever_the_wall_clock_says() {
    for step in [0, 1, -1, 3600, -DAY, DAY, 10 * 365 * DAY, -57 * 365 * DAY] {
        let (mut world, ban) = banned();
        assert_eq!(
            world.open(stepped(60, step)).saved.bans,
            std::slice::from_ref(&ban),
            "set by {step} s while banner was down"
        );
        // The first batch moves the rows; the time since boot is what it was.
        world.commit(read_to(Batch::new(stepped(61, step)), 1));
        assert_eq!(world.restart(stepped(62, 0)).saved.bans, [ban], "set by {step} s, and back");
    }
}

#[test]
fn a_step_moves_every_row() {
    let (mut world, _) = World::new();
    let bans: Vec<_> =
        (0..20_500).map(|number| ban(&format!("198.18.{}.{}/32", number / 256, number % 256), at(0), 600)).collect();
    world.commit(with_bans(complete(at(1)), bans.iter().cloned().map(began)));
    assert_eq!(world.commit(Batch::new(stepped(2, DAY))), Outcome::Committed);
    let loaded = world.restart(stepped(3, 0));
    assert!(loaded.saved.bans == bans, "they differ");
}

#[test]
fn a_step_while_banner_runs_moves_the_rows_with_it() {
    for step in [2, -2, DAY, -DAY] {
        let (mut world, _) = banned();
        world.open(at(60));
        // No more than the step is there to write.
        assert_eq!(world.commit(Batch::new(stepped(61, step))), Outcome::Committed);
        world.close(Batch::new(stepped(62, step)));
        world.boot = BootId(Some("second".to_owned()));
        let now = Now { boot: BootTime(SECOND), wall: stepped(600, step).wall };
        let loaded = world.open(now).saved.bans;
        let left = 3_000 * SECOND;
        let Until::Boot(until) = loaded[0].until else { panic!("{loaded:?}") };
        assert!((until.0 - now.boot.0 - left).abs() < 2_000, "{step}: {until:?}");
        assert!(loaded[0].since < BootTime(0), "{step}: before this boot");
        assert_eq!(until.0 - loaded[0].since.0, 3_600 * SECOND, "{step}");
    }
}

#[test]
fn a_ban_survives_a_reboot_with_what_is_left_of_it() {
    let table = [
        (600, 3_000, "what is left"),
        (-DAY, 3_600, "a clock set back: its whole length at most"),
        (DAY, 3_600 - DAY, "over"),
    ];
    for (seconds, left, case) in table {
        let (mut world, _) = banned();
        let now = rebooted(seconds);
        world.boot = BootId(Some("second".to_owned()));
        let first = world.open(now).saved.bans;
        let Until::Boot(until) = first[0].until else { panic!("{first:?}") };
        // The wall clock is read in microseconds.
        assert!((until.0 - now.boot.0 - left * SECOND).abs() < 2_000, "{case}: {until:?}");
        // Killed before its first batch, the next daemon of this boot finds the same; after it, to the nanosecond.
        world.store = None;
        assert_eq!(world.open(now).saved.bans, first, "{case}");
        world.commit(read_to(Batch::new(now), 1));
        world.store = None;
        let later = Now { boot: BootTime(now.boot.0 + 50 * SECOND), wall: WallTime(now.wall.0 + 50_000_000) };
        assert_eq!(world.open(later).saved.bans, first, "{case}, after a batch");
    }
}

#[test]
fn without_a_boot_id_each_start_is_a_reboot() {
    let (mut world, _) = banned();
    world.boot = BootId(None);
    for _ in 0..2 {
        let bans = world.open(rebooted(600)).saved.bans;
        assert_eq!(bans.len(), 1);
        assert!(bans[0].since < BootTime(0));
        world.close(read_to(Batch::new(rebooted(600)), 1));
    }
}
