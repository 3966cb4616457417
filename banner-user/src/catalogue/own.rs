//! The operator's filters: the files of `filters.d`, and where in them something is wrong.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use crate::{
    config::{Diagnostic, Errors, Place, Problem, Quoted, Severity, check_toml, drop_ins, is_name, text},
    detect::{Filter, FilterError, RuleFault},
    event::Escaped,
};

/// A file that is to be a filter.
#[derive(Clone, Debug)]
pub(super) struct OwnFilter {
    /// The file's name, without `.toml`.
    pub(super) name: String,
    path: PathBuf,
}

/// The files of a directory, which need not exist, in the order of their names.
pub(super) fn list(directory: &Path) -> Result<Vec<OwnFilter>, Errors> {
    Ok(drop_ins(directory)?.into_iter().map(OwnFilter::at).collect())
}

impl OwnFilter {
    /// The one in this file.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path }
    }

    /// Reads it, and sees that it cannot be deceived.
    pub(super) fn compile(&self) -> Result<Filter, Errors> {
        let Self { path, name } = self;
        if !is_name(name) {
            return Err(error(Problem::FilterName { path: path.clone(), name: Quoted::new(name) }, None));
        }
        if Filter::built_in_names().any(|known| known == name) {
            return Err(error(Problem::BuiltInFilter { path: path.clone(), name: Quoted::new(name) }, None));
        }
        let file = (path.clone(), text(path)?);
        check_toml(&file)?;
        let (path, text) = file;
        let diagnostic = |wrong: FilterError| {
            let place = place(&text, &wrong).map(|span| Place::new(path.clone(), text.as_bytes(), span));
            Diagnostic { severity: Severity::Error, problem: problem(name, &wrong), place }
        };
        let filter = Filter::parse(name, &text).map_err(|wrong| Errors::from(diagnostic(wrong)))?;
        let mut faults = filter.check().into_iter().map(diagnostic);
        match faults.next() {
            None => Ok(filter),
            Some(first) => {
                let mut errors = Errors::from(first);
                faults.for_each(|fault| errors.push(fault));
                Err(errors)
            }
        }
    }
}

fn error(problem: Problem, place: Option<Place>) -> Errors {
    Errors::from(Diagnostic { severity: Severity::Error, problem, place })
}

/// Without what stands at the place.
fn problem(name: &str, error: &FilterError) -> Problem {
    let (fault, remedy) = match error {
        FilterError::Unknown { .. } => (error.to_string(), String::new()),
        FilterError::Syntax { error, .. } => (error.message().to_owned(), String::new()),
        FilterError::TooManyRules { most, .. } => {
            (format!("it has more than {most} rules"), "split it into several filters".to_owned())
        }
        FilterError::TooLarge { error, .. } => (format!("all rules together: {error}"), String::new()),
        FilterError::Rule { rule, fault, .. } => match fault {
            RuleFault::Pattern { error, .. } => (format!("rule {rule}: {error}"), String::new()),
            RuleFault::Ambiguous(ambiguity) => (format!("rule {rule}: {ambiguity}"), ambiguity.remedy()),
            RuleFault::Form
            | RuleFault::NoAddress
            | RuleFault::Twice
            | RuleFault::Both
            | RuleFault::NoSession
            | RuleFault::NoWeight
            | RuleFault::Weight
            | RuleFault::ExampleMissed
            | RuleFault::Retold
            | RuleFault::ExampleTaken(_) => (format!("rule {rule}: {fault}"), String::new()),
        },
    };
    Problem::Filter { name: Quoted::new(name), fault: Escaped(fault.as_bytes()).to_string(), remedy }
}

/// The bytes that it is about.
fn place(text: &str, error: &FilterError) -> Option<Range<usize>> {
    let (rule, fault) = match error {
        FilterError::Syntax { error, .. } => return error.span(),
        FilterError::Rule { rule, fault, .. } => (rule, fault),
        FilterError::Unknown { .. } | FilterError::TooLarge { .. } | FilterError::TooManyRules { .. } => return None,
    };
    let document = DeTable::parse(text).ok()?;
    let DeValue::Array(rules) = document.get_ref().get("rule")?.get_ref() else { return None };
    let rule = rules.get(rule.checked_sub(1)?)?;
    let DeValue::Table(keys) = rule.get_ref() else { return Some(rule.span()) };
    let written = |key| Some(keys.get(key)?.span());
    let at_fault = match fault {
        RuleFault::Pattern { .. }
        | RuleFault::Ambiguous(_)
        | RuleFault::NoAddress
        | RuleFault::Twice
        | RuleFault::Both
        | RuleFault::NoSession => written("pattern").or_else(|| written("fields")),
        RuleFault::NoWeight | RuleFault::Weight => written("weight"),
        RuleFault::Retold => written("retold"),
        RuleFault::ExampleMissed | RuleFault::ExampleTaken(_) => written("example"),
        RuleFault::Form => None,
    };
    at_fault.or_else(|| Some(rule.span()))
}
