use std::time::Duration;

use super::*;
use crate::enforce::{
    host::{AttachedXdp, Host, XdpMode},
    kernel::MapSizes,
    namespace::{VETH, in_namespace, ip},
    scratch::Scratch,
};

const SIZES: MapSizes = MapSizes { bans_v4: 4, bans_v6: 4, prefixes: 4 };

pub(super) async fn network() -> Snapshot {
    Host::default().read().await.unwrap()
}

pub(super) fn load(scratch: &Scratch) -> Kernel {
    scratch.load(SIZES).unwrap().0
}

pub(super) fn named(names: &[&str]) -> Interfaces {
    Interfaces::Named(names.iter().map(|name| (*name).to_owned()).collect())
}

/// The modes in which the program runs on an interface, by the kernel.
async fn attached(kernel: &mut Kernel, name: &str) -> Vec<XdpMode> {
    let (network, program) = (network().await, kernel.program_id().unwrap());
    let ours = |attached: &&AttachedXdp| attached.program == program;
    network.link_named(name).unwrap().xdp.iter().filter(ours).map(|attached| attached.mode).collect()
}

/// Takes the program off, and waits until the kernel has done so.
async fn take_off(kernel: &mut Kernel, name: &str) {
    let index = network().await.link_named(name).unwrap().index;
    kernel.detach(index).unwrap();
    while !attached(kernel, name).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn states(guard: &Guard) -> Vec<(String, State)> {
    guard.interfaces().iter().map(|guarded| (guarded.name.clone(), guarded.state.clone())).collect()
}

#[test]
fn a_start_takes_over_what_an_earlier_one_left_and_leaves_what_is_not_configured_any_more() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let both = named(&["mail0", "peer0"]);
        let guard = Guard::start(both, Attach::Native, &mut kernel, &network().await, &[]).unwrap();
        assert_eq!(guard.interfaces().len(), 2);
        let link_of = |network: &Snapshot| network.link_named("mail0").unwrap().index;
        let pinned = scratch.pins.link(link_of(&network().await));
        let before = PinnedLinkId::of(&pinned);
        drop((guard, kernel));

        let mut kernel = load(&scratch);
        assert_eq!(attached(&mut kernel, "mail0").await, [], "the old program runs until it is replaced");
        let guard = Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await, &[]).unwrap();
        assert_eq!(states(&guard), [("mail0".to_owned(), State::Attached(Mode::Native))]);
        assert_eq!(attached(&mut kernel, "mail0").await, [XdpMode::Native]);
        assert_eq!(PinnedLinkId::of(&pinned), before, "the link is another one: there was a gap");
        // It is no longer configured: the test hangs, and fails by that, where the program stays on it.
        while !network().await.link_named("peer0").unwrap().xdp.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// What tells one link from another.
#[derive(Debug, PartialEq)]
struct PinnedLinkId(u32);

impl PinnedLinkId {
    fn of(path: &std::path::Path) -> Self {
        use aya::programs::links::{FdLink, PinnedLink};
        Self(FdLink::from(PinnedLink::from_pin(path).unwrap()).info().unwrap().id())
    }
}

#[test]
fn a_pin_whose_interface_is_gone_hinders_no_new_one_of_the_same_index() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await, &[]).unwrap();
        let index = network().await.link_named("mail0").unwrap().index;
        drop(kernel);
        ip("link del mail0");
        ip(&format!("link add mail0 index {index} type veth peer name peer0\nlink set mail0 up\nlink set peer0 up"));
        let mut kernel = load(&scratch);
        assert!(scratch.pins.link(index).exists(), "the stale pin is what this is about");
        let guard = Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await, &[]).unwrap();
        assert_eq!(states(&guard), [("mail0".to_owned(), State::Attached(Mode::Native))]);
        assert_eq!(attached(&mut kernel, "mail0").await, [XdpMode::Native]);
    });
}

