//! The thread that looks whether the files of lists have changed, and reads those that have.
//!
//! It looks every two seconds rather than asking inotify: that works the same for a file that is renamed over, behind a symbolic
//! link, and on NFS, and a list that changes a few times a day can wait so long. A file is read once it has looked the same
//! twice in a row, so that one which is written in place is not read half.

use std::{
    path::PathBuf,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    file::{Content, ReadError, Stamp, read},
    parse::Width,
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// What has become of a file.
#[derive(Debug)]
pub struct News {
    /// Which.
    pub path: PathBuf,
    /// How it was to be read.
    pub width: Width,
    /// What it says now, or why that cannot be used.
    pub read: Result<Content, ReadError>,
}

/// A file to be watched, and what of it is known.
#[derive(Clone, Debug)]
pub struct Watched {
    path: PathBuf,
    width: Width,
    /// The state that was last read, well or not.
    known: Option<Stamp>,
    /// What the last look saw.
    seen: Option<Stamp>,
    /// It has been tried: that it is missing is no news any more.
    is_told: bool,
}

impl Watched {
    /// A file that is to be read in any case.
    #[must_use]
    pub fn new(path: PathBuf, width: Width) -> Self {
        Self { path, width, known: None, seen: None, is_told: false }
    }

    /// A file that was read, or tried, in this state.
    #[must_use]
    pub fn known(path: PathBuf, width: Width, stamp: Option<Stamp>) -> Self {
        Self { path, width, known: stamp, seen: stamp, is_told: true }
    }

    fn look(&mut self, at_once: bool) -> Option<News> {
        let now = Stamp::of(&self.path);
        let is_settled = at_once || now == self.seen;
        self.seen = now;
        if (self.is_told && now == self.known) || !is_settled {
            return None;
        }
        let read = read(&self.path, self.width);
        if read == Err(ReadError::Changing) && !at_once {
            return None;
        }
        (self.known, self.is_told) = (now, true);
        Some(News { path: self.path.clone(), width: self.width, read })
    }
}

/// The watching thread. It ends with this.
#[derive(Debug)]
pub struct Watch {
    files: Sender<Vec<Watched>>,
    news: UnboundedReceiver<News>,
}

impl Watch {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread.
    pub fn start(files: Vec<Watched>) -> std::io::Result<Self> {
        let (sender, commands) = channel::<Vec<Watched>>();
        let (tell, news) = unbounded_channel();
        thread::Builder::new().name("lists".to_owned()).spawn(move || {
            let mut files = files;
            loop {
                let at_once = match commands.recv_timeout(EVERY) {
                    Ok(replaced) => {
                        files = replaced;
                        true
                    }
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                for news in files.iter_mut().filter_map(|file| file.look(at_once)) {
                    if tell.send(news).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { files: sender, news })
    }

    /// From now on these are watched. Each that is not as it is known to be is read at once.
    pub fn replace(&self, files: Vec<Watched>) {
        // Without the thread there is nobody to tell; `next` never returns then.
        drop(self.files.send(files));
    }

    /// The next news. Nothing is lost where this is dropped before it is ready.
    pub async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}
