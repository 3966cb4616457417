//! The logins for which there is no curl: ManageSieve, and the plaintext commands of IMAP and POP3.

use std::time::Instant;

use anyhow::bail;

use super::{
    Attempt, Clients, Conversation, Login, Lost, Mechanism, Outcome, Service,
    conversation::literal,
    reply::{Answer, Protocol, Reply},
    sasl,
};

/// Whether a login is to be done here.
pub(super) fn is_for(login: &Login) -> bool {
    login.service == Service::Sieve || login.mechanism == Mechanism::Plaintext
}

pub(super) fn login(clients: &Clients<'_>, login: &Login) -> anyhow::Result<Attempt> {
    let steps = steps(login)?;
    let began = Instant::now();
    let mut last = None;
    let outcome = match clients.connect(login.from, login.service, login.transport) {
        Ok(mut conversation) => {
            let outcome = speak(&mut conversation, &steps, &mut last);
            match outcome {
                // Without TLS the host has answered when a conversation begins.
                Err(Lost::Silent { heard }) if last.is_none() && heard.is_empty() && conversation.is_protected() => {
                    Ok(Outcome::NoAnswer)
                }
                outcome => outcome,
            }
        }
        Err(Lost::Silent { .. }) => Ok(Outcome::NoAnswer),
        Err(lost) => Err(lost),
    };
    let finished = Instant::now();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(Lost::Failed(why)) => bail!("{why}"),
        Err(lost) => Outcome::Broken(lost.to_string()),
    };
    let said = last.as_ref().map(Reply::status).unwrap_or_default();
    Ok(Attempt { outcome, said, lasted: finished - began, finished })
}

/// What to say, one reply after each, and how to leave.
struct Steps {
    words: Vec<Vec<u8>>,
    farewell: &'static [u8],
}

fn steps(login: &Login) -> anyhow::Result<Steps> {
    let (user, password) = (&login.user, &login.password);
    Ok(match (login.service.protocol(), login.mechanism) {
        (Protocol::Imap, Mechanism::Plaintext) => Steps {
            words: vec![
                [b"a LOGIN ".to_vec(), string(user), b" ".to_vec(), string(password), b"\r\n".to_vec()].concat(),
            ],
            farewell: b"b LOGOUT\r\n",
        },
        (Protocol::Pop3, Mechanism::Plaintext) => {
            if [user, password].iter().any(|word| word.iter().any(|byte| matches!(byte, b'\r' | b'\n'))) {
                bail!("a line end cannot be said in USER and PASS of POP3");
            }
            Steps {
                words: vec![[b"USER ", &user[..], b"\r\n"].concat(), [b"PASS ", &password[..], b"\r\n"].concat()],
                farewell: b"QUIT\r\n",
            }
        }
        (Protocol::Sieve, Mechanism::Plain) => Steps {
            words: vec![format!("AUTHENTICATE \"PLAIN\" \"{}\"\r\n", sasl::plain(user, password)).into_bytes()],
            farewell: b"LOGOUT\r\n",
        },
        (protocol, mechanism) => bail!("no client here speaks {mechanism:?} at {protocol:?}"),
    })
}

/// Says what is to be said, as long as the server agrees; `last` is what it said to it.
fn speak(conversation: &mut Conversation, steps: &Steps, last: &mut Option<Reply>) -> Result<Outcome, Lost> {
    let mut answer = Answer::Accepted;
    if conversation.is_greeted() {
        answer = last.insert(conversation.hear()?).answer();
    }
    for words in &steps.words {
        if answer != Answer::Accepted {
            break;
        }
        answer = last.insert(conversation.say_and_hear(words)?).answer();
    }
    if answer == Answer::Accepted {
        conversation.say_and_hear(steps.farewell)?;
    }
    let said = || last.as_ref().map(Reply::status).unwrap_or_default();
    Ok(Outcome::by(answer).unwrap_or_else(|| Outcome::Broken(format!("the server says {}", said()))))
}

/// A string of IMAP (RFC 9051, 4.3): quoted where it is a short word of printable ASCII, as clients do, a literal otherwise.
fn string(bytes: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if bytes.iter().all(is_plain) { [b"\"", bytes, b"\""].concat() } else { literal(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_of_imap_holds_any_bytes() {
        for (bytes, said) in [
            (&b"alice"[..], &b"\"alice\""[..]),
            (b"", b"\"\""),
            (b"two words", b"\"two words\""),
            (b"a\"b", b"{3+}\r\na\"b"),
            (b"a\\", b"{2+}\r\na\\"),
            (b"x\r\ny", b"{4+}\r\nx\r\ny"),
            (b"\xff", b"{1+}\r\n\xff"),
        ] {
            assert_eq!(string(bytes), said);
        }
    }
}
