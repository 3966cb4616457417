//! What each command does.

use std::{sync::mpsc::sync_channel, thread};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::runtime::{self, Runtime};

use super::{
    Check, Exit, Failure, Platform,
    arguments::{Arguments, BanArguments, Command, Format, FuseAction},
    health::health,
    matching,
    output::Output,
    render::{self, Style},
    replay::replay,
};
use crate::{
    catalogue::Catalogue,
    config::{Config, Errors, Severity},
    control::{
        client::{Client, ClientError},
        protocol::{Ban, BanRequest, BansPage, BansQuery, FuseRequest, Status, Text, UnbanRequest},
    },
    nearest::nearest,
};

/// Does what was typed.
pub(super) fn execute(arguments: &Arguments, platform: &dyn Platform, output: &mut Output) -> Result<Exit, Failure> {
    let path = arguments.config.as_deref();
    let catalogue = Catalogue::beside(path);
    let config = || Config::load(path, &catalogue.names()?);
    let daemon = || Daemon::of(&config()?);
    match &arguments.command {
        Command::Run => platform.run_daemon(config()?, path).map(|()| Exit::Done),
        Command::Check { format } => check(config(), &catalogue, platform, *format, output),
        Command::Status { jail: None, format } => status(&config()?, platform, *format, output),
        Command::Status { jail: Some(jail), format } => status_of_jail(jail, &daemon()?, *format, output),
        Command::Bans { jail, list, json } => {
            let query = BansQuery {
                jail: jail.as_deref().map(Text::from),
                list: list.as_deref().map(Text::from),
                ..BansQuery::default()
            };
            bans(&config()?, platform, &query, Format { json: *json }, output)
        }
        Command::Ban(arguments) => {
            let request = request(arguments);
            let banned = daemon()?.ask(async |client| client.ban(&request).await)?;
            answer(&banned, arguments.format, output, render::banned)
        }
        Command::Unban { prefix, format } => {
            let request = UnbanRequest { prefix: *prefix };
            let unbanned = daemon()?.ask(async |client| client.unban(&request).await)?;
            answer(&unbanned, *format, output, render::unbanned)
        }
        Command::Why { address, format } => {
            let why = daemon()?.ask(async |client| client.why(*address).await)?;
            answer(&why, *format, output, render::why)?;
            Ok(if why.protected.is_some() || why.bans.is_empty() { Exit::No } else { Exit::Done })
        }
        Command::Fuse { action } => {
            let (request, format) = match action {
                FuseAction::Trip { length, format } => (FuseRequest::Trip { seconds: length.as_secs() }, format),
                FuseAction::Reset { format } => (FuseRequest::Reset, format),
            };
            let fuse = daemon()?.ask(async |client| client.fuse(&request).await)?;
            answer(&fuse, *format, output, render::fuse)
        }
        Command::Health { format } => health(&daemon()?.ask(async |client| client.status().await)?, *format, output),
        Command::Reload { format } => reload(&daemon()?, *format, output),
        Command::Match(arguments) => matching::run(arguments, path, output),
        Command::Replay(arguments) => replay(arguments, path, output),
        Command::Detach { format } => detach(&config()?, platform, *format, output),
    }
}

/// The daemon of a configuration, for code that has nothing else to do than to wait for it.
struct Daemon {
    client: Client,
    runtime: Runtime,
}

impl Daemon {
    fn of(config: &Config) -> Result<Self, Failure> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Failure::new(Exit::Unreachable, &format_args!("cannot talk to the daemon: {error}")))?;
        Ok(Self { client: Client::new(&config.socket), runtime })
    }

    fn ask<T>(&self, call: impl AsyncFnOnce(&Client) -> Result<T, ClientError>) -> Result<T, ClientError> {
        self.runtime.block_on(call(&self.client))
    }
}

fn check(
    config: Result<Config, Errors>,
    catalogue: &Catalogue,
    platform: &dyn Platform,
    format: Format,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (config, mut errors) = match config {
        Ok(config) => (Some(config), None),
        Err(errors) => (None, Some(errors)),
    };
    let mut warnings = config.as_ref().map(|config| config.warnings.clone()).unwrap_or_default();
    for diagnostic in catalogue.check(config.as_ref()) {
        match (diagnostic.severity, &mut errors) {
            (Severity::Warning, _) => warnings.push(diagnostic),
            (Severity::Error, Some(errors)) => errors.push(diagnostic),
            (Severity::Error, None) => errors = Some(diagnostic.into()),
        }
    }
    let check = Check {
        problems: errors.iter().flat_map(Errors::iter).chain(&warnings).map(Into::into).collect(),
        findings: config.map(|config| platform.check(&config)).unwrap_or_default(),
    };
    if format.json {
        output.json(&check)?;
        return Ok(check.exit());
    }
    for warning in &warnings {
        output.text(&format!("{warning}\n"))?;
    }
    output.text(&check.render(output.style()))?;
    errors.map_or(Ok(check.exit()), |errors| Err(errors.into()))
}

fn status(config: &Config, platform: &dyn Platform, format: Format, output: &mut Output) -> Result<Exit, Failure> {
    let (status, exit) = match Daemon::of(config)?.ask(async |client| client.status().await) {
        Ok(status) => (status, Exit::Done),
        Err(error) => (offline(error, || platform.offline_status(config), output)?, Exit::Unreachable),
    };
    answer(&status, format, output, render::status)?;
    Ok(exit)
}

