//! What curating costs while a user types or marks: ten thousand rows have to answer within a keystroke.

use std::collections::BTreeMap;

use divan::{Bencher, black_box, counter::ItemsCount};
use jiff::Timestamp;
use lighterman::curate::plan::{self, Wish};
use lighterman::curate::reclaim::Holdings;
use lighterman::curate::rename::{Case, Pattern, Preset, Row, Rows, Rule, Template, check, wishes};
use lighterman::curate::retention::{self, EXAMPLE, Policy, phrase};
use lighterman::model::{Completeness, Digest, Foreign, Name, RepositoryView, SourceId, Target};

fn main() {
    divan::main();
}

/// Layers of `count` manifests, twenty each: half of them of some base, half its own or a neighbour's.
fn layers(count: usize) -> Vec<Vec<(Digest, u64)>> {
    let blob = |n: usize| (Digest::sha256(&n.to_le_bytes()), 1_000 + n as u64);
    let bases: Vec<(Digest, u64)> = (0..500).map(blob).collect();
    let own: Vec<(Digest, u64)> = (1_000..1_000 + count * 5).map(blob).collect();
    let base = |n: usize| (0..10).map(move |layer| (n % 50) * 10 + layer);
    let of = |n: usize| base(n).map(|at| bases[at].clone()).chain((0..10).map(|layer| own[(n * 5 + layer) % own.len()].clone())).collect();
    (0..count).map(of).collect()
}

fn holdings(layers: &[Vec<(Digest, u64)>]) -> Holdings {
    let mut all = Holdings::default();
    for blobs in layers {
        all.add(blobs.iter().map(|(digest, size)| (digest, *size)));
    }
    all
}

/// From digests to bytes: interning 200,000 references, and weighing half of the manifests.
#[divan::bench(args = [10_000])]
fn reclaim_from_digests(bencher: Bencher, count: usize) {
    let layers = layers(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| holdings(black_box(&layers)).free((0..count).step_by(2)));
}

/// As marks change: the blobs are interned already.
#[divan::bench(args = [10_000])]
fn reclaim_of_marks(bencher: Bencher, count: usize) {
    let all = holdings(&layers(count));
    bencher.counter(ItemsCount::new(count)).bench_local(|| black_box(&all).free((0..count).step_by(2)));
}

/// Tags of one repository: releases, candidates, and tags that are no versions.
fn rows(count: usize) -> Vec<Row> {
    let tag = |n: usize| match n % 4 {
        0 => format!("{}.{}.{}-rc{}", n / 1000, n / 100 % 10, n / 40 % 10, n % 10),
        1 => format!("v{}.{}.{}", n / 1000, n / 100 % 10, n % 100),
        2 => format!("pr-{n}"),
        _ => format!("build-{n}-deadbee"),
    };
    let row = |n: usize| Row {
        name: Name::new(&format!("registry.example.org:5000/harbour/lighter:{}", tag(n))),
        digest: Digest::sha256(&n.to_le_bytes()),
        created: i64::try_from(n).ok().and_then(|n| Timestamp::from_second(1_700_000_000 + 3600 * n).ok()),
        labels: Some([("org.opencontainers.image.version".into(), Foreign::from(format!("1.{n}")))].into()),
    };
    (0..count).map(row).collect()
}

/// A rule put to all rows, and all wishes looked at together: what a keystroke costs.
#[divan::bench(args = ["pattern", "template", "promote"])]
fn retag_10000_rows(bencher: Bencher, kind: &str) {
    let rows = rows(10_000);
    let names = rows.iter().map(|row| (row.name.clone(), row.digest.clone())).collect();
    let rule = || match kind {
        "pattern" => Pattern::new(r"^v?(\d+\.\d+\.\d+)(-rc\d+)?$", "stable-$1", false, Case::AsIs).ok().map(Rule::Pattern),
        "template" => Template::parse("{tag}-{date}-{digest:7}-{label:org.opencontainers.image.version}-{n:05}").ok().map(Rule::Template),
        _ => Preset::parse("promote:latest,stable").ok().map(Rule::Preset),
    };
    bencher.counter(ItemsCount::new(rows.len())).bench_local(|| {
        let wishes = wishes(&Rows { rows: black_box(&rows), names: &names, now: Timestamp::UNIX_EPOCH }, &rule()?);
        Some(check(&wishes, &names))
    });
}

