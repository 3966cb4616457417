//! The known word nearest to a mistyped one, for every "did you mean".

use crate::event::Escaped;

/// Similarities below this are chance: `jaro_winkler` gives unrelated short words about 0.5.
const LIKELY: f64 = 0.7;

/// The word of `known` that is most like `typed`, if any is like it at all.
pub(crate) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(word, typed), word))
        .filter(|(similarity, _)| *similarity > LIKELY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// What to put behind a message about a mistyped word.
pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{}`?", Escaped(nearest.as_bytes()))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_none() {
        let known = ["maxretry", "findtime", "bantime"];
        assert_eq!(nearest("maxretyr", known), Some("maxretry"));
        assert_eq!(nearest("bantimes", known), Some("bantime"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }
}
