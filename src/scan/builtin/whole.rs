//! Puts the layers of an image together and says what is wrong with the whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::accounts::Accounts;
use super::documents::{self, Around};
use super::found::{self, Fate};
use super::layers::Layer;
use super::{Options, Scanned, modes};
use crate::layer::compare::Finished;
use crate::layer::tree::{Deed, Tree};
use crate::model::report::NotLooked;
use crate::model::{Finding, FindingKind, Foreign, Image, Inventory, Problem, Report};
use crate::scan::advisory::Matched;
use crate::scan::facts::{Files, Passed};
use crate::scan::inventory::{self, FileList};

/// Findings of one report.
const MOST_FINDINGS: usize = 200_000;

pub(super) fn put_together(image: &Image, options: &Options, mut report: Report, layers: &[Layer]) -> Result<Scanned, Problem> {
    let tree = Tree::new(layers.iter().map(|layer| Arc::clone(&layer.index)).collect())?;
    let side = Finished::new(&tree);
    let accounts = Accounts::of(&side, layers);
    let mut seen = Vec::new();
    for (place, layer) in layers.iter().enumerate() {
        let fate = |(path, offset): (&[u8], u64)| fate(&side, place, path, offset);
        seen.extend(found::of_layer(image, place, &layer.facts, &layer.index, options.base, fate));
    }
    report.findings.extend(found::fold(seen));
    let by_mode = modes::look(image, &side, options.base);
    report.findings.extend(by_mode.findings);
    report.findings.extend(accounts.findings(image, options.base));
    let is_whole = image.layers.is_some() && layers.iter().all(|layer| layer.problem.is_none());
    // Where nothing could be read, nobody looked.
    let is_read = |layer: &Layer| layer.problem.is_none() || !layer.index.is_empty();
    if image.layers.is_some() && (layers.is_empty() || layers.iter().any(is_read)) {
        report.looked_for.extend([FindingKind::Secret, FindingKind::SensitiveFile]);
    }
    let users = accounts.users();
    let around = Around { users: is_whole.then_some(&users), caches: is_whole.then_some(by_mode.caches.as_slice()) };
    report.findings.extend(documents::look(image, options, around));
    documents::tell(&mut report, image, around);
    let inventory = inventory(&side, layers, &accounts);
    report.packages = (inventory.lists > 0).then_some(inventory.packages.len());
    vulnerabilities(&mut report, options, &inventory, image)?;
    gaps(&mut report, image, layers, &inventory, by_mode.beyond);
    let weight = |finding: &Finding| (finding.suppressed.is_some(), std::cmp::Reverse(finding.severity), finding.kind);
    report.findings.sort_by(|one, other| weight(one).cmp(&weight(other)).then_with(|| (&one.id, &one.path).cmp(&(&other.id, &other.path))));
    if report.findings.len() > MOST_FINDINGS {
        let more = report.findings.len() - MOST_FINDINGS;
        report.findings.truncate(MOST_FINDINGS);
        report.not_looked_for.push(NotLooked::new("all", format!("{more} more findings are not told, those of the least weight")));
    }
    report.card = documents::card(image, &report, options.signed, is_whole);
    let problems = layers.iter().filter_map(|layer| layer.problem.clone()).collect();
    Ok(Scanned { report, inventory, problems })
}

/// What became of what a layer wrote there.
fn fate(side: &Finished<'_>, place: usize, path: &[u8], offset: u64) -> Fate {
    let Some(id) = side.tree.find(path) else { return Fate::Unknown };
    let here = side.member(id).filter(|_| side.has(id)).map(|member| member.offset());
    if here == Some(offset) && side.origin(id).is_some_and(|(layer, _)| layer == place) {
        return Fate::Stays;
    }
    for step in side.tree.history(id) {
        match step.deed {
            _ if step.layer < place => {}
            Deed::Removed(_) => return Fate::Removed,
            Deed::Modified if step.layer > place => return Fate::Replaced(step.layer),
            // Written again just as it was, it is still there.
            Deed::Added | Deed::Modified | Deed::Repeated => {}
        }
    }
    if here.is_some() && side.origin(id).is_some_and(|(layer, _)| layer == place) { Fate::Replaced(place) } else { Fate::Stays }
}

