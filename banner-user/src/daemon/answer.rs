//! What the control socket asks, answered from the state of the judge and of the kernel.

use std::time::Duration;

use tracing::info;

use super::{Daemon, Next, lag, saving::Answer, view};
use crate::{
    clock::{Now, WallTime},
    control::{
        Request, SLICE_MAX,
        protocol::{
            self, BanRequest, Banned, BansPage, BansQuery, Detached, ErrorBody, ErrorKind, Fill, FuseAnswer,
            FuseRequest, Packets, Prefix, Status, Text, TrippedFuse, UnbanRequest, Unbanned,
        },
    },
    enforce::{bans::BanMapError, guard::State},
    event::FileId,
    judge::{
        self,
        list::ListName,
        manual::{self, Refusal, Target},
        policy::BanTime,
    },
};

impl Daemon {
    /// Answers one request. Whoever asked may have gone meanwhile: an answer that nobody takes is no error.
    pub(super) async fn answer(&mut self, request: Request) -> Next {
        match request {
            Request::Status(reply) => drop(reply.send(self.status())),
            Request::Bans(query, reply) => drop(reply.send(self.bans(&query))),
            Request::Why(address, reply) => self.tell_why(address, reply),
            Request::Ban(request, reply) => match self.ban(&request) {
                Ok(banned) => self.answer_when_saved(Answer::Banned(reply, banned)),
                Err(error) => drop(reply.send(Err(error))),
            },
            Request::Unban(request, reply) => {
                let unbanned = self.unban(&request);
                self.answer_when_saved(Answer::Unbanned(reply, unbanned));
            }
            Request::Fuse(request, reply) => drop(reply.send(Ok(self.fuse(request)))),
            Request::Reload(reply) => drop(reply.send(self.reload().await)),
            Request::Detach(reply) => match self.detach() {
                Ok(detached) => {
                    // Answered at the end, with the last batch on disk.
                    self.saving.answer(Answer::Detached(reply, detached), Now::read());
                    return Next::Stop;
                }
                Err(error) => drop(reply.send(Err(error))),
            },
        }
        Next::Continue
    }

    /// An operator who reads that it is done may pull the plug.
    fn answer_when_saved(&mut self, answer: Answer) {
        self.saving.answer(answer, Now::read());
        self.save();
    }

    fn status(&self) -> Result<Status, ErrorBody> {
        let judged = self.judge.status();
        let kernel = self.enforcer.kernel_ref();
        let jails = self.config.policy.jails.iter().zip(&judged.jails).map(|(jail, status)| protocol::Jail {
            name: Text::from(&*jail.name),
            currently_failed: status.currently_failed as u64,
            total_failed: status.total_failed,
            currently_banned: status.currently_banned as u64,
            total_banned: status.total_banned,
            maxretry: jail.maxretry,
            findtime: jail.findtime.as_secs(),
            bantime: view::ban_time(jail.bantime),
            services: view::services(jail.services, &self.config.services),
            filter: jail.filters.iter().map(|name| Text::from(&**name)).collect(),
            source: jail.source.iter().map(|path| Text::escape(path.as_bytes())).collect(),
            observe: jail.observe,
        });
        let stale = |id: FileId| judged.stale.iter().find(|stale| stale.file == id).map(ToString::to_string);
        let overflowed = |map| {
            let room = judged.room.iter().find(|(known, ..)| *known == map);
            room.map_or(0, |(_, yielded, waiting)| yielded + *waiting as u64)
        };
        let mut limits = view::limits(&kernel.bans, self.config.map_sizes, overflowed);
        limits.sources = Some(Fill {
            used: judged.jails.iter().map(|jail| jail.currently_failed as u64).sum(),
            limit: self.config.policy.limits.sources as u64,
            overflowed: judged.evicted,
        });
        let (offenders, forgotten) = judged.offenders;
        limits.offenders = Some(Fill {
            used: offenders as u64,
            limit: self.config.policy.limits.sources as u64,
            overflowed: forgotten,
        });
        let (logins, forgotten) = judged.logins;
        limits.customers = Some(Fill {
            used: logins as u64,
            limit: self.config.policy.limits.customers as u64,
            overflowed: forgotten,
        });
        Ok(Status {
            daemon: Some(protocol::Daemon {
                version: env!("CARGO_PKG_VERSION").into(),
                pid: std::process::id(),
                since: self.started.wall.into(),
            }),
            interfaces: self.guard.interfaces().iter().map(view::interface).collect(),
            jails: jails.collect(),
            files: self
                .follower
                .files()
                .map(|file| view::file(&file, stale(file.id)))
                .chain(self.journal.iter().map(|journal| view::journal(journal, stale(FileId::JOURNAL))))
                .collect(),
            packets: Packets::read(|reason| kernel.bans.packets(reason)).map_err(|error| refused_by_kernel(&error))?,
            lists: self.lists.shown(&self.judge),
            lag: Some(lag::longest([&self.lag, &self.journal_lag], Now::read().boot)),
            limits,
            foreign_entries: Some(self.enforcer.foreign().number() as u64),
            fuse: tripped(&judged.tripped, Now::read()),
            accounts_under_attack: view::attacks(self.judge.attacks().collect()),
            warnings: self.current_warnings(&judged),
        })
    }

