//! The loop: what happened goes in, effects come out, and a frame is drawn when something changed and nothing more is waiting.
//!
//! It sleeps until a key, a signal, an answer or a finished frame wakes it; it has no clock of its own except to keep bursts of answers
//! to one frame in sixteen milliseconds.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::{self, State};
use crate::flow::{Draft, Effect, Msg};
use crate::model::{Problem, ProblemKind};
use crate::work::{Worker, clock};

use super::editor::{self, Editor};
use super::input::Input;
use super::keys::{Keys, Read};
use super::look::Look;
use super::remembered::{Keeper, Remembered};
use super::screen::Screen;
use super::signals::{self, Signals, Told};
use super::term::{self, Modes};

/// Shortest time between frames that only answers ask for. A key is drawn at once.
const FRAME: Duration = Duration::from_millis(16);
/// Events or answers taken in before a frame is drawn.
const BATCH: usize = 256;
/// How long jobs may take to stop at the end.
const GRACE: Duration = Duration::from_secs(2);

/// All that the loop holds.
pub(super) struct Deck {
    pub state: State,
    pub worker: Worker,
    pub messages: mpsc::Receiver<Msg>,
    pub modes: Modes,
    pub look: Look,
    pub keeper: Keeper,
    pub editor: Option<Editor>,
    /// Where texts lie while an editor has them.
    pub drafts: PathBuf,
    /// They are there after the end, which those of the sample world are not.
    pub lasts: bool,
}

/// The terminal is an editor's: nothing is drawn or read until it comes back.
struct Lent {
    edited: Pin<Box<dyn Future<Output = Result<String, Problem>> + Send>>,
    stop: CancellationToken,
}

struct Running {
    deck: Deck,
    screen: Screen,
    keys: Keys,
    signals: Signals,
    input: Input,
    /// The picture is not what the state is.
    dirty: bool,
    /// The next frame may be drawn from here on.
    due: Instant,
    /// We gave the terminal back and stopped ourselves: until SIGCONT it isn't ours.
    stopped: bool,
    lent: Option<Lent>,
    exit: Option<u8>,
}

/// What woke the loop.
enum Woken {
    Message(Msg),
    Event(Read),
    Edited(Result<String, Problem>),
    Told(Told),
    Written(io::Result<()>),
    Due,
}

/// Runs the deck on a terminal that was entered, to the end, and gives the exit code.
///
/// # Errors
/// The system gave no thread or signal handler.
pub(super) async fn run(mut deck: Deck, effects: Vec<Effect>) -> Result<u8, Problem> {
    let trouble = |error: io::Error| Problem::new(ProblemKind::Other, "run on this terminal", error.to_string());
    let size = Screen::bounded(deck.state.width, deck.state.height);
    deck.state.width = size.0;
    deck.state.height = size.1;
    let mut running = Running {
        screen: Screen::new(size).map_err(trouble)?,
        keys: Keys::new().map_err(trouble)?,
        signals: Signals::new().map_err(trouble)?,
        input: Input::default(),
        dirty: true,
        due: Instant::now(),
        stopped: false,
        lent: None,
        exit: None,
        deck,
    };
    // The first frame is out before anything is started.
    running.draw().map_err(trouble)?;
    running.carry_out(effects);
    while running.exit.is_none() {
        let woken = running.wait().await;
        running.take(woken);
        running.drain();
        if running.dirty && !running.is_away() && !running.screen.is_busy() && running.due <= Instant::now() {
            running.draw().map_err(trouble)?;
        }
    }
    let mut unread = None;
    if let Some(Lent { edited, stop }) = running.lent.take() {
        stop.cancel();
        unread = edited.await.err().and_then(|problem| problem.hint);
    }
    term::leave();
    if let Some(unread) = unread.filter(|_| running.deck.lasts) {
        // Nobody is there who would see it on the screen; where nobody reads this either, the file is there all the same.
        let _ = writeln!(io::stderr(), "lighterman: {unread}");
    }
    let Running { deck, exit, .. } = running;
    if !deck.worker.stop(deck.messages, GRACE).await {
        tracing::warn!("a task did not stop in time");
    }
    Ok(exit.unwrap_or_default())
}

impl Running {
    /// Whether the terminal is somebody else's now.
    const fn is_away(&self) -> bool {
        self.stopped || self.lent.is_some()
    }