#[test]
fn interfaces_that_go_come_and_lose_the_program_are_seen_to_and_told_of_once() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let kernel = &mut kernel;
        let mut guard = Guard::start(named(&["mail0", "peer0"]), Attach::Auto, kernel, &network().await, &[]).unwrap();
        assert_eq!(guard.refresh(kernel, &network().await), [""; 0], "nothing has changed");

        // Somebody removes the pin, and with it the link.
        take_off(kernel, "mail0").await;
        let news = guard.refresh(kernel, &network().await).join("; ");
        assert!(
            news.contains("took the program off interface mail0") && news.contains("mail0 (native) is guarded"),
            "{news}"
        );
        assert_eq!(attached(kernel, "mail0").await, [XdpMode::Native]);

        ip("link del mail0");
        let news = guard.refresh(kernel, &network().await);
        assert_eq!(news.len(), 2, "both ends of the cable: {news:?}");
        assert!(states(&guard).iter().all(|(_, state)| *state == State::Missing));
        assert_eq!(guard.refresh(kernel, &network().await), [""; 0], "told once");
        assert_eq!(kernel.linked_interfaces().unwrap(), [0; 0], "pins of what is gone are left");

        // One that returns is guarded, whatever has become of the others.
        ip("link add mail0 type veth peer name other0\nlink set mail0 up\nlink set other0 up");
        let news = guard.refresh(kernel, &network().await).join("; ");
        assert_eq!(news, "interface mail0 (native) is guarded");
        assert_eq!(attached(kernel, "mail0").await, [XdpMode::Native]);
    });
}

#[test]
fn what_is_odd_about_an_interface_is_told_once_and_shown_while_it_lasts() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let kernel = &mut kernel;
        let mut guard = Guard::start(named(&["mail0"]), Attach::Auto, kernel, &network().await, &[]).unwrap();
        assert_eq!(guard.remarks(), [""; 0]);
        ip("link set mail0 down");
        let news = guard.refresh(kernel, &network().await);
        assert!(news.len() == 1 && news[0].starts_with("mail0 is down"), "{news:?}");
        assert_eq!(guard.refresh(kernel, &network().await), [""; 0], "told once");
        assert_eq!(guard.remarks(), news, "and shown");
        ip("link set mail0 up");
        assert_eq!(guard.refresh(kernel, &network().await), [""; 0]);
        assert_eq!(guard.remarks(), [""; 0]);
    });
}

#[test]
fn somebody_elses_program_is_told_of_once_and_replaced_by_ours_when_it_goes() {
    let Some(scratch) = Scratch::new() else { return };
    let Some(other) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let (mut kernel, mut stranger) = (load(&scratch), load(&other));
        let mut guard = Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await, &[]).unwrap();
        let index = network().await.link_named("mail0").unwrap().index;
        take_off(&mut kernel, "mail0").await;
        stranger.attach(index, Mode::Native).unwrap();

        let news = guard.refresh(&mut kernel, &network().await).join("; ");
        assert!(news.contains("interface mail0 is not guarded") && news.contains("runs XDP program"), "{news}");
        assert!(matches!(&states(&guard)[..], [(_, State::Failed(_))]), "{:?}", states(&guard));
        assert_eq!(guard.refresh(&mut kernel, &network().await), [""; 0], "told once");
        assert_eq!(attached(&mut stranger, "mail0").await, [XdpMode::Native], "it is left alone");

        take_off(&mut stranger, "mail0").await;
        assert_eq!(guard.refresh(&mut kernel, &network().await), ["interface mail0 (native) is guarded"]);
        assert_eq!(attached(&mut kernel, "mail0").await, [XdpMode::Native]);
    });
}

#[test]
fn another_mode_is_attached_where_it_is_asked_for_by_name() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        // What is configured, and what then runs: `auto` is content with either.
        for (attach, mode) in [
            (Attach::Generic, XdpMode::Generic),
            (Attach::Auto, XdpMode::Generic),
            (Attach::Native, XdpMode::Native),
            (Attach::Auto, XdpMode::Native),
            (Attach::Generic, XdpMode::Generic),
        ] {
            let guard = Guard::start(named(&["mail0"]), attach, &mut kernel, &network().await, &[]).unwrap();
            assert_eq!(attached(&mut kernel, "mail0").await, [mode], "{attach:?}");
            let notes = &guard.interfaces()[0].notes;
            assert_eq!(notes.is_empty(), (attach, mode) != (Attach::Auto, XdpMode::Generic), "{attach:?}: {notes:?}");
        }
    });
}

