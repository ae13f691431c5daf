//! The way back: the line that undoes a line, from what was found after it ran.

use crate::model::{Foreign, Operation, Target, UndoClass, Verb};

/// The line that takes `done` back; `None` for what nothing can take back. `backed_up` says whether the image was written to a backup.
///
/// Its `before` is what the line left, so whoever changed the target since stops it.
#[must_use]
pub fn inverse(done: &Operation, backed_up: bool) -> Option<Operation> {
    let remote = done.place().registry_host().is_some();
    let verb = match done.verb {
        Verb::Tag => Verb::Untag,
        Verb::Untag | Verb::DeleteTag => Verb::Tag,
        // The tag that the copy gave; what it sent is the registry's garbage.
        Verb::Copy | Verb::Push if done.before.is_none() => Verb::Untag,
        // What a pull brought, under the name that it gave.
        Verb::Pull if done.before.is_none() => Verb::DeleteImage,
        Verb::MoveTag | Verb::Copy | Verb::Pull | Verb::Push => Verb::MoveTag,
        Verb::DeleteManifest => Verb::RestoreManifest,
        Verb::RestoreManifest => Verb::DeleteManifest,
        Verb::DeleteImage if backed_up => Verb::RestoreImage,
        Verb::RestoreImage => Verb::DeleteImage,
        Verb::DeleteImage => return None,
    };
    // What a push left may not be known, and what it took its name from.
    if done.before == done.after || done.is_blind() || done.verb == Verb::Push && done.after.is_none() {
        return None;
    }
    let mut back = Operation::new(verb, done.place().into_owned(), done.target.clone(), done.after.clone(), done.before.clone());
    back.media_type.clone_from(&done.media_type);
    back.undo = match (verb, remote) {
        (Verb::MoveTag | Verb::DeleteManifest, true) => UndoClass::UntilGarbageCollection,
        (Verb::DeleteImage, _) => UndoClass::OnlyFromBackup,
        _ => UndoClass::ReversibleNow,
    };
    back.effects.push(Foreign::from(words(&back)));
    Some(back)
}

fn words(back: &Operation) -> String {
    let at = back.after.as_ref().map_or("nothing", |digest| digest.short());
    match (back.verb, &back.target) {
        (Verb::Untag, _) => "takes the tag away again".to_owned(),
        (Verb::DeleteManifest, _) => "deletes the manifest again".to_owned(),
        (Verb::DeleteImage, _) => "deletes the image again".to_owned(),
        (Verb::RestoreManifest, _) => "puts the manifest back".to_owned(),
        (Verb::RestoreImage, Target::Tag(_)) => format!("brings image {at} back under this name"),
        (Verb::RestoreImage, _) => format!("brings image {at} back"),
        _ => format!("points at {at} again"),
    }
}