/// The same repository as a policy sees it: every tenth an index, every tenth a signature.
fn retained(count: usize) -> Vec<retention::Row> {
    let all = rows(count);
    let digest = |at: usize| all.get(at).map(|row| row.digest.clone());
    let row = |(at, row): (usize, &Row)| retention::Row {
        digest: Some(row.digest.clone()),
        created: row.created,
        labels: row.labels.clone(),
        platforms: Some(Vec::new()),
        children: if at % 10 == 0 { digest(at + 1).into_iter().collect() } else { Vec::new() },
        subject: if at % 10 == 9 { digest(at - 5) } else { None },
        ..retention::Row::unread(row.name.split().1.unwrap_or_default())
    };
    all.iter().enumerate().map(row).collect()
}

/// From the text of a policy to a decision on every tag: what typing a rule costs, and planning a run.
#[divan::bench]
fn policy_over_10000_tags(bencher: Bencher) {
    let rows = retained(10_000);
    let now = Timestamp::from_second(1_740_000_000).unwrap_or_default();
    bencher
        .counter(ItemsCount::new(rows.len()))
        .bench_local(|| Policy::parse(black_box(EXAMPLE)).ok().map(|policy| policy.decide(black_box(&rows), now).dropped));
}

/// A rule that is typed, key by key: what each key costs from the words to a decision on every tag, with what is kept between keys.
#[divan::bench]
fn what_if_key_over_10000_tags(bencher: Bencher) {
    let rows = retained(10_000);
    let now = Timestamp::from_second(1_740_000_000).unwrap_or_default();
    let line =
        "keep only last 3 of v{semver} per minor, drop pr-*|*-rc* older than 14d, protect latest|stable, drop untagged older than 7d";
    bencher.counter(ItemsCount::new(rows.len())).bench_local(|| {
        let said = phrase::policy(black_box(line)).ok()?;
        let report = said.policy.decide(black_box(&rows), now);
        // Only the rows that are seen are put into words.
        let seen: usize = report.reasons.iter().take(50).map(|reason| said.policy.words(*reason, &rows).as_str().len()).sum();
        Some((report.dropped, seen))
    });
}

const REPOSITORY: &str = "registry.example.org:5000/harbour/lighter";

/// A repository of as many tags: every third beside another one at the same manifest, every fifth manifest signed, every tenth an index.
fn view(count: usize, same: bool) -> RepositoryView {
    let digest = |n: usize| Digest::sha256(&(if same { 0 } else { n - usize::from(n % 3 == 2) }).to_le_bytes());
    let kind = Foreign::new("application/vnd.oci.image.manifest.v1+json");
    let mut view = RepositoryView {
        source: SourceId::registry("registry.example.org:5000"),
        name: REPOSITORY.to_owned(),
        tags: (0..count).map(|n| (format!("build-{n}"), (digest(n), kind.clone()))).collect(),
        indexes: (0..count / 10).map(|n| (digest(n * 10), [digest(n * 10 + 1)].into())).collect(),
        referrers: BTreeMap::new(),
        held: BTreeMap::new(),
        completeness: Completeness::Complete,
    };
    for subject in (0..count).step_by(5).map(digest) {
        let (tag, signature) = (format!("sha256-{}.sig", subject.hex()), Digest::sha256(subject.as_str().as_bytes()));
        view.tags.insert(tag.clone(), (signature.clone(), kind.clone()));
        view.referrers.insert(subject, vec![(signature, Some(tag))]);
    }
    view
}

/// All tags of a repository deleted, moved, or all but one deleted where they share their manifest: from wishes to lines.
#[divan::bench(args = ["delete", "move", "delete of the same", "untag of the same"])]
fn plan_of_10000_tags(bencher: Bencher, kind: &str) {
    let view = view(10_000, kind.ends_with("same"));
    let name = |n: usize| Name::new(&format!("{REPOSITORY}:build-{n}"));
    let wish = |n: usize| match kind {
        "move" => Wish::Tag { id: Digest::sha256(b"new"), to: name(n) },
        _ => Wish::Delete(Target::Tag(name(n))),
    };
    let wishes: Vec<Wish> = (usize::from(kind.starts_with("untag"))..10_000).map(wish).collect();
    bencher
        .counter(ItemsCount::new(wishes.len()))
        .bench_local(|| plan::remote(black_box(&view), black_box(&wishes), &plan::nothing()).len());
}