#[test]
fn a_start_waits_for_no_interface_and_one_that_is_missing_keeps_no_other_unguarded() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let kernel = &mut kernel;
        let names = named(&["wan0", "mail0"]);
        let mut guard = Guard::start(names, Attach::Auto, kernel, &network().await, &[]).unwrap();
        let attached_to = |name: &str| (name.to_owned(), State::Attached(Mode::Native));
        assert_eq!(states(&guard), [("wan0".to_owned(), State::Missing), attached_to("mail0")]);
        let note = &guard.interfaces()[0].notes[0];
        assert!(note.contains("no interface `wan0`") && note.contains("as soon as it appears"), "{note}");
        assert_eq!(guard.refresh(kernel, &network().await), [""; 0], "it has been told of");
        ip("link add wan0 up type veth peer name other0");
        assert_eq!(guard.refresh(kernel, &network().await), ["interface wan0 (native) is guarded"]);
        assert!(guard.take_returned() && !guard.take_returned());
        assert_eq!(states(&guard), [attached_to("wan0"), attached_to("mail0")]);
        assert!(guard.interfaces().iter().all(|guarded| guarded.notes.is_empty()), "{guard:?}");
    });
}

#[test]
fn what_exists_and_cannot_be_guarded_fails_the_start_whatever_else_is_missing() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        ip("tuntap add dev tunnel0 mode tun");
        let mut kernel = load(&scratch);
        let names = named(&["wan0", "tunnel0"]);
        let failed = Guard::start(names, Attach::Auto, &mut kernel, &network().await, &[]).unwrap_err();
        assert!(matches!(failed, GuardError::Select(SelectError::Unfit { .. })), "{failed}");
        let failed = Guard::start(named(&[]), Attach::Auto, &mut kernel, &network().await, &[]).unwrap_err();
        assert!(matches!(failed, GuardError::Select(SelectError::NoneNamed)), "{failed}");
    });
}

#[test]
fn without_a_default_route_auto_guards_the_interfaces_of_last_time_and_then_the_real_ones() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let kernel = &mut kernel;
        let attached_to = |name: &str| (name.to_owned(), State::Attached(Mode::Native));
        // The first boot ever: nothing is known.
        let mut guard = Guard::start(Interfaces::Auto, Attach::Auto, kernel, &network().await, &[]).unwrap();
        assert_eq!(states(&guard), [("auto".to_owned(), State::NoRoute)]);
        assert_eq!(guard.names(), [""; 0]);
        let note = &guard.interfaces()[0].notes[0];
        assert!(note.contains("no default route"), "{note}");
        assert_eq!(guard.refresh(kernel, &network().await), [""; 0]);
        ip("address add 192.0.2.25/24 dev mail0\nroute add default via 192.0.2.1");
        assert_eq!(guard.refresh(kernel, &network().await), ["interface mail0 (native) is guarded"]);
        assert_eq!(states(&guard), [attached_to("mail0")]);
        let last_known = guard.names();
        assert_eq!(last_known, ["mail0"]);

        // The next one: bpffs is empty, and so is the routing table.
        take_off(kernel, "mail0").await;
        ip("route del default");
        let gone = "gone0".to_owned();
        let last_known = [last_known, vec![gone]].concat();
        let mut guard = Guard::start(Interfaces::Auto, Attach::Auto, kernel, &network().await, &last_known).unwrap();
        assert_eq!(states(&guard), [attached_to("mail0")]);
        assert_eq!(attached(kernel, "mail0").await, [XdpMode::Native]);
        assert!(guard.remarks()[0].contains("no default route"), "{:?}", guard.remarks());
        // This time it leads elsewhere.
        ip("address add 198.51.100.25/24 dev peer0\nroute add default via 198.51.100.1");
        assert_eq!(guard.refresh(kernel, &network().await), ["interface peer0 (native) is guarded"]);
        assert_eq!(states(&guard), [attached_to("mail0"), attached_to("peer0")]);
        assert_eq!(guard.remarks(), [""; 0]);

        // A restart while the routes flap leaves the program where it is.
        ip("route del default");
        let before = scratch.pins.link(network().await.link_named("peer0").unwrap().index);
        let link = PinnedLinkId::of(&before);
        let guard = Guard::start(Interfaces::Auto, Attach::Auto, kernel, &network().await, &[]).unwrap();
        assert_eq!(states(&guard), [attached_to("peer0"), attached_to("mail0")]);
        assert_eq!(PinnedLinkId::of(&before), link, "there was a gap");
    });
}