fn status_of_jail(name: &str, daemon: &Daemon, format: Format, output: &mut Output) -> Result<Exit, Failure> {
    let status = daemon.ask(async |client| client.status().await)?;
    match status.jails.iter().find(|jail| jail.name.as_str() == name) {
        Some(jail) => answer(jail, format, output, render::jail),
        None => Err(unknown_jail(name, &status)),
    }
}

fn unknown_jail(typed: &str, status: &Status) -> Failure {
    let known: Vec<_> = status.jails.iter().map(|jail| jail.name.as_str()).collect();
    let remedy = match nearest(typed, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("the jails are: {}", known.join(", ")),
    };
    Failure::new(Exit::Usage, &format_args!("there is no jail `{}`\n  remedy: {remedy}", Text::from(typed)))
}

fn bans(
    config: &Config,
    platform: &dyn Platform,
    query: &BansQuery,
    format: Format,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let daemon = Daemon::of(config)?;
    let mut listing = render::Listing::default();
    let mut row = |ban: &Ban, output: &mut Output| {
        let row = listing.row(ban, output.style());
        output.text(&row)
    };
    let listed = if format.json {
        // As the daemon wrote them: to take a million apart and put them together again would take as long as all else.
        pages(daemon, query.clone(), |ban: Box<RawValue>| output.json(&ban))
    } else {
        pages(daemon, query.clone(), |ban: Ban| row(&ban, output))
    };
    match listed {
        Ok(written) => written?,
        // The kernel knows no jails. And a daemon that ends in the middle of a listing leaves it unfinished.
        Err(Unlisted { error, is_begun: false }) if *query == BansQuery::default() => {
            let mut bans = offline(error, || platform.offline_bans(config), output)?;
            bans.try_for_each(|ban| if format.json { output.json(&ban) } else { row(&ban, output) })?;
        }
        Err(Unlisted { error, .. }) => return Err(error.into()),
    }
    if !format.json {
        output.text(listing.end())?;
    }
    Ok(Exit::Done)
}

/// Why a listing has no end.
struct Unlisted {
    error: ClientError,
    is_begun: bool,
}

/// Writes all bans, page by page. The next one is asked for while one is written; no more than two are here at a time.
fn pages<B: DeserializeOwned + Send>(
    daemon: Daemon,
    mut query: BansQuery,
    mut write: impl FnMut(B) -> Result<(), Failure>,
) -> Result<Result<(), Failure>, Unlisted> {
    thread::scope(|scope| {
        let (asked, pages) = sync_channel(0);
        let asking = thread::Builder::new().spawn_scoped(scope, move || {
            loop {
                let page = daemon.ask(async |client| client.bans::<B>(&query).await);
                query.after = page.as_ref().ok().and_then(|page| page.next);
                // Nobody listens any more where writing has failed.
                if asked.send(page).is_err() || query.after.is_none() {
                    return;
                }
            }
        });
        if let Err(error) = asking {
            return Ok(Err(Failure::new(Exit::Unreachable, &format_args!("cannot talk to the daemon: {error}"))));
        }
        for (page, place) in pages.into_iter().zip(0_u64..) {
            let BansPage { bans, .. } = page.map_err(|error| Unlisted { error, is_begun: place > 0 })?;
            if let Err(failure) = bans.into_iter().try_for_each(&mut write) {
                return Ok(Err(failure));
            }
        }
        Ok(Ok(()))
    })
}

/// A reload, and what is amiss under the new configuration: a mistyped interface beside one that exists is valid, since it may
/// appear later, and so is a mistyped log.
fn reload(daemon: &Daemon, format: Format, output: &mut Output) -> Result<Exit, Failure> {
    let mut reloaded = daemon.ask(async |client| client.reload().await)?;
    // It is done, whether or not the daemon still answers.
    if let Ok(status) = daemon.ask(async |client| client.status().await) {
        let known = reloaded.warnings;
        let new: Vec<_> = status.warnings.into_iter().filter(|warning| !known.contains(warning)).collect();
        reloaded.warnings = [known, new].concat();
    }
    answer(&reloaded, format, output, render::reloaded)
}

fn detach(config: &Config, platform: &dyn Platform, format: Format, output: &mut Output) -> Result<Exit, Failure> {
    let detached = match Daemon::of(config)?.ask(async |client| client.detach().await) {
        Ok(detached) => detached,
        // Nothing pinned is what was asked for.
        Err(ClientError::NotRunning { .. }) => platform.offline_detach(config)?.unwrap_or_default(),
        Err(error) => return Err(error.into()),
    };
    answer(&detached, format, output, render::detached)
}

fn request(arguments: &BanArguments) -> BanRequest {
    BanRequest {
        prefix: arguments.prefix,
        bantime: arguments.bantime,
        services: arguments.services.iter().map(|name| name.as_str().into()).collect(),
        jail: arguments.jail.as_deref().map(Text::from),
        force: arguments.force,
    }
}

/// What the kernel says in place of a daemon that is not running; any other error of the daemon stays one.
fn offline<T>(
    error: ClientError,
    pinned: impl FnOnce() -> Result<Option<T>, Failure>,
    output: &mut Output,
) -> Result<T, Failure> {
    if !matches!(error, ClientError::NotRunning { .. }) {
        return Err(error.into());
    }
    match pinned()? {
        Some(answer) => {
            output.note("warning: the daemon is not running; this is what the kernel enforces without it");
            Ok(answer)
        }
        None => Err(error.into()),
    }
}

fn answer<T: Serialize>(
    answer: &T,
    format: Format,
    output: &mut Output,
    render: impl FnOnce(&T, &Style) -> String,
) -> Result<Exit, Failure> {
    if format.json {
        output.json(answer)?;
    } else {
        let text = render(answer, output.style());
        output.text(&text)?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
