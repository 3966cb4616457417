//! What a list of half a million entries costs: `cargo bench -p banner-user --bench lists`.
//!
//! It is read, put into force a slice at a time as the daemon does it, and asked. The kernel's part is missing: a system call
//! for each entry. Memory is the growth of the resident set.

use std::{
    error::Error,
    fs,
    hint::black_box,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use banner_user::{
    clock::{BootTime, Now, WallTime},
    config::Config,
    judge::{
        Input, Judge,
        list::{List, ListAction, ListName, Prefixes},
    },
    lists::parse::{Width, parse},
    service::ServiceMask,
};

const ENTRIES: u32 = 500_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    // Scattered /28s: a trie's entries, the dear ones.
    let net = |n: u32| Ipv4Addr::from(0x0b00_0000_u32.wrapping_add(n.wrapping_mul(0x9e37).wrapping_rem(1 << 27) << 4));
    let text: String = (0..ENTRIES).map(|n| format!("{}/28\n", net(n))).collect();
    let before = resident()?;
    let begun = Instant::now();
    let prefixes = parse(text.as_bytes(), Width::Bounded)?.prefixes;
    let entries = prefixes.len();
    writeln!(out, "{entries} entries parsed in {:?}, {} bytes in all", begun.elapsed(), resident()? - before)?;

    let now = Now { boot: BootTime(1), wall: WallTime(1) };
    let mut judge = Judge::new(Config::default().policy);
    let list = |action, prefixes| List { name: ListName::new("bench"), action, prefixes: Some(prefixes) };
    let ban = ListAction::Ban { services: ServiceMask(1), observe: false };
    for (what, prefixes) in [("banned", prefixes.clone()), ("unbanned", Prefixes::default())] {
        let begun = Instant::now();
        black_box(judge.handle(Input::List(list(ban, prefixes)), now));
        let (mut slices, mut longest) = (0, Duration::ZERO);
        while judge.next_deadline().is_some_and(|deadline| deadline <= now.boot) {
            let slice = Instant::now();
            black_box(judge.handle(Input::Tick, now));
            longest = longest.max(slice.elapsed());
            slices += 1;
        }
        let time = begun.elapsed();
        writeln!(out, "{what} in {time:?}, {slices} slices of {longest:?} at most, {} bytes", resident()? - before)?;
    }

    let begun = Instant::now();
    black_box(judge.handle(Input::List(list(ListAction::Ignore, prefixes)), now));
    writeln!(out, "ignored in {:?}", begun.elapsed())?;
    let begun = Instant::now();
    for n in 0..ENTRIES {
        black_box(judge.why(IpAddr::V4(net(n))).protections);
    }
    writeln!(out, "an ignored address is found in {:?}", begun.elapsed() / ENTRIES)?;
    Ok(())
}

fn resident() -> Result<i64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<i64>()? * 1024)
}
