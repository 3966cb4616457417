//! The lists of the configuration: read at the start and whenever they change, and what became of each.

use std::path::Path;

use ipnet::IpNet;
use tracing::{error, info, warn};

use super::enforcer::Enforcer;
use crate::{
    clock::{Now, WallTime},
    config::{self, Config},
    control::protocol::{self, Text},
    enforce::kernel::Kernel,
    event::Escaped,
    judge::{
        Input, Judge,
        list::{List, ListAction, ListName, Prefixes},
    },
    lists::{self, Content, News, ReadError, Watch, Watched},
};

/// Entries whose counters are read at a time: about a millisecond of system calls.
const COUNTED: usize = 1_000;

/// The lists, and the thread that watches their files.
#[derive(Debug)]
pub(super) struct Lists {
    states: Vec<State>,
    /// None without lists, and where the system has no thread.
    watch: Option<Watch>,
}

/// One list.
#[derive(Debug)]
struct State {
    list: config::List,
    /// What is in force. None: its file was never read.
    content: Option<Content>,
    /// When that was read.
    read: Option<WallTime>,
    /// Why its file as it is now is not used.
    trouble: Option<ReadError>,
    /// The judge does not know yet what the list means now: that is told with its content.
    is_untold: bool,
    counting: Counting,
}

/// What the entries of a list have dropped, added up in slices: a file of a million is gone through in a quarter of an hour.
#[derive(Clone, Copy, Debug, Default)]
struct Counting {
    /// As of the last time that all were gone through.
    packets: u64,
    bytes: u64,
    after: Option<IpNet>,
    under_way: (u64, u64),
}

impl Lists {
    /// Reads all lists.
    pub(super) fn read(config: &Config, now: Now) -> Self {
        let mut lists = Self { states: Vec::new(), watch: None };
        for list in &config.lists {
            let read = lists::read(&list.file, list.width());
            let mut state = State::new(list.clone());
            state.take(read, now.wall);
            lists.states.push(state);
        }
        lists
    }

    /// What the judge is to begin with.
    pub(super) fn all(&self) -> Vec<List> {
        self.states.iter().map(State::for_the_judge).collect()
    }

    /// Watches the files from now on.
    pub(super) fn watch(&mut self) {
        if self.states.is_empty() || self.watch.is_some() {
            return;
        }
        match Watch::start(self.watched()) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => error!("changes of lists are not seen before the next start: {error}"),
        }
    }

    fn watched(&self) -> Vec<Watched> {
        self.states.iter().map(|state| state.watched(false)).collect()
    }

    /// The next file that has changed; never without lists.
    pub(super) async fn next(&mut self) -> News {
        match &mut self.watch {
            Some(watch) => watch.next().await,
            None => std::future::pending().await,
        }
    }

    /// Takes over what a file says now.
    pub(super) fn news(&mut self, news: &News, now: Now) -> Vec<List> {
        let mut changed = Vec::new();
        for state in &mut self.states {
            if state.list.file == news.path
                && state.list.width() == news.width
                && state.take(news.read.clone(), now.wall)
            {
                changed.push(state.for_the_judge());
            }
        }
        changed
    }

    /// Takes over a new configuration: lists that have left it, and those that mean something else now. Files are read again,
    /// beside the loop.
    pub(super) fn configure(&mut self, config: &Config) -> Vec<Input<'static>> {
        let mut inputs = Vec::new();
        let mut former = std::mem::take(&mut self.states);
        for list in &config.lists {
            let known = former.iter().position(|state| state.list.name == list.name);
            let Some(mut state) = known.map(|index| former.swap_remove(index)) else {
                self.states.push(State::new(list.clone()));
                continue;
            };
            // What was read for another purpose may be wider than this one allows.
            let is_other = state.list.file != list.file || state.list.width() != list.width();
            let is_changed = state.list != *list;
            state.list = list.clone();
            if is_other {
                // What was in force stays so until the new file is read.
                (state.trouble, state.is_untold) = (None, true);
            } else if is_changed && state.content.is_some() {
                inputs.push(Input::List(state.for_the_judge()));
            }
            self.states.push(state);
        }
        inputs.extend(former.into_iter().map(|gone| Input::Unlist(gone.list.name)));
        match &self.watch {
            Some(watch) => watch.replace(self.states.iter().map(|state| state.watched(true)).collect()),
            None => self.watch(),
        }
        inputs
    }

    /// Whether a list of this name bans.
    pub(super) fn bans(&self, name: Option<ListName>) -> bool {
        let bans = |state: &State| matches!(state.list.action, ListAction::Ban { .. });
        self.states.iter().any(|state| Some(state.list.name) == name && bans(state))
    }

    /// Reads the next counters of each list.
    pub(super) fn count(&mut self, judge: &Judge, kernel: &Kernel) {
        for State { list, counting, .. } in &mut self.states {
            let slots = judge.listed_slots(list.name, counting.after, COUNTED);
            for slot in &slots {
                // What cannot be read is told where it is written.
                let counters = kernel.bans.counters(*slot, &kernel.ticks).ok().flatten().unwrap_or_default();
                counting.under_way.0 += counters.packets;
                counting.under_way.1 += counters.bytes;
            }
            counting.after = slots.last().map(|slot| slot.prefix()).filter(|_| slots.len() == COUNTED);
            if counting.after.is_none() {
                (counting.packets, counting.bytes) = std::mem::take(&mut counting.under_way);
            }
        }
    }

    /// How each list fares.
    pub(super) fn shown(&self, judge: &Judge) -> Vec<protocol::List> {
        let judged = judge.status().lists;
        let shown = self.states.iter().map(|state| {
            let bans = judged.iter().find(|list| list.name == state.list.name);
            let (action, observe) = match state.list.action {
                ListAction::Ban { observe, .. } => (protocol::ListAction::Ban, observe),
                ListAction::Ignore => (protocol::ListAction::Ignore, false),
            };
            protocol::List {
                name: Text::from(state.list.name.as_str()),
                action,
                observe,
                file: Text::from(state.list.file.as_path()),
                entries: state.content.as_ref().map_or(0, |content| content.parsed.prefixes.len() as u64),
                banned: bans.map_or(0, |list| list.banned as u64),
                follows: bans.is_none_or(|list| !list.lags),
                read: state.read.map(Into::into),
                packets: state.counting.packets,
                bytes: state.counting.bytes,
                trouble: state.trouble.as_ref().map(|trouble| Text::from(trouble.to_string())),
            }
        });
        shown.collect()
    }

    /// What an operator should look at.
    pub(super) fn warnings(&self) -> Vec<String> {
        let troubles = self.states.iter().filter_map(State::warning);
        let everything = self.states.iter().filter_map(|state| {
            let prefix = state.content.as_ref()?.parsed.everything?;
            Some(format!("the ignore list {} has {prefix}: nobody of that family is banned", state.list.name))
        });
        troubles.chain(everything).collect()
    }
}

