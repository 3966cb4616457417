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

/// A denied login is a refused one only where the server says so, and an accepted one only where it was asked for.
#[test]
fn the_server_decides_what_became_of_a_login() {
    for (exit_code, connected, heard, expected) in [
        (OK, true, "220 mail\r\n235 2.7.0 Authentication successful\r\n250 2.0.0 Ok\r\n", Ok(Outcome::Accepted)),
        (OK, true, "220 mail\r\n250 mail\r\n250 2.0.0 Ok\r\n", Err("the server has not asked who it is")),
        (LOGIN_DENIED, true, "334 \r\n535 5.7.8 no\r\n", Ok(Outcome::Refused)),
        (LOGIN_DENIED, true, "334 \r\n454 4.7.0 later\r\n", Ok(Outcome::Unavailable)),
        (WEIRD_SERVER_REPLY, true, "421 4.7.0 too many connections\r\n", Ok(Outcome::Unavailable)),
        (OPERATION_TIMEDOUT, false, "", Ok(Outcome::NoAnswer)),
        // No mechanism in common.
        (LOGIN_DENIED, true, "250 AUTH PLAIN\r\n", Err("curl (67): why; the server's last line: \"250 AUTH PLAIN\"")),
        // It fell silent.
        (OPERATION_TIMEDOUT, true, "220 mail\r\n", Err("curl (28): why; the server's last line: \"220 mail\"")),
        // It died before an answer; there was none at all.
        (56, true, "334 \r\n", Err("curl (56): why; the server's last line: \"334\"")),
        (7, false, "", Err("curl (7): why; the server's last line: \"\"")),
    ] {
        let result =
            Result { index: 0, exit_code, is_connected: connected, lasted: Duration::ZERO, message: "why".to_owned() };
        let expected = expected.unwrap_or_else(|why| Outcome::Broken(why.to_owned()));
        assert_eq!(result.outcome(Protocol::Smtp, heard.as_bytes()).unwrap(), expected, "{exit_code} {heard:?}");
    }
}

/// It did not try.
#[test]
fn a_login_that_curl_breaks_off_is_not_refused() {
    let message = "Authentication cancelled".to_owned();
    let result = Result { index: 0, exit_code: LOGIN_DENIED, is_connected: true, lasted: Duration::ZERO, message };
    let heard = b"-ERR Authentication aborted by client.\r\n";
    let outcome = result.outcome(Protocol::Pop3, heard).unwrap();
    assert!(matches!(outcome, Outcome::Broken(_)), "{outcome:?}");
}

#[test]
fn an_address_that_is_not_the_clients_is_no_outcome() {
    let result =
        Result { index: 0, exit_code: 45, is_connected: false, lasted: Duration::ZERO, message: String::new() };
    assert!(result.outcome(Protocol::Smtp, b"").is_err());
}
