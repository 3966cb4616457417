use super::*;

#[test]
fn a_line_about_a_login_is_taken_apart() {
    let result = Result::parse(b"login 17 67 0.002115 3.056603 Login denied").unwrap();
    let expected = Result {
        index: 17,
        exit_code: 67,
        is_connected: true,
        lasted: Duration::from_secs_f64(3.056_603),
        message: "Login denied".to_owned(),
    };
    assert_eq!(result, expected);
    assert!(!Result::parse(b"login 0 28 0.000000 3.0 Connection timed out").unwrap().is_connected);
    assert_eq!(Result::parse(b"login 0 0 0.1 0.2 ").unwrap().message, "");
    for line in ["", "curl: (2) no URL", "login x 0 0.1 0.2 ", "login 1 0 0.1", "login 1 0 0.1 -1 "] {
        assert_eq!(Result::parse(line.as_bytes()), None, "{line}");
    }
}

/// A denied login is a refused one only where the server says so.
#[test]
fn the_server_decides_what_a_denied_login_is() {
    for (exit_code, connected, answer, expected) in [
        (OK, true, Answer::Accepted, Some(Outcome::Accepted)),
        (LOGIN_DENIED, true, Answer::Refused, Some(Outcome::Refused)),
        (LOGIN_DENIED, true, Answer::Unavailable, Some(Outcome::Unavailable)),
        (WEIRD_SERVER_REPLY, true, Answer::Unavailable, Some(Outcome::Unavailable)),
        (OPERATION_TIMEDOUT, false, Answer::Other, Some(Outcome::NoAnswer)),
        // No mechanism in common.
        (LOGIN_DENIED, true, Answer::Accepted, None),
        (LOGIN_DENIED, true, Answer::Other, None),
        // It fell silent.
        (OPERATION_TIMEDOUT, true, Answer::Accepted, None),
        // It died before an answer, or after it.
        (56, true, Answer::Continue, None),
        (56, true, Answer::Refused, None),
        (7, false, Answer::Other, None),
    ] {
        let result =
            Result { index: 0, exit_code, is_connected: connected, lasted: Duration::ZERO, message: "why".to_owned() };
        let outcome = result.outcome(answer, "what").unwrap();
        match expected {
            Some(expected) => assert_eq!(outcome, expected, "{exit_code} {answer:?}"),
            None => {
                let broken = format!("curl ({exit_code}): why; the server's last line: \"what\"");
                assert_eq!(outcome, Outcome::Broken(broken));
            }
        }
    }
    let own = Result { index: 0, exit_code: 45, is_connected: false, lasted: Duration::ZERO, message: String::new() };
    assert!(own.outcome(Answer::Other, "").is_err(), "an address that is not the client's is no outcome");
}
