//! The table of actions. Keymap names, help overlay, palette, footer and docs all derive from it: to add an action, add a row
//! here and an arm where it applies.

use super::key::{Chord, Key, Mods};

/// Where an action can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In every pane.
    Deck,
    /// In every pane that shows a list.
    List,
    /// In the panes whose rows can be marked, filtered and changed: Images and Registries.
    Rows,
    Images,
    Registries,
    Layers,
    /// The Layers pane while it shows files.
    Files,
    Findings,
    Tasks,
    Plan,
    Log,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionRow {
    pub action: Action,
    /// The keymap file's name for it.
    pub name: &'static str,
    /// A few words for footer and palette.
    pub label: &'static str,
    /// One sentence for the help overlay.
    pub help: &'static str,
    pub keys: &'static [Chord],
    pub place: Place,
    /// Changes images, the store or a registry: unreachable in read-only mode.
    pub mutates: bool,
}

const fn c(c: char) -> Chord {
    Chord::char(c)
}
const fn k(key: Key) -> Chord {
    Chord::plain(key)
}
const fn ctrl(c: char) -> Chord {
    Chord::ctrl(c)
}
const SHIFT_TAB: Chord = Chord { key: Key::Tab, mods: Mods { ctrl: false, alt: false, shift: true } };

macro_rules! actions {
    ($( $variant:ident $name:literal $label:literal [$($key:expr),*] $place:ident $mutates:literal $help:literal; )*) => {
        /// Everything a user can ask for by key, palette or mouse.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $( #[doc = $help] $variant, )* }

        /// The table, in the order of the help overlay.
        pub const ACTIONS: &[ActionRow] = &[ $( ActionRow {
            action: Action::$variant, name: $name, label: $label, help: $help, keys: &[$($key),*], place: Place::$place, mutates: $mutates,
        }, )* ];
    };
}

