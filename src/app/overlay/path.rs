//! Everything known of one path of an image, as lines to scroll through: what it is, and what every layer did to it and what that cost.

use jiff::Timestamp;

use crate::layer::tree::{Cause, Deed, Step};
use crate::layer::{Kind, Member, NodeId, Tree};
use crate::model::{HistoryEntry, Safe, dockerfile, size};
use crate::pane::layers::Listing;

use super::super::state::State;
use super::{Inspect, InspectLine, Overlay};

/// Characters of a command that are told.
const MOST: usize = 400;

/// Opens the view of the path under the cursor, in the tree or in a list.
pub(in crate::app) fn open(state: &mut State) {
    let layers = &state.layers;
    let Some(files) = &layers.files else { return };
    let Some((tree, node)) = files.looked_at(layers.reckoned.as_ref()) else { return };
    // A list is about all layers, the tree about one.
    let seen = files.shown.as_ref().filter(|_| files.listing == Listing::Tree);
    let member = seen.and_then(|seen| seen.view.member(&seen.tree, node));
    let lines = lines(tree, node, member, layers.history());
    let title = Safe::from(format!("/{}", String::from_utf8_lossy(&tree.path(node))));
    let view = Inspect::of(title, files.image.clone(), lines);
    state.overlays.push(Overlay::Inspect(view));
}

/// The view's lines: of the member as it is looked at, else as it was last written. Pure, so that it can be read in tests.
#[must_use]
pub fn lines(tree: &Tree, node: NodeId, member: Option<Member<'_>>, history: &[HistoryEntry]) -> Vec<InspectLine> {
    let story = tree.history(node);
    let last = || {
        let step = story.iter().rev().find(|step| step.member.is_some())?;
        tree.layers().get(step.layer)?.member(step.member?)
    };
    let mut lines = vec![InspectLine::Heading("Path")];
    match member.or_else(last) {
        Some(member) => facts(&mut lines, &member),
        None => lines.push(InspectLine::Item(Safe::new("a folder that no layer tells of, there for what is in it"))),
    }
    lines.extend([InspectLine::Blank, InspectLine::Heading("What each layer did")]);
    let made: Vec<&HistoryEntry> = history.iter().filter(|entry| !entry.empty_layer).collect();
    lines.extend(story.iter().map(|step| told(step, made.get(step.layer).copied())));
    if story.is_empty() {
        lines.push(InspectLine::Item(Safe::new("it is there by nature")));
    } else {
        field(&mut lines, "in all", size::human(tree.cost(node)));
    }
    lines
}

fn field(lines: &mut Vec<InspectLine>, name: &str, value: String) {
    lines.push(InspectLine::Field { name: Safe::new(name), value: Safe::from(value) });
}

fn facts(lines: &mut Vec<InspectLine>, member: &Member<'_>) {
    let kind = match member.kind() {
        Kind::File => "file",
        Kind::Sparse => "file with holes",
        Kind::Directory => "folder",
        Kind::Symlink => "symbolic link",
        Kind::Hardlink => "hard link",
        Kind::Char => "character device",
        Kind::Block => "block device",
        Kind::Fifo => "pipe",
        Kind::Other(_) => "something unknown",
    };
    field(lines, "kind", kind.to_owned());
    if let Some(link) = member.link() {
        field(lines, "to", String::from_utf8_lossy(link).into_owned());
    }
    if matches!(member.kind(), Kind::File | Kind::Sparse) {
        field(lines, "size", format!("{} ({} bytes)", size::human(member.size()), member.size()));
    }
    if member.kind() == Kind::Sparse {
        field(lines, "stored", format!("{} ({} bytes)", size::human(member.stored()), member.stored()));
    }
    if let Some((major, minor)) = member.device() {
        field(lines, "device", format!("{major}, {minor}"));
    }
    field(lines, "mode", member.octal_mode().unwrap_or_else(|| "not readable".to_owned()));
    let id = |id: Option<u32>| id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    field(lines, "owner", format!("user {}, group {}", id(member.uid()), id(member.gid())));
    if let Some(then) = member.mtime().and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        field(lines, "changed", then.to_string());
    }
    if let Some(capability) = member.capability() {
        field(lines, "capability", capability.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "));
    }
    if member.other_xattrs() > 0 {
        field(lines, "other attributes", member.other_xattrs().to_string());
    }
}

/// `layer 2, removed`, and by which command.
fn told(step: &Step, by: Option<&HistoryEntry>) -> InspectLine {
    let deed = match step.deed {
        Deed::Added => "added",
        Deed::Modified => "modified",
        Deed::Repeated => "written again",
        Deed::Removed(Cause::Whiteout) => "removed",
        Deed::Removed(Cause::Opaque) => "removed with its folder",
        Deed::Removed(Cause::Replaced) => "replaced from above",
    };
    let (keyword, rest) = dockerfile::instruction(by.and_then(|entry| entry.created_by.as_ref()).map_or("", |by| by.raw()));
    let cost = if step.bytes > 0 { format!("{}  ", size::human(step.bytes)) } else { String::new() };
    let rest: String = rest.chars().take(MOST).collect();
    InspectLine::Field {
        name: Safe::from(format!("layer {}, {deed}", step.layer + 1)),
        value: Safe::from(format!("{cost}{keyword} {rest}")),
    }
}
