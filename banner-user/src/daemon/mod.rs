//! The one loop that joins the steps: logs are read, lines detected, events judged, effects carried out.
//!
//! ```text
//!            wake-up ─┐
//!    control request ─┤                       ┌─ follower ─> detector ─┐
//!     judge deadline ─┼─> select! ─> Daemon ──┤                        ├─> judge ─> Enforcer ─> kernel
//!     network change ─┤                       └─ operator, clock, host ┘
//!   signal, 1 s tick ─┘
//! ```
//!
//! The loop has one thread, and nothing in it waits for anything but the kernel: logs are read in slices of a megabyte at most,
//! listings are answered page by page. The control socket's server has another, and answers also while the loop cannot.

mod answer;
mod comparison;
mod connections;
mod enforcer;
mod foreign;
mod heap;
mod lag;
mod lists;
mod log;
mod memory;
mod platform;
mod reading;
mod refusals;
mod reload;
mod saving;
mod service_manager;
mod view;
mod why;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{error, info, warn};

pub use self::platform::System;
use self::{
    connections::Connections,
    enforcer::Enforcer,
    lag::Lag,
    lists::Lists,
    saving::{Places, Saving},
    service_manager::ServiceManager,
};
use crate::{
    catalogue::{Catalogue, CatalogueError},
    clock::{BootTime, Now},
    config::Config,
    control::{Requests, server::Server, socket::BindError},
    detect::Detector,
    enforce::{
        guard::{Guard, GuardError, State},
        host::{self, Host, HostError, Role, Snapshot, Watch},
        kernel::{Kernel, KernelError},
        pins::Pins,
        privileges::{self, Stage},
    },
    judge::{HostAddresses, Input, Judge},
    source::{
        Follower, PatternError, Progress, Wakeup,
        journal::{Journal, JournalPosition},
    },
    state::Outcome,
};

/// How often resolv.conf is read again; the kernel tells of everything else that makes up the host's network.
const HOST_EVERY: Duration = Duration::from_secs(60);

