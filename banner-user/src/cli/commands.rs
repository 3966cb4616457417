//! What each command does.

use serde::Serialize;
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
        protocol::{Ban, BanRequest, BansQuery, FuseRequest, Status, Text, UnbanRequest},
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
            bans(&config()?, platform, query, Format { json: *json }, output)
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
    mut query: BansQuery,
    format: Format,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let daemon = Daemon::of(config)?;
    let mut listing = render::Listing::default();
    let mut write = |ban: &Ban, output: &mut Output| {
        if format.json {
            output.json(ban)
        } else {
            let row = listing.row(ban, output.style());
            output.text(&row)
        }
    };
    loop {
        match daemon.ask(async |client| client.bans(&query).await) {
            Ok(page) => {
                page.bans.iter().try_for_each(|ban| write(ban, output))?;
                query.after = page.next;
            }
            // The kernel knows no jails. And a daemon that ends in the middle of a listing leaves it unfinished.
            Err(error) if query == BansQuery::default() => {
                let mut bans = offline(error, || platform.offline_bans(config), output)?;
                bans.try_for_each(|ban| write(&ban, output))?;
            }
            Err(error) => return Err(error.into()),
        }
        if query.after.is_none() {
            break;
        }
    }
    if !format.json {
        output.text(listing.end())?;
    }
    Ok(Exit::Done)
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