impl State {
    fn new(list: config::List) -> Self {
        Self { list, content: None, read: None, trouble: None, is_untold: false, counting: Counting::default() }
    }

    fn watched(&self, again: bool) -> Watched {
        let (path, width) = (self.list.file.clone(), self.list.width());
        match &self.content {
            // A file in trouble is tried again, so that whoever reloads reads why.
            Some(content) if self.trouble.is_none() && !self.is_untold => {
                Watched::known(path, width, Some(content.stamp))
            }
            _ if again => Watched::new(path, width),
            _ => {
                let stamp = lists::Stamp::of(&path);
                Watched::known(path, width, stamp)
            }
        }
    }

    fn for_the_judge(&self) -> List {
        let prefixes = match (&self.content, &self.trouble) {
            (Some(content), _) => Some(content.parsed.prefixes.clone()),
            (None, Some(ReadError::Missing)) => Some(Prefixes::default()),
            (None, _) => None,
        };
        List { name: self.list.name, action: self.list.action, prefixes }
    }

    /// What became of reading it. Whether it says something new.
    fn take(&mut self, read: Result<Content, ReadError>, now: WallTime) -> bool {
        match read {
            Ok(content) => {
                if let Some(trouble) = self.trouble.take() {
                    info!("list {} could be read again, it had a trouble: {trouble}", self.list.name);
                }
                self.read = Some(now);
                let is_new = self.content.as_ref().is_none_or(|known| known.parsed != content.parsed);
                self.content = Some(content);
                std::mem::take(&mut self.is_untold) || is_new
            }
            Err(trouble) => {
                self.trouble = Some(trouble);
                self.warning().iter().for_each(|warning| warn!("{warning}"));
                false
            }
        }
    }

    fn warning(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        let stays = match (&self.content, trouble) {
            (Some(_), _) => "what was read before stays in force",
            (None, ReadError::Missing) => "the list is empty until there is one",
            (None, _) => "nothing of it is used",
        };
        Some(format!("list {}: {} {trouble}; {stays}", self.list.name, shown(&self.list.file)))
    }
}

/// Hands in what has changed.
pub(super) fn carry_out(enforcer: &mut Enforcer, judge: &mut Judge, lists: Vec<List>, now: Now) {
    for list in lists {
        enforcer.carry_out(judge, Input::List(list), now);
    }
}

fn shown(path: &Path) -> Escaped<'_> {
    Escaped(path.as_os_str().as_encoded_bytes())
}