actions! {
    Up "up" "up" [c('k'), k(Key::Up)] List false "Move the cursor up.";
    Down "down" "down" [c('j'), k(Key::Down)] List false "Move the cursor down.";
    Top "top" "top" [c('g'), k(Key::Home)] List false "Go to the first row.";
    Bottom "bottom" "bottom" [c('G'), k(Key::End)] List false "Go to the last row.";
    PageUp "page-up" "page up" [k(Key::PageUp)] List false "Go up by a page.";
    PageDown "page-down" "page down" [k(Key::PageDown)] List false "Go down by a page.";
    HalfUp "half-page-up" "half page up" [ctrl('u')] List false "Go up by half a page.";
    HalfDown "half-page-down" "half page down" [ctrl('d')] List false "Go down by half a page.";
    Left "left" "fold" [c('h'), k(Key::Left)] List false "Fold a row, or scroll left.";
    Right "right" "unfold" [c('l'), k(Key::Right)] List false "Unfold a row, or scroll right.";
    Open "open" "open" [k(Key::Enter)] List false "Open what the cursor is on.";
    Back "back" "back" [k(Key::Esc)] Deck false "Close, clear or go back one step; never quits.";
    FocusImages "images" "images" [c('1')] Deck false "Go to the Images pane.";
    FocusRegistries "registries" "registries" [c('2')] Deck false "Go to the Registries pane.";
    FocusLayers "layers" "layers" [c('3')] Deck false "Go to the Layers pane.";
    FocusFindings "findings" "findings" [c('4')] Deck false "Go to the Findings pane: what is wrong with this image.";
    FocusPlan "plan" "plan" [c('5'), c('o')] Deck false "Open or close the Plan drawer: what will be changed.";
    FocusTasks "tasks" "tasks" [c('6')] Deck false "Open or close the Tasks drawer.";
    FocusLog "log" "log" [c('7')] Deck false "Open or close the Log drawer: what was changed, and what can be taken back.";
    NextPane "next-pane" "next pane" [k(Key::Tab)] Deck false "Go to the next pane.";
    PreviousPane "previous-pane" "previous pane" [SHIFT_TAB] Deck false "Go to the previous pane.";
    Zoom "zoom" "zoom" [c('+')] Deck false "Give the pane the whole screen, with more columns, or back.";
    Filter "filter" "filter" [c('/')] Rows false "Filter the list as you type.";
    Mark "mark" "mark" [k(Key::Char(' '))] Rows false "Mark the row, or take the mark away.";
    Range "range" "range" [c('v')] Rows false "Start a range of marks here; again to end it.";
    InvertMarks "invert-marks" "invert marks" [c('*')] Rows false "Mark what is not marked among the rows shown, and the other way round.";
    ClearMarks "clear-marks" "clear marks" [c('U')] Rows false "Take all marks away.";
    SortName "sort-name" "sort by name" [c('N')] Rows false "Sort by name; again to flip.";
    SortSize "sort-size" "sort by size" [c('S')] Rows false "Sort by size; again to flip.";
    SortCreated "sort-created" "sort by age" [c('C')] Rows false "Sort by creation time; again to flip.";
    SortUse "sort-use" "sort by use" [c('I')] Images false "Sort by the containers that use the image; again to flip.";
    SortId "sort-id" "sort by ID" [c('D')] Images false "Sort by image ID, so that tags of one image stand together; again to flip.";
    Inspect "inspect" "inspect" [k(Key::F(4))] Rows false "Show everything known of this image.";
    Dockerfile "dockerfile" "Dockerfile" [c('f')] Layers false "Show the Dockerfile as far as the history tells it, or the steps again.";
    ShowEmpty "show-empty" "empty layers" [c('m')] Layers false "Show or hide the steps that made no layer.";
    Copy "copy" "copy text" [c('y')] List false "Copy the reference, digest or a command to the clipboard.";
    Retag "retag" "retag" [c('t')] Rows true "Give this image or tag another name.";
    BatchRetag "batch-retag" "batch retag" [c('T')] Rows true "Give all marked tags new names by one rule, seen as it is typed; goes into the plan.";
    Delete "delete" "delete" [c('d'), k(Key::Delete)] Rows true "Put untagging or deleting the marked rows into the plan; nothing goes before it is run.";
    Drift "drift" "drift" [c('u')] Images false "Ask the registries how the tags shown stand there: the same, moved, only here, gone.";
    Quarantine "quarantine" "quarantine" [c('Q')] Rows false "Find everything that contains this image, to put it away, delete or list it.";
    Compare "compare" "compare" [c('=')] Rows false "Show what differs between the two marked images, or the marked one and this one.";
    InspectLayers "inspect-layers" "inspect" [k(Key::F(4))] Layers false "Show everything known of this image.";
    Waste "waste" "waste" [c('c')] Layers false "List what all layers carry for nothing: hidden files, copies, hints.";
    LayerBelow "layer-below" "layer below" [c('[')] Files false "Look at the files of the layer below.";
    LayerAbove "layer-above" "layer above" [c(']')] Files false "Look at the files of the layer above.";
    WholeTree "whole-tree" "whole tree" [c('m')] Files false "Show all files that are there after this layer, or only what it did.";
    FindFiles "find-files" "find" [c('/')] Files false "Show only files of some name, path, size or change, in all folders.";
    ViewFile "view-file" "view" [c('p')] Files false "Show what is in this file, as the layer that is looked at has it; so does Enter.";
    InspectPath "inspect-path" "inspect" [k(Key::F(4))] Files false "Show all that is known of this path, and what every layer did to it.";
    SaveFile "save-file" "save" [c('e')] Files false "Write this file into a new one on this machine.";
    NextListing "next-listing" "waste" [c('c')] Files false "Go on to what is hidden, to copies, to hints, and back to the files.";
    FilesByName "files-by-name" "by name" [c('N')] Files false "Order the files of each folder by name.";
    FilesBySize "files-by-size" "by size" [c('S')] Files false "Order the files of each folder by size, the largest first.";
    Scan "scan" "scan" [c('s')] Deck false "Look what is wrong with this image: into its layers, by our own scanner and others that are here.";
    FindFindings "find-findings" "filter" [c('/')] Findings false "Filter the findings as you type: words, severity:high, fixable, kind:secret, origin:app.";
    GroupFindings "group-findings" "group" [c('m')] Findings false "Put findings together by severity, package, layer, kind, or base and app.";
    FixableFindings "fixable-findings" "fixable" [c('f')] Findings false "Show only what another version of its package mends, or all again.";
    ExplainFinding "explain-finding" "explain" [c('p')] Findings false "Show all that is told of this finding; so does Enter.";
    IgnoreFinding "ignore-finding" "ignore" [c('i')] Findings false "Note in your ignore file that this doesn't count, why, and until when.";
    ShowIgnored "show-ignored" "ignored" [c('a')] Findings false "Show what is ignored too, or hide it.";
    AboutScan "about-scan" "about" [k(Key::F(4))] Findings false "Show who looked, what was not looked for, and how the image stands to the CIS benchmark.";
    SaveFindings "save-findings" "save" [c('e')] Findings false "Write the findings into a file: a table, JSON or SARIF.";
    ImportReport "import-report" "import" [c('I')] Findings false "Put another scanner's report together with what is known.";
    QuarantineLayer "quarantine-layer" "quarantine" [c('Q')] Layers false "Find everything that contains this layer, to put it away, delete or list it.";
    CleanUp "clean-up" "clean up" [c('X')] Images false "Show what can go and what that frees; what is picked goes into the plan.";
    Space "space" "space" [c('b')] Images false "Show which repositories and images take the space, alone and shared.";
    Pull "pull" "pull" [c('p')] Rows true "Pull an image from a registry.";
    Push "push" "push" [c('P')] Images true "Push this image to its registry.";
    Export "export" "export" [c('e')] Images false "Write the marked images into an archive file.";
    Import "import" "import" [c('i')] Images true "Bring in the images of an archive file; says first which tags will move.";
    CopyTo "copy-to" "copy to" [c('c')] Registries true "Copy this tag to another repository or registry; what is there already is not sent.";
    AddRegistry "add-registry" "add registry" [c('a')] Registries false "Type a registry or one of its repositories.";
    LogIn "log-in" "log in" [c('L')] Registries false "Log in to this registry; kept by docker's credential helper, or for this run only.";
    LogOut "log-out" "log out" [c('O')] Registries false "Forget the login to this registry.";
    Tree "tree" "tree" [c('m')] Registries false "Show repositories by namespace, or as one list.";
    GroupDigests "group-digests" "by digest" [c('D')] Registries false "Let the tags that are the same digest stand together, or by the order they had.";
    Policy "policy" "what if" [c('R')] Registries false "Type a retention policy, and see what each tag would come to by which rule; goes into the plan.";
    RunPlan "run-plan" "run" [c('x')] Deck true "Run the plan, after a last look at what it comes to.";
    Undo "undo" "undo" [c('z')] Deck true "Take the last run back; in the Log, the run under the cursor or one of its lines.";
    Redo "redo" "redo" [ctrl('r')] Deck true "Do again what was taken back last.";
    DropLine "drop-line" "drop" [c('d'), k(Key::Delete)] Plan false "Take this line out of the plan.";
    LineSooner "line-sooner" "sooner" [c('K')] Plan false "Let this line run before the one above it, where that is safe.";
    LineLater "line-later" "later" [c('J')] Plan false "Let this line run after the one below it, where that is safe.";
    DryRun "dry-run" "dry run" [c('n')] Plan false "Look whether each line could run now; changes nothing.";
    Override "override" "override" [c('!')] Plan false "Let a protected line run all the same; asks for a reason, which is written down.";
    AllOrNothing "all-or-nothing" "all or nothing" [c('a')] Plan false "Take everything back when one line can't be done, or let the others stay done.";
    Backup "backup" "backup" [c('b')] Plan false "Write what would be lost into a backup first, or not.";
    TagAlone "tag-alone" "tag alone" [c('m')] Plan false "Take this tag alone away, whatever keeps its digest; or the manifest with it.";
    SavePlan "save-plan" "save" [c('e')] Plan false "Write the plan into a file, for `lighterman apply`.";
    ClearPlan "clear-plan" "clear" [c('U')] Plan false "Empty the plan.";
    Resume "resume" "resume" [c('R')] Log true "Go on with a run that was cut short.";
    CancelTask "cancel-task" "cancel" [c('c')] Tasks false "Cancel this task.";
    PauseTask "pause-task" "pause" [c('p')] Tasks false "Let this task wait, or go on; a transfer goes on where it was.";
    PauseAll "pause-all" "pause all" [c('P')] Tasks false "Start nothing that waits in line, until pressed again.";
    TaskSooner "task-sooner" "sooner" [c('K')] Tasks false "Move this waiting task forward in the line.";
    TaskLater "task-later" "later" [c('J')] Tasks false "Move this waiting task back in the line.";
    RetryTask "retry-task" "retry" [c('R')] Tasks false "Run this failed or cancelled task again.";
    ForgetTasks "forget-tasks" "clear ended" [c('U')] Tasks false "Take the ended tasks out of the list.";
    Refresh "refresh" "refresh" [c('r')] Deck false "Ask the source again.";
    Sources "sources" "sources" [c('w')] Deck false "Switch to another engine, context, store or file.";
    OpenFile "open-file" "open a file" [ctrl('o')] Deck false "Open an OCI layout or an image archive.";
    Themes "themes" "themes" [ctrl('t')] Deck false "Choose a theme, seen as you move.";
    Palette "palette" "palette" [c(':')] Deck false "Run any action by its name.";
    Help "help" "help" [c('?')] Deck false "Show what the keys do here.";
    Redraw "redraw" "redraw" [ctrl('l')] Deck false "Draw the whole screen anew.";
    Suspend "suspend" "suspend" [ctrl('z')] Deck false "Stop and give the terminal back to the shell until continued.";
    Quit "quit" "quit" [c('q'), ctrl('c')] Deck false "Quit; asks first while a task runs.";
}