fn inventory(side: &Finished<'_>, layers: &[Layer], accounts: &Accounts<'_>) -> Inventory {
    let lists: Vec<HashMap<u64, &FileList>> =
        layers.iter().map(|layer| layer.facts.lists.iter().map(|list| (list.offset, list)).collect()).collect();
    let mut inventory = inventory::gather(inventory::wanted(side), |layer, offset| lists.get(layer)?.get(&offset).copied());
    inventory.distribution = accounts.distribution();
    inventory
}

fn vulnerabilities(report: &mut Report, options: &Options, inventory: &Inventory, image: &Image) -> Result<(), Problem> {
    let Some(matcher) = &options.matcher else {
        report.not_looked_for.push(NotLooked::new("vulnerability", "no advisory database: inventory only"));
        return Ok(());
    };
    let Matched { findings, looked_for, not_looked_for, db_date } = matcher(inventory)?;
    report.looked_for.extend(looked_for);
    report.not_looked_for.extend(not_looked_for);
    report.scanner.db_date = db_date;
    for mut finding in findings {
        if let Some(index) = finding.layer.as_ref().and_then(|layer| layer.index) {
            finding.layer = Some(documents::layer(image, index));
            finding.origin = found::origin(index, options.base);
        }
        report.findings.push(finding);
    }
    Ok(())
}

/// Says what nobody looked at, and why.
fn gaps(report: &mut Report, image: &Image, layers: &[Layer], inventory: &Inventory, beyond: usize) {
    let mut told = Vec::new();
    if image.layers.is_none() {
        told.push(NotLooked::new("all of the layers", "the source doesn't tell which layers the image has"));
    }
    for (place, layer) in layers.iter().enumerate() {
        if let Some(problem) = &layer.problem {
            told.push(NotLooked::new(format!("layer {} of {}", place + 1, layers.len()), problem.cause.as_str()));
        }
    }
    told.extend(passed(layers));
    told.push(NotLooked::new("vulnerability of Java, Ruby, PHP and .NET packages", "they are not read"));
    if beyond > 0 {
        told.push(NotLooked::new("sensitive_file by its rights", format!("{beyond} more findings were not kept")));
    }
    if let Some(first) = inventory.skipped.first() {
        let more = if inventory.skipped_count > 1 { format!(" and {} more", inventory.skipped_count - 1) } else { String::new() };
        told.push(NotLooked::new("packages", format!("{}: {}{more}", first.place.path.raw(), first.why)));
    }
    report.not_looked_for.extend(told);
}

/// What of the layers was passed over.
fn passed(layers: &[Layer]) -> Vec<NotLooked> {
    let mut told = Vec::new();
    let mut all = Passed::default();
    for layer in layers {
        let passed = &layer.facts.passed;
        all.binary += passed.binary;
        all.beyond += passed.beyond;
        all.aside += passed.aside;
        add(&mut all.large, &passed.large);
        add(&mut all.cut, &passed.cut);
        add(&mut all.system, &passed.system);
        add(&mut all.sparse, &passed.sparse);
    }
    if all.binary > 0 {
        told.push(NotLooked::new("secret in files that are no text", format!("{} files", all.binary)));
    }
    if all.large.count > 0 {
        told.push(NotLooked::new("secret in large files", named(&all.large)));
    }
    if all.cut.count > 0 {
        told.push(NotLooked::new("secret in all of a file", format!("there is too much in {}", named(&all.cut))));
    }
    if all.sparse.count > 0 {
        told.push(NotLooked::new("secret in files with holes", named(&all.sparse)));
    }
    if all.system.count > 0 {
        told.push(NotLooked::new("sensitive_file by all accounts", format!("there is too much in {}", named(&all.system))));
    }
    if all.beyond + all.aside > 0 {
        told.push(NotLooked::new("secret beyond the first ones", format!("{} more findings were not kept", all.beyond + all.aside)));
    }
    told
}

fn add(to: &mut Files, from: &Files) {
    to.count += from.count;
    to.first.extend(from.first.iter().take(3_usize.saturating_sub(to.first.len())).cloned());
}

fn named(files: &Files) -> String {
    let names: Vec<&str> = files.first.iter().map(Foreign::raw).collect();
    let more = usize::try_from(files.count).unwrap_or(usize::MAX).saturating_sub(names.len());
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}