    async fn wait(&mut self) -> Woken {
        let (due, timed) = (self.due, self.dirty && !self.screen.is_busy() && !self.is_away());
        let (lent, working) = (self.lent.is_some(), self.lent.as_mut());
        let edited = async {
            match working {
                Some(lent) => lent.edited.as_mut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            told = self.signals.next() => {
                if matches!(told, Told::Continue) {
                    signals::foreground().await;
                }
                Woken::Told(told)
            }
            // A deck that can't be typed at ends, as with a terminal that is gone.
            event = self.keys.next(), if !lent => Woken::Event(event.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::BrokenPipe)))),
            edited = edited, if lent => Woken::Edited(edited),
            written = self.screen.written() => Woken::Written(written),
            Some(msg) = self.deck.messages.recv() => Woken::Message(msg),
            () = tokio::time::sleep_until(due), if timed => Woken::Due,
        }
    }

    fn take(&mut self, woken: Woken) {
        match woken {
            Woken::Message(msg) => {
                self.apply(Msg::Now(clock::now()));
                self.message(msg);
            }
            Woken::Event(event) => {
                self.apply(Msg::Now(clock::now()));
                self.event(event);
            }
            Woken::Edited(edited) => {
                self.lent = None;
                self.keys.resume();
                self.come_back();
                self.apply(Msg::Now(clock::now()));
                self.apply(Msg::Edited(edited));
            }
            // Typed at the editor, which answers for itself; and a job that goes on goes on in its editor.
            Woken::Told(Told::End(signals::INTERRUPT | signals::QUIT) | Told::Continue) if self.lent.is_some() => {}
            Woken::Told(Told::End(code)) => self.end(code),
            // The whole job stops with its editor, and goes on with it.
            Woken::Told(Told::Stop) if self.lent.is_some() => _ = signals::stop_job(),
            Woken::Told(Told::Stop) => self.suspend(),
            Woken::Told(Told::Continue) => {
                // Stopped by somebody else, with no chance to give the terminal back first, or by ourselves, when this does nothing.
                term::leave();
                self.come_back();
            }
            Woken::Written(Ok(())) | Woken::Due => {}
            Woken::Written(Err(_)) => self.end(signals::HANGUP),
        }
    }

    /// Takes what else is waiting, so that one frame shows it all.
    fn drain(&mut self) {
        for _ in 0..BATCH {
            match self.keys.waiting().filter(|_| self.lent.is_none()) {
                Some(event) => self.event(event),
                None => break,
            }
        }
        for _ in 0..BATCH {
            match self.deck.messages.try_recv() {
                Ok(msg) => self.message(msg),
                Err(_) => break,
            }
        }
    }

    fn event(&mut self, event: Read) {
        match event.map(|(event, then)| self.input.message(event, then)) {
            Ok(Some(Msg::Resize { width, height })) => self.resized(width, height),
            Ok(Some(msg)) => {
                #[cfg(debug_assertions)]
                crate::work::hooks::panic_if("key");
                // What a hand did is shown at once.
                self.due = Instant::now();
                self.apply(msg);
            }
            Ok(None) => {}
            Err(_) => self.end(signals::HANGUP),
        }
    }

    fn message(&mut self, msg: Msg) {
        self.deck.worker.saw(&msg);
        self.apply(msg);
    }

    fn resized(&mut self, width: u16, height: u16) {
        let (width, height) = Screen::bounded(width, height);
        self.screen.resize((width, height));
        self.due = Instant::now();
        self.apply(Msg::Resize { width, height });
    }

    fn apply(&mut self, msg: Msg) {
        // The time alone changes nothing that has to be drawn.
        self.dirty |= !matches!(msg, Msg::Now(_));
        let effects = app::update(&mut self.deck.state, msg);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Start(id, job) => self.deck.worker.start(id, job),
                Effect::Cancel(id) => self.deck.worker.cancel(id),
                Effect::After(delay, msg) => self.deck.worker.after(delay, *msg),
                Effect::Copy(text) => self.copy(&text),
                Effect::Remember => self.deck.keeper.keep(Remembered::of(&self.deck.state)),
                Effect::Redraw => {
                    self.screen.forget();
                    self.dirty = true;
                }
                Effect::Edit(draft) => self.edit(draft),
                Effect::Quit => self.exit = self.exit.or(Some(0)),
                Effect::Suspend => self.suspend(),
            }
        }
    }

    fn copy(&mut self, text: &str) {
        if self.deck.state.settings.clipboard && !self.screen.copy(text) {
            let problem = Problem::new(ProblemKind::Limit, "copy this text", "it is longer than a terminal takes (100 KiB)");
            let effect = self.deck.state.toasts.problem(&problem);
            self.carry_out(vec![effect]);
        }
        self.dirty = true;
    }

    /// Ends with that exit code, whatever the app would rather do.
    fn end(&mut self, code: u8) {
        self.exit = Some(code);
        self.apply(Msg::Terminate);
        self.exit = Some(code);
    }

    /// Lends the terminal to the user's editor.
    fn edit(&mut self, draft: Draft) {
        let Some(editor) = self.deck.editor.clone().filter(|_| self.lent.is_none()) else {
            let problem = Problem::new(ProblemKind::Unsupported, "edit the text", "neither VISUAL nor EDITOR names an editor");
            return self.apply(Msg::Edited(Err(problem)));
        };
        let stop = CancellationToken::new();
        let alone = self.keys.pause();
        let edited = Box::pin(editor::edit(editor, self.deck.drafts.clone(), draft, alone, stop.clone()));
        self.lent = Some(Lent { edited, stop });
    }

    fn suspend(&mut self) {
        term::leave();
        self.stopped = signals::stop_job();
        if !self.stopped {
            let problem = Problem::new(ProblemKind::Unsupported, "stop", "there is no shell here that could continue it");
            let effect = self.deck.state.toasts.problem(&problem);
            self.carry_out(vec![effect]);
            self.come_back();
        }
    }

    /// Takes the terminal over again, as it is now.
    fn come_back(&mut self) {
        self.stopped = false;
        if term::enter(self.deck.modes).is_err() {
            return self.end(signals::HANGUP);
        }
        self.screen.forget();
        self.dirty = true;
        if let Ok((width, height)) = crossterm::terminal::size() {
            self.resized(width, height);
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        #[cfg(debug_assertions)]
        crate::work::hooks::panic_if("draw");
        if let Err(problem) = self.deck.look.follow(&self.deck.state) {
            let effect = self.deck.state.toasts.problem(&problem);
            self.carry_out(vec![effect]);
        }
        let Self { deck: Deck { state, look, .. }, screen, .. } = self;
        screen.draw(|buffer| look.draw(buffer, state))?;
        self.dirty = false;
        self.due = Instant::now() + FRAME;
        Ok(())
    }
}
