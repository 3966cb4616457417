//! What is on disk after troubles that begin or end when nobody expects it.

use std::{fs, path::Path};

use super::*;

/// A daemon's parts that the state is about, below a directory.
struct Run {
    saving: Saving,
    judge: Judge,
    follower: Follower,
}

impl Run {
    fn start(directory: &Path, logs: &[&str]) -> Self {
        let text = format!("state_dir = {:?}", directory.join("state"));
        let config = Config::parse(&[("banner.toml".into(), text)], &[]).unwrap();
        let (saving, loaded) = Saving::open(&config, Now::read());
        let logs = logs.iter().map(|log| directory.join(log).to_str().unwrap().to_owned());
        let mut follower = Follower::new(logs.collect()).unwrap();
        if let Some(saved_at) = loaded.saved_at {
            follower.resume(loaded.positions, saved_at);
        }
        let mut run = Self { saving, judge: Judge::new(config.policy).saved(), follower };
        run.read();
        run
    }

    fn read(&mut self) {
        self.follower.poll(Now::read().boot, 1 << 20, &mut |_| {}, &mut |_| {});
    }

    fn save(&mut self) {
        let places = Places { follower: &self.follower, journal: None, interfaces: Vec::new() };
        self.saving.save(&mut self.judge, places, Now::read());
    }

    async fn stop(self) {
        let Self { saving, mut judge, follower } = self;
        let places = Places { follower: &follower, journal: None, interfaces: Vec::new() };
        saving.close(&mut judge, places, Now::read()).await;
    }

    /// The paths and offsets that the state would go on from.
    fn positions(directory: &Path) -> Vec<(String, u64)> {
        let run = Self::start(directory, &[]);
        let name = |bookmark: &Bookmark| bookmark.path.file_name().unwrap().to_str().unwrap().to_owned();
        run.saving.kept.iter().flatten().map(|(_, bookmark)| (name(bookmark), bookmark.offset)).collect()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_state_that_can_be_opened_only_at_the_end_keeps_no_positions_of_an_earlier_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("a.log"), "line\n").unwrap();
    fs::write(path.join("b.log"), "line\n").unwrap();
    runtime().block_on(async {
        Run::start(path, &["a.log", "b.log"]).stop().await;
        assert_eq!(Run::positions(path), [("a.log".to_owned(), 5), ("b.log".to_owned(), 5)]);

        fs::rename(path.join("state"), path.join("away")).unwrap();
        fs::write(path.join("state"), "no directory").unwrap();
        fs::write(path.join("a.log"), "line\nline\n").unwrap();
        let run = Run::start(path, &["a.log"]);
        assert!(run.saving.trouble().is_some());
        fs::remove_file(path.join("state")).unwrap();
        fs::rename(path.join("away"), path.join("state")).unwrap();
        run.stop().await;
    });
    assert_eq!(Run::positions(path), [("a.log".to_owned(), 10)]);
}

#[test]
fn a_state_that_is_lost_in_the_last_moment_has_everything_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("a.log"), "line\n").unwrap();
    runtime().block_on(async {
        let mut run = Run::start(path, &["a.log"]);
        for expected in ["Committed", "Lost"] {
            run.save();
            let outcome = run.saving.outcome().await;
            assert!(format!("{outcome:?}").starts_with(expected), "{outcome:?}");
            let _ = run.saving.take_in(outcome, &mut run.judge);
            if expected == "Committed" {
                fs::remove_dir_all(path.join("state")).unwrap();
            }
        }
        run.stop().await;
    });
    assert_eq!(Run::positions(path), [("a.log".to_owned(), 5)]);
}