#[test]
fn an_interface_that_is_renamed_stays_guarded_under_its_new_name() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let kernel = &mut kernel;
        let mut guard = Guard::start(named(&["mail0"]), Attach::Auto, kernel, &network().await, &[]).unwrap();
        let pin = scratch.pins.link(network().await.link_named("mail0").unwrap().index);
        let link = PinnedLinkId::of(&pin);
        ip("link set mail0 down\nlink set mail0 name wan0\nlink set wan0 up");
        let news = guard.refresh(kernel, &network().await).join("; ");
        assert!(news.starts_with("interface mail0 is called wan0 now, and stays as it was; "), "{news}");
        assert_eq!(states(&guard), [("wan0".to_owned(), State::Attached(Mode::Native))]);
        assert!(guard.interfaces()[0].notes[0].contains("the configuration names it mail0"), "{guard:?}");
        assert_eq!(guard.refresh(kernel, &network().await), [""; 0], "told once");

        // Another one takes the name: now both are guarded.
        ip("link add mail0 up type veth peer name other0");
        assert_eq!(guard.refresh(kernel, &network().await), ["interface mail0 (native) is guarded"]);
        assert_eq!(guard.interfaces().len(), 2);
        // And when the first is gone, nobody waits for it.
        ip("link del wan0");
        assert_eq!(
            guard.refresh(kernel, &network().await),
            ["interface wan0 (native) is gone; it is guarded again as soon as it returns"]
        );
        assert_eq!(states(&guard), [("mail0".to_owned(), State::Attached(Mode::Native))]);

        ip("link set mail0 name wan0");
        guard.refresh(kernel, &network().await);
        ip("link set wan0 name mail0");
        assert_eq!(
            guard.refresh(kernel, &network().await),
            ["interface wan0 is called mail0 now, and stays as it was"]
        );
        assert!(guard.interfaces()[0].notes.is_empty(), "{guard:?}");
        assert_ne!(PinnedLinkId::of(&scratch.pins.link(network().await.link_named("mail0").unwrap().index)), link);
    });
}

#[test]
fn an_interface_that_is_known_by_another_name_is_waited_for_by_that() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        ip("link property add dev mail0 altname uplink");
        let mut kernel = load(&scratch);
        let kernel = &mut kernel;
        let both = named(&["uplink", "mail0"]);
        let mut guard = Guard::start(both, Attach::Auto, kernel, &network().await, &[]).unwrap();
        assert_eq!(guard.interfaces().len(), 1, "it is one interface");
        ip("link del mail0");
        guard.refresh(kernel, &network().await);
        assert_eq!(states(&guard), [("uplink".to_owned(), State::Missing)]);
        ip("link add mail1 up type veth peer name peer1\nlink property add dev mail1 altname uplink");
        assert_eq!(guard.refresh(kernel, &network().await), ["interface mail1 (native) is guarded"]);
        assert_eq!(states(&guard), [("mail1".to_owned(), State::Attached(Mode::Native))]);
    });
}

#[test]
fn an_interface_that_comes_back_at_once_is_guarded_at_once() {
    let Some(scratch) = Scratch::new() else { return };
    in_namespace(|| async {
        ip(VETH);
        let mut kernel = load(&scratch);
        let kernel = &mut kernel;
        let mut guard = Guard::start(named(&["mail0"]), Attach::Auto, kernel, &network().await, &[]).unwrap();
        let there = network().await;
        let mut without = there.clone();
        without.links.retain(|link| link.name != "mail0");
        // Seen missing and there again with the program that has been given up, and that the kernel may not have taken off yet.
        for _ in 0..20 {
            guard.refresh(kernel, &without);
            assert_eq!(kernel.linked_interfaces().unwrap(), [0; 0]);
            let now = network().await;
            assert_eq!(guard.refresh(kernel, &now), ["interface mail0 (native) is guarded"]);
            assert_eq!(attached(kernel, "mail0").await, [XdpMode::Native]);
        }
        assert_eq!(guard.interfaces().len(), 1);
    });
}
