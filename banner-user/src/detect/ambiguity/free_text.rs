//! What of a pattern is text that a client chose.
//!
//! Whoever writes `[0-9A-Za-z.-]+` knows which characters come; whoever writes `.*`, `[^ ]+`, `[^\[]*` or `[a-z ]+` says
//! only where he expects a text to end. So free text is what repeats and has a space, an `@`, a control byte or a byte beyond
//! ASCII among its characters, and whatever stands for the user.

use regex_syntax::hir::{Capture, Class, Dot, Hir, HirKind, Repetition};

/// The expression with any bytes in the place of free text.
pub(super) fn loosened(expression: &Hir) -> Hir {
    loosened_in(expression, false)
}

fn loosened_in(expression: &Hir, repeats: bool) -> Hir {
    match expression.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) => expression.clone(),
        HirKind::Class(class) if repeats && is_free(class) => any_text(),
        HirKind::Class(_) => expression.clone(),
        HirKind::Repetition(repetition) => {
            let sub = loosened_in(&repetition.sub, repeats || is_plural(repetition));
            if sub == any_text() {
                sub
            } else {
                Hir::repetition(Repetition { sub: Box::new(sub), ..repetition.clone() })
            }
        }
        HirKind::Capture(capture) => match capture.name.as_deref() {
            Some("user") => Hir::capture(Capture { sub: Box::new(any_text()), ..capture.clone() }),
            // What is decisive is written by the server.
            _ => expression.clone(),
        },
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(|part| loosened_in(part, repeats)).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(|part| loosened_in(part, repeats)).collect()),
    }
}

/// Whether free text can come in a loosened expression before anything tells which message it is: a fixed letter, or a tag that
/// decides. A word of any letters, a process id or a queue id tells nothing.
pub(super) fn is_first(loose: &Hir) -> bool {
    opening(loose) == Opening::FreeText
}

/// What an expression begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// Nothing, or nothing that tells.
    Open,
    Told,
    FreeText,
}

fn opening(loose: &Hir) -> Opening {
    match loose.kind() {
        HirKind::Empty | HirKind::Look(_) => Opening::Open,
        HirKind::Literal(literal) if literal.0.iter().any(u8::is_ascii_alphabetic) => Opening::Told,
        HirKind::Literal(_) => Opening::Open,
        HirKind::Class(class) if is_letter(class) => Opening::Told,
        HirKind::Class(_) => Opening::Open,
        HirKind::Repetition(_) if *loose == any_text() => Opening::FreeText,
        HirKind::Repetition(repetition) => match opening(&repetition.sub) {
            Opening::Told if repetition.min > 0 => Opening::Told,
            Opening::Told | Opening::Open => Opening::Open,
            Opening::FreeText => Opening::FreeText,
        },
        HirKind::Capture(capture) => match opening(&capture.sub) {
            Opening::Open | Opening::Told => Opening::Told,
            Opening::FreeText => Opening::FreeText,
        },
        HirKind::Concat(parts) => {
            parts.iter().map(opening).find(|part| *part != Opening::Open).unwrap_or(Opening::Open)
        }
        HirKind::Alternation(parts) => {
            let one = |sought| parts.iter().any(|part| opening(part) == sought);
            match (one(Opening::FreeText), one(Opening::Open)) {
                (true, _) => Opening::FreeText,
                (false, true) => Opening::Open,
                (false, false) => Opening::Told,
            }
        }
    }
}

/// One letter, in either case.
fn is_letter(class: &Class) -> bool {
    let Class::Bytes(class) = class else { return false };
    let mut bytes = class.iter().flat_map(|range| range.start()..=range.end());
    let (first, second, more) = (bytes.next(), bytes.next(), bytes.next());
    let both = first.zip(second);
    more.is_none() && both.is_some_and(|(one, other)| one.is_ascii_alphabetic() && one.eq_ignore_ascii_case(&other))
}

/// Whether there is a group of this name.
pub(super) fn has(expression: &Hir, group: &str) -> bool {
    match expression.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) | HirKind::Class(_) => false,
        HirKind::Repetition(repetition) => has(&repetition.sub, group),
        HirKind::Capture(capture) => capture.name.as_deref() == Some(group) || has(&capture.sub, group),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(|part| has(part, group)),
    }
}

/// Whether the group of this name is inside a repetition.
pub(super) fn is_repeated(expression: &Hir, group: &str) -> bool {
    match expression.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) | HirKind::Class(_) => false,
        HirKind::Repetition(repetition) if is_plural(repetition) => has(&repetition.sub, group),
        HirKind::Repetition(repetition) => is_repeated(&repetition.sub, group),
        HirKind::Capture(capture) => is_repeated(&capture.sub, group),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(|part| is_repeated(part, group)),
    }
}

fn is_plural(repetition: &Repetition) -> bool {
    repetition.max.is_none_or(|max| max > 1)
}

fn is_free(class: &Class) -> bool {
    let narrow = |first: u32, last: u32| {
        let printable = u32::from(b'!') <= first && last <= u32::from(b'~');
        printable && !(first..=last).contains(&u32::from(b'@'))
    };
    match class {
        Class::Bytes(class) => !class.iter().all(|range| narrow(range.start().into(), range.end().into())),
        Class::Unicode(class) => !class.iter().all(|range| narrow(range.start().into(), range.end().into())),
    }
}

fn any_text() -> Hir {
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(Hir::dot(Dot::AnyByte)) })
}
