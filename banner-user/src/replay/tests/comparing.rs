//! Two policies on one script.

use super::*;

fn comparison(this: Policy, other: Policy, script: &str) -> Vec<(String, Vec<Deviation>)> {
    let mut comparison = Comparison::default();
    for (side, policy) in [(Side::This, this), (Side::Other, other)] {
        let mut replay = replay_with_room(policy, 100);
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            replay.line(&[event(line)], FileId(0));
        }
        std::iter::from_fn(|| replay.left()).for_each(|ban| comparison.add(side, ban));
    }
    let differences = comparison.differences();
    differences.iter().map(|difference| (difference.source.to_string(), difference.deviations())).collect()
}

#[test]
fn two_policies_differ_by_whom_they_ban_when_and_for_how_long() {
    let script = "0 fail 192.0.2.1
                  60 fail 192.0.2.1
                  70 fail 192.0.2.2
                  80 fail 192.0.2.2
                  90 fail 192.0.2.1";
    let strict = || Jail { maxretry: 2, ..mail() };
    let of = |source: &str, deviations: &[Deviation]| (format!("{source}/32"), deviations.to_vec());
    let same: [(String, Vec<Deviation>); 0] = [];
    assert_eq!(comparison(policy([mail()]), policy([mail()]), script), same);
    assert_eq!(
        comparison(policy([mail()]), policy([strict()]), script),
        [of("192.0.2.1", &[Deviation::Earlier]), of("192.0.2.2", &[Deviation::OnlyOther])]
    );
    assert_eq!(
        comparison(policy([strict()]), policy([mail()]), script),
        [of("192.0.2.1", &[Deviation::Later]), of("192.0.2.2", &[Deviation::OnlyThis])]
    );
    let hour = || Jail { bantime: BanTime::For(Duration::from_secs(3600)), ..mail() };
    let endless = || Jail { bantime: BanTime::Permanent, observe: true, ..mail() };
    let longer = [of("192.0.2.1", &[Deviation::Longer])];
    assert_eq!(comparison(policy([mail()]), policy([hour()]), script), longer);
    let shorter = [of("192.0.2.1", &[Deviation::Shorter])];
    assert_eq!(comparison(policy([hour()]), policy([mail()]), script), shorter);
    let observed = [of("192.0.2.1", &[Deviation::Longer, Deviation::OtherObserves])];
    assert_eq!(comparison(policy([mail()]), policy([endless()]), script), observed);
    let enforced = [of("192.0.2.1", &[Deviation::Shorter, Deviation::OtherEnforces])];
    assert_eq!(comparison(policy([endless()]), policy([mail()]), script), enforced);
}

#[test]
fn a_source_is_compared_by_all_its_bans() {
    let script: String = (0..3).map(|n| format!("{} fail 192.0.2.1\n", n * 1000).repeat(3)).collect();
    let mut replay = replay_with_room(policy([mail()]), 100);
    script.lines().for_each(|line| replay.line(&[event(line)], FileId(0)));
    let mut comparison = Comparison::default();
    std::iter::from_fn(|| replay.left()).for_each(|ban| comparison.add(Side::This, ban));
    let differences = comparison.differences();
    let stand = differences[0].this.as_ref().unwrap();
    assert_eq!((stand.bans, stand.banned), (3, Some(Duration::from_secs(1800))));
    assert_eq!(differences[0].other, None);
}
