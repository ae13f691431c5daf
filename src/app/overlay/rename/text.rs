//! The chosen tags as text: every line with its names, edited here or in the user's own editor, and what each line comes to beside it.

use std::collections::HashMap;

use crate::app::editor::Editor;
use crate::app::state::State;
use crate::app::toast::ToastKind;
use crate::curate::mistake::Mistake;
use crate::curate::rename::text::{self, Edited};
use crate::curate::rename::{self, Mark};
use crate::flow::{Chord, Draft, Effect, Key};
use crate::model::{Problem, Safe};

use super::super::Overlay;
use super::{Counts, Rename, Standing, shown_as};

/// The name of the file that an editor gets.
const FILE: &str = "retag.txt";

/// The text, and what is said beside its lines.
#[derive(Debug, Clone)]
pub struct RenameText {
    pub editor: Editor,
    /// By line, from 0.
    pub notes: HashMap<usize, (Standing, Safe)>,
    /// Lines with a mistake: nothing is carried out while there are any.
    pub mistakes: usize,
}

impl RenameText {
    fn new(text: &str) -> Self {
        Self { editor: Editor::new(text), notes: HashMap::new(), mistakes: 0 }
    }

    /// What stands on a line, where several things do: the one that matters most, and all in words.
    fn note(&mut self, line: usize, standing: Standing, words: &Safe) {
        match self.notes.get_mut(&line) {
            Some(note) => *note = (note.0.max(standing), Safe::from(format!("{}; {words}", note.1))),
            None => _ = self.notes.insert(line, (standing, words.clone())),
        }
    }
}

impl Rename {
    /// The rows as they are written, with what the rule makes of them.
    fn written(&self, state: &State) -> String {
        text::write(&self.rows, self.answers(state).as_deref())
    }

    /// Turns to the text: with `own`, in the user's editor.
    pub(super) fn as_text(&mut self, state: &mut State, own: bool) -> Vec<Effect> {
        let text = match &self.text {
            Some(text) => text.editor.text(),
            None => self.written(state),
        };
        if own && state.settings.editor.is_some() {
            self.sent = Some(text.clone());
            return vec![Effect::Edit(Draft { name: FILE, text })];
        }
        self.text = Some(RenameText::new(&text));
        self.think(state);
        Vec::new()
    }

    /// The user's editor has ended. What it did is looked at here before anything comes of it.
    pub(in crate::app) fn edited(&mut self, state: &mut State, edited: Result<String, Problem>) -> Vec<Effect> {
        let Some(sent) = self.sent.take() else { return Vec::new() };
        match edited {
            Err(problem) if problem.is_cancelled() => Vec::new(),
            Err(problem) => vec![state.toasts.problem(&problem)],
            Ok(text) if text == sent => {
                vec![state.toasts.show(ToastKind::Info, "Nothing was changed in the editor", None)]
            }
            Ok(text) => {
                self.text = Some(RenameText::new(&text));
                self.think(state);
                Vec::new()
            }
        }
    }

    pub(in crate::app) fn paste(&mut self, state: &State, pasted: &str) {
        if let Some(text) = &mut self.text {
            text.editor.insert(pasted);
            self.think(state);
        }
    }

    pub(super) fn text_key(mut self: Box<Self>, state: &mut State, chord: Chord) -> Vec<Effect> {
        let ctrl = |c| chord == Chord::ctrl(c);
        if ctrl('s') {
            if self.can_be_planned() {
                return self.plan(state);
            }
            self.show_mistake();
        } else if ctrl('o') {
            let effects = match state.settings.editor {
                Some(_) => self.as_text(state, true),
                None => vec![state.toasts.show(ToastKind::Info, "Neither VISUAL nor EDITOR names an editor", None)],
            };
            state.overlays.push(Overlay::Rename(self));
            return effects;
        } else if chord.key == Key::Esc {
            // What was typed is kept for whoever comes back to it, as long as the rule is the same.
            self.kept = self.text.take().map(|text| (self.input.value().to_owned(), text));
            self.think(state);
        } else if self.text.as_mut().and_then(|text| text.editor.key(chord)) == Some(true) {
            self.think(state);
        }
        state.overlays.push(Overlay::Rename(self));
        Vec::new()
    }

    fn show_mistake(&mut self) {
        let Some(text) = &mut self.text else { return };
        let first = text.notes.iter().filter(|(_, (standing, _))| *standing == Standing::Refused).map(|(line, _)| *line).min();
        if let Some(line) = first {
            text.editor.go(line);
        }
    }

    /// Reads the text as it stands.
    pub(super) fn think_text(&mut self, state: &State, mut text: RenameText) {
        (text.notes, text.mistakes) = (HashMap::new(), 0);
        match text::read(&text.editor.text(), &self.rows) {
            Ok(edited) => self.read(state, &mut text, edited),
            Err(mistakes) => {
                text.mistakes = mistakes.len();
                for Mistake { line, words, hint, .. } in &mistakes {
                    let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                    text.note(line.saturating_sub(1), Standing::Refused, &Safe::new(&format!("{words}{hint}")));
                }
                self.counts = Counts { refused: mistakes.len(), ..Counts::default() };
            }
        }
        self.text = Some(text);
    }

    fn read(&mut self, state: &State, text: &mut RenameText, edited: Edited) {
        let marks = rename::check(&edited.wishes, &self.names);
        for ((wish, mark), line) in edited.wishes.iter().zip(&marks).zip(&edited.lines) {
            let (words, standing) = shown_as(wish, mark, self.way(state, wish));
            self.counts.add(standing);
            let words = if *mark == Mark::New && standing == Standing::New { Safe::new("new") } else { words };
            text.note(*line, standing, &words);
        }
        for line in &edited.untag_lines {
            self.counts.add(Standing::Goes);
            text.note(*line, Standing::Goes, &Safe::new("taken away"));
        }
        self.wishes = edited.wishes;
        self.untag = edited.untag;
    }
}
