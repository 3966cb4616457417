//! What each command does.

use std::future::Future;

use serde::Serialize;

use super::{
    Check, Exit, Failure, Platform,
    arguments::{Arguments, BanArguments, Command, Format},
    output::Output,
    render::{self, Style},
};
use crate::{
    config::Config,
    control::{
        client::{Client, ClientError},
        protocol::{Ban, BanRequest, BansQuery, Status, Text, UnbanRequest},
    },
    nearest::nearest,
};

/// Does what was typed.
pub(super) fn execute(arguments: &Arguments, platform: &dyn Platform, output: &mut Output) -> Result<Exit, Failure> {
    let path = arguments.config.as_deref();
    let config = || Config::load(path, platform.filters());
    match &arguments.command {
        Command::Check { format } => check(config(), platform, *format, output),
        Command::Run => platform.run_daemon(config()?, path).map(|()| Exit::Done),
        Command::Status { jail, format } => status(&config()?, platform, jail.as_deref(), *format, output),
        Command::Bans { jail, json } => bans(&config()?, platform, jail.as_deref(), Format { json: *json }, output),
        Command::Ban(arguments) => {
            let banned = wait(client(&config()?).ban(&request(arguments)))??;
            answer(&banned, arguments.format, output, render::banned)
        }
        Command::Unban { prefix, format } => {
            let unbanned = wait(client(&config()?).unban(&UnbanRequest { prefix: *prefix }))??;
            answer(&unbanned, *format, output, render::unbanned)
        }
        Command::Why { address, format } => {
            let why = wait(client(&config()?).why(*address))??;
            answer(&why, *format, output, render::why)?;
            Ok(if why.protected.is_some() || why.bans.is_empty() { Exit::No } else { Exit::Done })
        }
        Command::Reload { format } => {
            let reloaded = wait(client(&config()?).reload())??;
            answer(&reloaded, *format, output, render::reloaded)
        }
        Command::Detach { format } => detach(&config()?, platform, *format, output),
    }
}

fn check(
    config: Result<Config, crate::config::Errors>,
    platform: &dyn Platform,
    format: Format,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let check = match &config {
        Ok(config) => {
            Check { problems: config.warnings.iter().map(Into::into).collect(), findings: platform.check(config) }
        }
        Err(errors) => Check { problems: errors.iter().map(Into::into).collect(), findings: Vec::new() },
    };
    if format.json {
        output.json(&check)?;
        return Ok(check.exit());
    }
    for warning in &config?.warnings {
        output.text(&format!("{warning}\n"))?;
    }
    output.text(&check.render(output.style()))?;
    Ok(check.exit())
}

fn status(
    config: &Config,
    platform: &dyn Platform,
    jail: Option<&str>,
    format: Format,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (status, exit) = match wait(client(config).status())? {
        Ok(status) => (status, Exit::Done),
        Err(error) => (offline(error, || platform.offline_status(config), output)?, Exit::Unreachable),
    };
    let Some(jail) = jail else {
        answer(&status, format, output, render::status)?;
        return Ok(exit);
    };
    if status.daemon.is_none() {
        return Err(Failure::new(
            Exit::Unreachable,
            &"the daemon is not running, and the kernel knows no jails\n  remedy: `banner status` shows what it enforces",
        ));
    }
    match status.jails.iter().find(|known| known.name.as_str() == jail) {
        Some(jail) => answer(jail, format, output, render::jail),
        None => Err(unknown_jail(jail, &status)),
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
    jail: Option<&str>,
    format: Format,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let client = client(config);
    let mut listing = render::Listing::default();
    let mut query = BansQuery { jail: jail.map(Text::from), ..BansQuery::default() };
    loop {
        let page = match wait(client.bans(&query))? {
            Ok(page) => page,
            // Only before anything is written: a daemon that ends in the middle of a listing leaves it unfinished.
            Err(error) if query.after.is_none() && jail.is_none() => {
                for ban in offline(error, || platform.offline_bans(config), output)? {
                    write_ban(&ban, format, &mut listing, output)?;
                }
                break;
            }
            Err(error) => return Err(error.into()),
        };
        for ban in &page.bans {
            write_ban(ban, format, &mut listing, output)?;
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    if !format.json {
        output.text(listing.end())?;
    }
    Ok(Exit::Done)
}

fn write_ban(ban: &Ban, format: Format, listing: &mut render::Listing, output: &mut Output) -> Result<(), Failure> {
    if format.json {
        output.json(ban)?;
    } else {
        let row = listing.row(ban, output.style());
        output.text(&row)?;
    }
    Ok(())
}

fn detach(config: &Config, platform: &dyn Platform, format: Format, output: &mut Output) -> Result<Exit, Failure> {
    let detached = match wait(client(config).detach())? {
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

fn client(config: &Config) -> Client {
    Client::new(&config.socket)
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

fn wait<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Exit::Unreachable, &format_args!("cannot talk to the daemon: {error}")))?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests;
