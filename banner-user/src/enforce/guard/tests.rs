use super::*;
use crate::enforce::{
    host::Host,
    kernel::MapSizes,
    namespace::{VETH, in_namespace, ip},
    scratch::Scratch,
};

const SIZES: MapSizes = MapSizes { bans_v4: 4, bans_v6: 4, prefixes: 4 };

async fn network() -> Snapshot {
    Host::default().read().await.unwrap()
}

fn load(scratch: &Scratch) -> Kernel {
    scratch.load(SIZES).unwrap().0
}

fn named(names: &[&str]) -> Interfaces {
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
        let guard = Guard::start(both, Attach::Native, &mut kernel, &network().await).unwrap();
        assert_eq!(guard.interfaces().len(), 2);
        let link_of = |network: &Snapshot| network.link_named("mail0").unwrap().index;
        let pinned = scratch.pins.link(link_of(&network().await));
        let before = PinnedLinkId::of(&pinned);
        drop((guard, kernel));

        let mut kernel = load(&scratch);
        assert_eq!(attached(&mut kernel, "mail0").await, [], "the old program runs until it is replaced");
        let guard = Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await).unwrap();
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
        Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await).unwrap();
        let index = network().await.link_named("mail0").unwrap().index;
        drop(kernel);
        ip("link del mail0");
        ip(&format!("link add mail0 index {index} type veth peer name peer0\nlink set mail0 up\nlink set peer0 up"));
        let mut kernel = load(&scratch);
        assert!(scratch.pins.link(index).exists(), "the stale pin is what this is about");
        let guard = Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await).unwrap();
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
        let mut guard = Guard::start(named(&["mail0", "peer0"]), Attach::Auto, kernel, &network().await).unwrap();
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
        let mut guard = Guard::start(named(&["mail0"]), Attach::Auto, kernel, &network().await).unwrap();
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
        let mut guard = Guard::start(named(&["mail0"]), Attach::Auto, &mut kernel, &network().await).unwrap();
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
            let guard = Guard::start(named(&["mail0"]), attach, &mut kernel, &network().await).unwrap();
            assert_eq!(attached(&mut kernel, "mail0").await, [mode], "{attach:?}");
            let notes = &guard.interfaces()[0].notes;
            assert_eq!(notes.is_empty(), (attach, mode) != (Attach::Auto, XdpMode::Generic), "{attach:?}: {notes:?}");
        }
    });
}