/// Why the daemon does not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The control socket cannot be had; a second daemon gets no further than this.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The kernel does not enforce.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// An interface cannot be guarded.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The host's network cannot be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A filter cannot be used.
    #[error(transparent)]
    Filter(#[from] CatalogueError),
    /// A source is not a pattern.
    #[error(transparent)]
    Source(#[from] PatternError),
    /// The runtime does not start.
    #[error("cannot start the event loop: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Everything that the loop owns.
struct Daemon {
    config: Config,
    /// Where the configuration came from, to read it again.
    config_path: Option<PathBuf>,
    started: Now,
    follower: Follower,
    /// Where a jail reads it.
    journal: Option<Journal>,
    /// How far it was read. Kept where no jail reads it any more: one that does again goes on there.
    journal_position: Option<JournalPosition>,
    progress: Progress,
    lag: Lag,
    journal_lag: Lag,
    detector: Detector,
    judge: Judge,
    enforcer: Enforcer,
    guard: Guard,
    host: Host,
    /// When the host's network was last looked at.
    host_read_at: BootTime,
    saving: Saving,
    lists: Lists,
    /// Warnings that stay true while the daemon runs.
    warnings: Vec<String>,
    service_manager: ServiceManager,
}

/// What the loop does next.
enum Next {
    Continue,
    /// End, and leave enforcement on.
    Stop,
}

/// Runs until a signal or `detach` ends it. Enforcement goes on after a signal, and ends with `detach`.
///
/// # Errors
/// Where it cannot start: with what is wrong and what to do.
pub fn run(config: Config, config_path: Option<&Path>) -> Result<(), DaemonError> {
    keep_privileges(Stage::Starting);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the rest of the start, which takes a moment, and before anybody is answered: a signal would end a process that does
    // not expect it, and leave its socket behind.
    let mut signals = {
        let _runtime = runtime.enter();
        Signals::new()?
    };
    // A second daemon of the same configuration gets no further than this. One of another configuration that would share the
    // maps gets as far as the lock on them, in `Kernel::load`.
    let (server, mut requests) = Server::start(&config.socket, || keep_privileges(Stage::Running))?;
    runtime.block_on(async {
        let mut watch = Watch::open()?;
        let mut daemon = tokio::select! {
            // Looked for wherever the start waits. What the kernel has is enforced without it.
            biased;
            _ = signals.interrupt.recv() => return Ok(()),
            _ = signals.terminate.recv() => return Ok(()),
            daemon = Daemon::start(config, config_path) => daemon?,
        };
        daemon.catch_up();
        server.running();
        daemon.service_manager.ready();
        heap::give_back();
        let result = daemon.serve(&mut requests, &mut watch, signals).await;
        server.stopping();
        daemon.service_manager.stopping();
        daemon.close().await;
        log::finish();
        result
    })
}

/// A daemon that may do too much still does its work.
fn keep_privileges(stage: Stage) {
    if let Err(error) = privileges::keep_for(stage) {
        warn!("{error}");
    }
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}

impl Daemon {
    async fn start(mut config: Config, config_path: Option<&Path>) -> Result<Self, DaemonError> {
        let started = Now::read();
        let detector = Catalogue::beside(config_path).detector(&mut config)?;
        let mut follower = Follower::new(reading::files(&config))?;
        let host = Host::default();
        let network = host.read().await?;
        let pins = Pins::new(&config.bpffs);
        let (mut kernel, migration) = Kernel::load(&pins, config.map_sizes)?;
        if let Some(migration) = migration {
            info!("the maps have another size now: {} bans were taken along", migration.kept);
            if migration.dropped > 0 {
                warn!("{} bans nearest their end had no room in the new maps", migration.dropped);
            }
        }
        keep_privileges(Stage::Running);
        kernel.guard(&config.services)?;
        let (saving, loaded) = Saving::open(&config, started);
        // A source that the run before did not read may have the lines that it read elsewhere, and that were counted then.
        let floor = loaded.saved_at.unwrap_or_default();
        follower.set_memory(started.wall, reading::findtime(&config), floor, reading::time_of_line(&config));
        if let Some(saved_at) = loaded.saved_at {
            follower.resume(loaded.positions, saved_at);
        }
        let journal = reading::journal(&config, loaded.journal, floor, started);
        let mut judge = Judge::new(config.policy.clone()).saved();
        let mut enforcer = Enforcer::new(kernel, Connections::start(&pins, &config.services));
        // Protected addresses are known before the first ban is taken over, and bans stand before the first packet is judged.
        enforcer.carry_out(&mut judge, Input::Protect(addresses(&network)), started);
        // Before what the kernel has is compared, so that what lists ban is dropped all the time.
        let mut lists = Lists::read(&config, started);
        enforcer.carry_out(&mut judge, Input::RestoreLists(lists.all()), started);
        lists.watch();
        enforcer.carry_out(&mut judge, Input::Restore(loaded.saved), started);
        enforcer.adopt(&mut judge, started)?;
        enforcer.connections().look_at_all();
        let last_known = loaded.interfaces.as_slice();
        let guard = Guard::start(config.interface.clone(), config.attach, enforcer.kernel(), &network, last_known)?;
        for guarded in guard.interfaces() {
            if let State::Attached(_) = guarded.state {
                info!("interface {guarded} is guarded");
            }
            guarded.notes.iter().for_each(|note| warn!("interface {guarded}: {note}"));
        }
        guard.remarks().iter().for_each(|remark| warn!("{remark}"));
        let warnings = config.warnings.iter().map(|warning| warning.problem.to_string()).collect();
        Ok(Self {
            config_path: config_path.map(Path::to_owned),
            started,
            follower,
            journal,
            journal_position: loaded.journal,
            progress: Progress::More,
            lag: Lag::new(started.boot),
            journal_lag: Lag::new(started.boot),
            detector,
            judge,
            enforcer,
            guard,
            host,
            host_read_at: started.boot,
            saving,
            lists,
            warnings,
            service_manager: ServiceManager::from_environment(),
            config,
        })
    }

    async fn serve(
        &mut self,
        requests: &mut Requests,
        watch: &mut Watch,
        mut signals: Signals,
    ) -> Result<(), DaemonError> {
        let mut wakeup = Wakeup::new();
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watching = true;
        loop {
            let deadline = self.deadline();
            let next = tokio::select! {
                notice = wakeup.wait(self.progress) => {
                    notice.iter().for_each(|notice| warn!("{notice}"));
                    self.read();
                    if let Some(notice) = wakeup.watch(&self.follower).await {
                        warn!("{notice}");
                    }
                    Next::Continue
                }
                Some(request) = requests.recv() => self.answer(request).await,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.enforcer.carry_out(&mut self.judge, Input::Tick, Now::read());
                    Next::Continue
                }
                changed = watch.changed(), if watching => {
                    if let Err(error) = changed {
                        warn!("changes of the network are no longer heard of, and looked for once a minute: {error}");
                        watching = false;
                    }
                    self.look_at_host().await;
                    Next::Continue
                }
                _ = second.tick() => {
                    self.keep_house().await;
                    self.save();
                    wakeup.bring_forward();
                    Next::Continue
                }
                () = reading::wait(self.journal.as_mut()) => {
                    self.read_journal();
                    Next::Continue
                }
                news = self.lists.next() => {
                    let now = Now::read();
                    let changed = self.lists.news(&news, now);
                    lists::carry_out(&mut self.enforcer, &mut self.judge, changed, now);
                    Next::Continue
                }
                outcome = self.saving.outcome() => {
                    self.take_in(outcome);
                    Next::Continue
                }
                _ = signals.hangup.recv() => {
                    match self.reload().await {
                        Ok(_) => info!("the configuration was read again"),
                        Err(error) => error!("the old configuration stays in force: {error}"),
                    }
                    Next::Continue
                }
                _ = signals.interrupt.recv() => Next::Stop,
                _ = signals.terminate.recv() => Next::Stop,
            };
            if let Next::Stop = next {
                return Ok(());
            }
        }
    }

    /// Hands what has changed to the state on disk.
    fn save(&mut self) {
        let Self { saving, judge, follower, journal_position, guard, .. } = self;
        let places = Places { follower, journal: *journal_position, interfaces: guard.names() };
        saving.save(judge, places, Now::read());
    }

    fn take_in(&mut self, outcome: Outcome) {
        if let Some(loaded) = self.saving.take_in(outcome, &mut self.judge) {
            // What an earlier run had banned is better known now than by what the kernel has.
            let now = Now::read();
            self.enforcer.carry_out(&mut self.judge, Input::Restore(loaded.saved), now);
            if let Err(error) = self.enforcer.adopt(&mut self.judge, now) {
                warn!("the maps could not be compared with the state: {error}");
            }
        }
        if self.saving.is_waited_for() {
            self.save();
        }
    }

    async fn close(self) {
        let Self { saving, mut judge, follower, journal_position, guard, .. } = self;
        let places = Places { follower: &follower, journal: journal_position, interfaces: guard.names() };
        saving.close(&mut judge, places, Now::read()).await;
    }

    fn deadline(&self) -> Option<Instant> {
        let deadline = self.judge.next_deadline()?;
        Some(Instant::now() + (deadline - Now::read().boot))
    }

    async fn keep_house(&mut self) {
        let now = Now::read();
        self.service_manager.tick();
        log::tick();
        self.enforcer.kernel().pass_log_on();
        self.saving.end_waits(now);
        self.lists.count(&self.judge, self.enforcer.kernel_ref());
        if let Err(error) = self.enforcer.keep_house(&mut self.judge, now) {
            error!("the deadlines of the bans could not be set right after a suspend: {error}");
        }
        if now.boot - self.host_read_at >= HOST_EVERY {
            self.look_at_host().await;
        }
    }

    /// Own addresses, gateways and resolvers may be others now, and so may the interfaces.
    async fn look_at_host(&mut self) {
        let now = Now::read();
        self.host_read_at = now.boot;
        match self.host.read().await {
            Ok(network) => {
                self.enforcer.carry_out(&mut self.judge, Input::Protect(addresses(&network)), now);
                for news in self.guard.refresh(self.enforcer.kernel(), &network) {
                    warn!("{news}");
                }
                if self.guard.take_returned() {
                    self.enforcer.compare_with_haste();
                }
            }
            Err(error) => warn!("the host's network could not be read, and is as before for banner: {error}"),
        }
    }
}

fn addresses(network: &Snapshot) -> HostAddresses {
    let mut addresses = HostAddresses::default();
    for protected in host::protected(network) {
        match protected.role {
            Role::Own { .. } => addresses.own.push(protected.address),
            Role::Gateway { .. } => addresses.gateways.push(protected.address),
            Role::Resolver => addresses.resolvers.push(protected.address),
        }
    }
    addresses
}