    fn current_warnings(&self, judged: &judge::status::Status) -> Vec<Text> {
        let slower = self
            .guard
            .interfaces()
            .iter()
            .flat_map(|guarded| guarded.notes.iter().map(move |note| format!("interface {guarded}: {note}")));
        let outages = judged.outages.iter().map(|outage| {
            format!(
                "the authentication backend does not answer since {} (filter {}): such failures count against nobody",
                outage.since, outage.filter
            )
        });
        let tripped = judged.tripped.iter().map(|tripped| format!("the fuse is tripped: {tripped}"));
        let others =
            judged.others.iter().filter(|(origin, bans)| *bans > 0 && matches!(origin, judge::Origin::Jail(_))).map(
                |(origin, bans)| format!("{bans} bans {origin}, which is no longer configured, go on until they end"),
            );
        let all = self
            .warnings
            .iter()
            .cloned()
            .chain(self.guard.remarks().iter().cloned())
            .chain(slower)
            .chain(outages)
            .chain(tripped)
            .chain(others)
            .chain(self.lists.warnings())
            .chain(self.follower.troubles().map(|trouble| trouble.to_string()))
            .chain(self.saving.trouble())
            .chain(view::gave_up(self.detector.gave_up()))
            .chain(view::refused(self.detector.refused()));
        let all = all.chain(self.enforcer.foreign().shown()).chain(self.enforcer.refusals().shown()).map(Text::from);
        all.chain(self.enforcer.connections().notice()).collect()
    }

    fn bans(&self, query: &BansQuery) -> Result<BansPage, ErrorBody> {
        let now = Now::read();
        if let Some(jail) = query.jail.as_ref().filter(|jail| !self.has_jail(jail.as_str())) {
            return Err(ErrorBody::new(ErrorKind::Invalid, format!("there is no jail `{jail}`"))
                .remedy("`banner status` shows the jails"));
        }
        let limit = query.limit.unwrap_or(SLICE_MAX).clamp(1, SLICE_MAX);
        let list = query.list.as_ref().map(|name| ListName::new(name.as_str()));
        if let Some(name) = query.list.as_ref().filter(|_| !self.lists.bans(list)) {
            return Err(ErrorBody::new(ErrorKind::Invalid, format!("there is no list `{name}` that bans"))
                .remedy("`banner status` shows the lists"));
        }
        let page = self.judge.bans_of(list, query.after.map(Prefix::net), limit.into());
        let shown = page.bans.iter().map(|ban| view::ban(ban, self.enforcer.kernel_ref(), &self.config.services, now));
        let mut bans = shown.collect::<Result<Vec<_>, _>>().map_err(|error| refused_by_kernel(&error))?;
        bans.retain(|ban| query.jail.is_none() || ban.jail == query.jail);
        Ok(BansPage { bans, next: page.next.map(Prefix::from) })
    }

    /// Whether a jail is configured, or was and still has bans.
    fn has_jail(&self, name: &str) -> bool {
        let is_orphan = |origin: &judge::Origin| matches!(origin, judge::Origin::Jail(jail) if **jail == *name);
        self.config.policy.jails.iter().any(|jail| *jail.name == *name)
            || self.judge.status().others.iter().any(|(origin, _)| is_orphan(origin))
    }

    fn ban(&mut self, request: &BanRequest) -> Result<Banned, ErrorBody> {
        let now = Now::read();
        let names = request.services.iter().map(Text::as_str);
        let services = match self.config.services.mask(names) {
            Ok(mask) => (!mask.is_empty()).then_some(mask),
            Err(error) => return Err(ErrorBody::new(ErrorKind::Invalid, error.to_string())),
        };
        let request = manual::BanRequest {
            target: target(request.prefix),
            bantime: request.bantime.map(|length| match length {
                protocol::BanTime::Permanent => BanTime::Permanent,
                protocol::BanTime::Seconds(seconds) => BanTime::For(Duration::from_secs(seconds.get().into())),
            }),
            services,
            jail: request.jail.as_ref().map(ToString::to_string),
            force: request.force,
        };
        let banned = self.judge.ban(&request, now).map_err(|refusal| refused(&refusal))?;
        self.enforcer.carry_out_all(&mut self.judge, banned.effects, now);
        let (prefix, slot) = (Prefix::from(banned.ban.prefix), banned.ban.slot);
        if let Some(reason) = self.enforcer.refusals().reason(slot) {
            return Err(not_done(format!("{prefix} is banned, but the kernel does not drop its packets yet"), reason));
        }
        Ok(Banned {
            prefix,
            waits: self.judge.waits(slot),
            until: view::end(banned.ban.until, now),
            services: view::services(banned.ban.services, &self.config.services),
            except: banned.protected_inside.iter().map(|protection| protection.prefix.into()).collect(),
            overridden: banned.overridden.iter().map(|protection| Text::from(protection.to_string())).collect(),
            not_saved: None,
        })
    }

