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

/// Whether a loosened expression can begin with free text.
pub(super) fn is_first(loose: &Hir) -> bool {
    match loose.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) | HirKind::Class(_) => false,
        HirKind::Repetition(repetition) => *loose == any_text() || is_first(&repetition.sub),
        HirKind::Capture(capture) => is_first(&capture.sub),
        HirKind::Concat(parts) => {
            let can_be_empty = |part: &&Hir| part.properties().minimum_len() == Some(0);
            let empty = parts.iter().take_while(can_be_empty).count();
            parts.iter().take(empty + 1).any(is_first)
        }
        HirKind::Alternation(parts) => parts.iter().any(is_first),
    }
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
