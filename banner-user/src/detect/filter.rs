//! A filter: a name, and what finds something in a message.

use super::{
    ident::Ident,
    imported::{ImportRefused, Imported, Imports, Outcome},
    pattern::PatternError,
    rule::{Finding, RuleFault},
    rules::Rules,
    writers::{Doubt, Writers},
};
use crate::{
    event::{FilterName, Writer},
    nearest::nearest,
};

/// The filters that exist without configuration, as data.
const BUILT_IN: [(&str, &str); 14] = [
    ("courier", include_str!("../../filters/courier.toml")),
    ("cyrus", include_str!("../../filters/cyrus.toml")),
    ("dovecot", include_str!("../../filters/dovecot.toml")),
    ("exim", include_str!("../../filters/exim.toml")),
    ("exim-abuse", include_str!("../../filters/exim-abuse.toml")),
    ("opensmtpd", include_str!("../../filters/opensmtpd.toml")),
    ("postfix-abuse", include_str!("../../filters/postfix-abuse.toml")),
    ("postfix-reject", include_str!("../../filters/postfix-reject.toml")),
    ("postfix-sasl", include_str!("../../filters/postfix-sasl.toml")),
    ("postscreen", include_str!("../../filters/postscreen.toml")),
    ("roundcube", include_str!("../../filters/roundcube.toml")),
    ("sendmail", include_str!("../../filters/sendmail.toml")),
    ("sendmail-reject", include_str!("../../filters/sendmail-reject.toml")),
    ("sogo", include_str!("../../filters/sogo.toml")),
];

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    name: FilterName,
    form: Form,
}

/// Where it comes from decides how it finds.
#[derive(Debug)]
enum Form {
    /// banner's own form: built in, or an operator's.
    Rules(Rules),
    /// fail2ban's.
    Imported(Box<Imported>),
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No filter has this name.
    #[error("there is no filter `{name}`{}", nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default())]
    Unknown {
        /// As it was asked for.
        name: String,
        /// The name nearest to it.
        nearest: Option<&'static str>,
    },
    /// Not TOML, or not of a filter's shape.
    #[error("filter `{name}`: {error}")]
    Syntax {
        /// The filter's name.
        name: String,
        /// With line and column.
        error: toml::de::Error,
    },
    /// More patterns than are worth their memory.
    #[error("filter `{name}`: all rules together: {error}")]
    TooLarge {
        /// The filter's name.
        name: String,
        /// What the regex compiler says.
        error: PatternError,
    },
    /// More rules than can be compared with each other.
    #[error("filter `{name}`: it has more than {most} rules; split it into several filters")]
    TooManyRules {
        /// The filter's name.
        name: String,
        /// The most that there can be.
        most: usize,
    },
    /// A rule that cannot be.
    #[error("filter `{name}`, rule {rule}: {fault}")]
    Rule {
        /// The filter's name.
        name: String,
        /// Counted from one.
        rule: usize,
        /// What is wrong with it.
        fault: RuleFault,
    },
}

