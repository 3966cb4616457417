use super::{super::tests::*, *};
use crate::enforce::{
    kernel::Attach,
    namespace::{VETH, in_namespace, ip},
    scratch::Scratch,
};

#[test]
fn what_would_leave_nothing_guarded_takes_the_place_of_nothing() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let guard = Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await, &[]).unwrap();
        let refused = |names: &[&str], network: &Snapshot| {
            guard.check_replacement(&named(names), network).map_err(|error| error.to_string())
        };
        let now = network().await;
        for (names, expected) in [
            (&["mail0"][..], None),
            (&["peer0"], None),
            (&["mail1", "peer0"], None),
            (
                &["mail1"],
                Some("none of the configured interfaces exists (mail1); did you mean mail0? mail0 stays guarded"),
            ),
            (&["zzz\n", "q"], Some("none of the configured interfaces exists (zzz\\n, q); mail0 stays guarded")),
        ] {
            assert_eq!(refused(names, &now).err().as_deref(), expected, "{names:?}");
        }
        assert_eq!(guard.check_replacement(&Interfaces::Auto, &now), Ok(()), "no default route: mail0 stays");

        // Nothing is lost where what was guarded is gone.
        ip("link del mail0");
        assert_eq!(refused(&["mail1"], &network().await), Ok(()));
        let waiting = Guard::start(named(&["mail1"]), Attach::Auto, &mut kernel, &network().await, &[]).unwrap();
        assert_eq!(waiting.check_replacement(&named(&["mail2"]), &now), Ok(()), "nothing was guarded");
    });
}

#[test]
fn interfaces_that_are_left_and_taken_up_are_told_of() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let mut start = |names: &[&str], network: &Snapshot| {
            Guard::start(named(names), Attach::Auto, &mut kernel, network, &[]).unwrap()
        };
        let now = network().await;
        let both = start(&["mail0", "peer0"], &now);
        let one = start(&["mail0"], &now);
        assert_eq!(one.changes_from(&both), ["interface peer0 is no longer guarded"]);
        assert_eq!(start(&["mail0"], &now).changes_from(&one), [""; 0], "nothing has changed");
        let other = start(&["peer0"], &now);
        assert_eq!(
            other.changes_from(&one),
            ["interface mail0 is no longer guarded", "interface peer0 (native) is guarded"]
        );
        let waiting = start(&["peer0", "mail7"], &now).changes_from(&other);
        assert!(waiting.len() == 1 && waiting[0].contains("mail7") && waiting[0].contains("as soon as"), "{waiting:?}");
    });
}
