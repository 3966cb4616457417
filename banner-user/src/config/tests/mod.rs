use std::path::PathBuf;

use super::{Config, Errors};

mod meaning;
mod messages;

const FILTERS: [&str; 4] = ["postfix-sasl", "cyrus", "roundcube", "sogo"];

/// Parses files that are named `a.toml`, `b.toml` and so on.
fn parse(texts: &[&str]) -> Result<Config, Errors> {
    let files: Vec<_> =
        ('a'..).zip(texts).map(|(name, text)| (PathBuf::from(format!("{name}.toml")), (*text).to_owned())).collect();
    Config::parse(&files, &FILTERS.map(str::to_owned))
}