    fn fuse(&mut self, request: FuseRequest) -> FuseAnswer {
        let now = Now::read();
        let effects = match request {
            FuseRequest::Trip { seconds } => self.judge.trip_fuse(Duration::from_secs(seconds), now),
            FuseRequest::Reset => self.judge.reset_fuse(now),
        };
        let reset = if request == FuseRequest::Reset { effects.len() as u64 } else { 0 };
        self.enforcer.carry_out_all(&mut self.judge, effects, now);
        FuseAnswer { tripped: tripped(&self.judge.status().tripped, now), reset }
    }

    fn unban(&mut self, request: &UnbanRequest) -> Result<Unbanned, ErrorBody> {
        let now = Now::read();
        let unbanned = self.judge.unban(target(request.prefix), now);
        self.enforcer.carry_out_all(&mut self.judge, unbanned.effects, now);
        let Some(first) = unbanned.lifted.first() else {
            let mut error = ErrorBody::new(ErrorKind::NotBanned, format!("{} is not banned", request.prefix));
            for ban in &unbanned.still {
                if let judge::Origin::List(name) = ban.origin {
                    let listed = Prefix::from(ban.prefix);
                    error = error
                        .because(format!("list {name} bans {listed}"))
                        .remedy("add what is to get through to `ignoreip`, or take the entry out of the list's file");
                    continue;
                }
                let wider = Prefix::from(ban.prefix);
                error = error.because(format!("{wider} around it is")).remedy(format!("banner unban {wider}"));
            }
            if unbanned.forgotten > 0 {
                error = error.because("its failures are forgotten");
            }
            return Err(error);
        };
        let prefix = Prefix::from(first.prefix);
        if let Some(reason) = unbanned.lifted.iter().find_map(|ban| self.enforcer.refusals().reason(ban.slot)) {
            return Err(not_done(format!("{prefix} is unbanned, but the kernel goes on dropping its packets"), reason));
        }
        Ok(Unbanned {
            prefix,
            lifted: unbanned.lifted.len() as u64,
            instead: unbanned.instead.iter().map(|ban| ban.prefix.into()).collect(),
            still_banned_by: unbanned.still.iter().map(|ban| ban.prefix.into()).collect(),
            not_saved: None,
        })
    }

    fn detach(&mut self) -> Result<Detached, ErrorBody> {
        let bans = &self.enforcer.kernel_ref().bans;
        let entries = judge::effect::Map::ALL.into_iter().map(|map| bans.used(map)).sum();
        let attached = self.guard.interfaces().iter().filter(|guarded| matches!(guarded.state, State::Attached(_)));
        let interfaces = attached.map(|guarded| Text::escape(guarded.name.as_bytes())).collect();
        self.enforcer
            .kernel_ref()
            .remove_pins()
            .map_err(|error| ErrorBody::new(ErrorKind::Kernel, error.to_string()))?;
        self.judge.detach(Now::read());
        info!("detached by hand: nothing is enforced any more");
        Ok(Detached { interfaces, entries, not_saved: None })
    }
}

/// An address is banned as it is judged, a prefix as it is.
fn target(prefix: Prefix) -> Target {
    let net = prefix.net();
    if net.prefix_len() == net.max_prefix_len() { Target::Address(net.addr()) } else { Target::Prefix(net) }
}

fn refused(refusal: &Refusal) -> ErrorBody {
    let kind = match refusal {
        Refusal::Protected { .. } | Refusal::TooWide { .. } | Refusal::TooManyProtected { .. } => ErrorKind::Refused,
        Refusal::UnknownJail { .. } | Refusal::Empty(_) => ErrorKind::Invalid,
    };
    ErrorBody::new(kind, refusal.to_string())
}

/// The daemon means one thing, and the kernel does another until it lets itself be told.
fn not_done(what: String, reason: &str) -> ErrorBody {
    ErrorBody::new(ErrorKind::Kernel, what)
        .because(reason)
        .remedy("it is tried again every second; `banner status` tells how that goes")
}

pub(super) fn refused_by_kernel(error: &BanMapError) -> ErrorBody {
    ErrorBody::new(ErrorKind::Kernel, error.to_string()).remedy("`banner check` tells what the kernel can do")
}

fn tripped(fuses: &[judge::Tripped], now: Now) -> Vec<TrippedFuse> {
    let shown = |tripped: &judge::Tripped| TrippedFuse {
        filter: tripped.filter.as_ref().map(|filter| Text::from(&**filter)),
        since: WallTime(tripped.since.0).into(),
        until: tripped.until.map(|until| now.wall_at(until).into()),
        spared: tripped.spared,
    };
    fuses.iter().map(shown).collect()
}
