//! A table `[list.NAME]`.

use std::path::PathBuf;

use super::{
    findings::Findings,
    jail::{is_name, services_mask},
    problem::{Problem, Quoted},
    read::{Item, LIST, Section},
};
use crate::{
    judge::list::{ListAction, ListName},
    lists::parse::Width,
    service::{MAIL, Services},
};

/// A file of prefixes, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// As the operator named it. Unique.
    pub name: ListName,
    /// Absolute.
    pub file: PathBuf,
    /// What is done with its prefixes.
    pub action: ListAction,
}

impl List {
    /// How wide the prefixes in its file can be.
    #[must_use]
    pub fn width(&self) -> Width {
        match self.action {
            ListAction::Ban { .. } => Width::Bounded,
            ListAction::Ignore => Width::Any,
        }
    }
}

pub(super) fn read(item: Item<'_>, services: &Services, findings: &mut Findings<'_>) -> Option<List> {
    let (name, at) = (item.key, item.key_at());
    if !is_name(name) {
        findings.error(at, Problem::Name(Quoted::new(name)));
    }
    let mut table = Section::new(item.table(findings)?, LIST);
    let (has_file, has_action);
    let file = {
        let file = table.take("file");
        has_file = file.is_some();
        file.and_then(|item| item.path(findings))
    };
    let action = table.take("action");
    has_action = action.is_some();
    let is_ban = action.and_then(|item| match item.string(findings)? {
        "ban" => Some(true),
        "ignore" => Some(false),
        value => {
            let (key, value) = (item.quoted_key(), Quoted::new(value));
            findings.error(item.at(), Problem::NoSuchChoice { key, value, choices: "`ban` or `ignore`" });
            None
        }
    });
    let only_for_bans = |item: &Item<'_>, findings: &mut Findings<'_>| {
        if is_ban == Some(false) {
            findings.error(item.key_at(), Problem::OnlyForBans(item.quoted_key()));
        }
    };
    let mask = table.take("services").map(|item| {
        only_for_bans(&item, findings);
        services_mask(item, services, findings)
    });
    let observe = table.take("observe").and_then(|item| {
        only_for_bans(&item, findings);
        item.flag(findings)
    });
    table.finish(findings);
    for (key, example, is_there) in
        [("file", "file = \"/etc/banner/drop.txt\"", has_file), ("action", "action = \"ban\"", has_action)]
    {
        if !is_there {
            findings.error(at, Problem::ListWithout { list: Quoted::new(name), key, example });
        }
    }
    let action = if is_ban? {
        let services = mask.unwrap_or_else(|| services.mask(MAIL).unwrap_or_default());
        ListAction::Ban { services, observe: observe.unwrap_or(false) }
    } else {
        ListAction::Ignore
    };
    Some(List { name: ListName::new(name), file: file?, action })
}