impl Action {
    /// The action's row.
    #[must_use]
    pub fn row(self) -> &'static ActionRow {
        // The table is generated in the order of the variants.
        &ACTIONS[self as usize]
    }

    /// The action of that name in the keymap file.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.iter().find(|row| row.name == name).map(|row| row.action)
    }
}

impl Place {
    /// Whether two places can be active at once, so that a key can't mean two things there.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Deck | Self::List, _)
                | (_, Self::Deck | Self::List)
                | (Self::Rows | Self::Images, Self::Rows | Self::Images)
                | (Self::Rows | Self::Registries, Self::Rows | Self::Registries)
                | (Self::Layers, Self::Layers)
                | (Self::Files, Self::Files)
                | (Self::Findings, Self::Findings)
                | (Self::Tasks, Self::Tasks)
                | (Self::Plan, Self::Plan)
                | (Self::Log, Self::Log)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_help_a_key_and_no_clash() {
        for (i, row) in ACTIONS.iter().enumerate() {
            assert_eq!(row.action.row(), row, "order of the table");
            assert!(!row.keys.is_empty() && row.help.ends_with('.') && !row.label.is_empty(), "{}", row.name);
            assert_eq!(Action::named(row.name), Some(row.action), "names are unique");
            for other in &ACTIONS[..i] {
                if row.place.overlaps(other.place) {
                    for key in row.keys {
                        assert!(!other.keys.contains(key), "{key} is both {} and {}", row.name, other.name);
                    }
                }
            }
        }
    }
}