impl Filter {
    /// A filter that exists without configuration.
    ///
    /// # Errors
    /// [`FilterError::Unknown`] for any other name.
    pub fn built_in(name: &str) -> Result<Self, FilterError> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Ok(Self { name: name.into(), form: Form::Rules(Rules::parse_tried(name, text)?) }),
            None => {
                let nearest = nearest(name, Self::built_in_names());
                Err(FilterError::Unknown { name: name.to_owned(), nearest })
            }
        }
    }

    /// The names that [`Filter::built_in`] knows.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Reads a filter from TOML.
    ///
    /// # Errors
    /// All but [`FilterError::Unknown`].
    pub fn parse(name: &str, text: &str) -> Result<Self, FilterError> {
        Ok(Self { name: name.into(), form: Form::Rules(Rules::parse(name, text)?) })
    }

    /// Which rules could be deceived by text that a client writes, and how ([`Ambiguity`]); none where it is sound. For
    /// filters that nobody has tested as the built-in ones are: it costs some milliseconds a rule.
    ///
    /// [`Ambiguity`]: super::Ambiguity
    #[must_use]
    pub fn check(&self) -> Vec<FilterError> {
        match &self.form {
            Form::Rules(rules) => rules.check(&self.name),
            // Its patterns are what they are.
            Form::Imported(_) => Vec::new(),
        }
    }

    /// Compiles what a filter of fail2ban says.
    ///
    /// # Errors
    /// Something in it cannot be had; what, is named.
    pub fn imported(name: &str, imports: &Imports) -> Result<Self, ImportRefused> {
        Ok(Self { name: name.into(), form: Form::Imported(Box::new(Imported::compile(imports)?)) })
    }

    /// As jails name it.
    #[must_use]
    pub fn name(&self) -> &FilterName {
        &self.name
    }

    /// Takes over what the same filter, as it was before, knows of open sessions and connections.
    pub(super) fn continue_from(&mut self, former: Self) {
        match (&mut self.form, former.form) {
            (Form::Rules(rules), Form::Rules(former)) => rules.continue_from(former),
            (Form::Imported(imported), Form::Imported(former)) => imported.continue_from(*former),
            // A name that now stands for a filter of the other form.
            (Form::Rules(_), Form::Imported(_)) | (Form::Imported(_), Form::Rules(_)) => {}
        }
    }

    /// What a message says, if it is this filter's. `ident` is none where the server itself wrote the line, without syslog.
    pub(super) fn find(&mut self, ident: Option<Ident<'_>>, message: &[u8]) -> Option<Finding> {
        match &mut self.form {
            Form::Rules(rules) => rules.find(ident, message),
            Form::Imported(_) => None,
        }
    }

    /// Texts, of which a message that tells something has one at least.
    pub(super) fn starts(&self) -> impl Iterator<Item = &str> {
        let rules = match &self.form {
            Form::Rules(rules) => Some(rules),
            Form::Imported(_) => None,
        };
        rules.into_iter().flat_map(Rules::starts)
    }

    /// Regular expressions, of which a message that tells something matches one at least.
    pub(super) fn expressions(&self) -> Vec<String> {
        match &self.form {
            Form::Rules(rules) => rules.expressions().collect(),
            Form::Imported(_) => Vec::new(),
        }
    }

    /// The same as [`Self::find`], cheaper, of a message of a program whose lines it reads, which is known to match these of the
    /// expressions, and no others.
    pub(super) fn find_among(&mut self, expressions: impl Iterator<Item = usize>, message: &[u8]) -> Option<Finding> {
        match &mut self.form {
            Form::Rules(rules) => rules.find_among(expressions, message),
            Form::Imported(_) => None,
        }
    }

    /// What a whole line says, if it is this filter's and the filter is one of those that read whole lines.
    pub(super) fn find_in_line<'l>(&mut self, line: &'l [u8]) -> Option<Outcome<'l>> {
        match &mut self.form {
            Form::Rules(_) => None,
            Form::Imported(imported) => imported.find(line),
        }
    }

    /// Whether it tells of logins, too. fail2ban's filters do not.
    #[must_use]
    pub fn tells_logins(&self) -> bool {
        match &self.form {
            Form::Rules(rules) => rules.tell_logins(),
            Form::Imported(_) => false,
        }
    }

    /// Whether it reads whole lines, and not messages of programs that it names.
    pub(super) fn reads_lines(&self) -> bool {
        matches!(self.form, Form::Imported(_))
    }

    /// Why it does not believe an entry of the journal; none where it does.
    pub(super) fn doubt(&self, writer: &Writer<'_>) -> Option<Doubt> {
        self.writers().doubt(writer)
    }

    /// Whether it can believe entries of this unit.
    pub(super) fn reads_unit(&self, unit: &[u8]) -> bool {
        self.writers().reads_unit(unit)
    }

    fn writers(&self) -> &Writers {
        match &self.form {
            Form::Rules(rules) => rules.writers(),
            Form::Imported(imported) => imported.writers(),
        }
    }

    /// Whether it reads lines of this program at all.
    pub(super) fn reads(&self, ident: Option<Ident<'_>>) -> bool {
        match &self.form {
            Form::Rules(rules) => rules.reads(ident),
            Form::Imported(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_filters_are_sound() {
        for (name, text) in BUILT_IN {
            Filter::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
            let filter = Filter::built_in(name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(&**filter.name(), name);
        }
    }

    #[test]
    fn the_built_in_filters_say_whose_entries_they_believe() {
        for name in Filter::built_in_names() {
            let filter = Filter::built_in(name).unwrap();
            let writer = |uid, account| Writer { uid: Some(uid), account, executable: None, unit: None };
            assert_eq!(filter.doubt(&writer(0, Some("root"))), None, "{name}");
            for account in [None, Some("backup"), Some("alice")] {
                assert_eq!(filter.doubt(&writer(34, account)), Some(Doubt::Account), "{name}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = Filter::built_in("postfix-sals").unwrap_err();
        assert_eq!(error.to_string(), "there is no filter `postfix-sals`; did you mean `postfix-sasl`?");
        assert_eq!(
            Filter::built_in("nothing-like-it").unwrap_err().to_string(),
            "there is no filter `nothing-like-it`"
        );
    }
}
