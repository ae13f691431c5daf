//! Short messages in a corner that go by themselves.

use std::time::Duration;

use crate::flow::{Effect, Msg};
use crate::model::{Problem, Safe};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToastKind {
    Info,
    Good,
    Warning,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    pub id: u64,
    pub kind: ToastKind,
    pub text: Safe,
    pub hint: Option<Safe>,
}

/// At most this many are kept; older ones make room.
const MOST: usize = 4;

#[derive(Debug, Default)]
pub struct Toasts {
    pub list: Vec<Toast>,
    next: u64,
}

impl Toasts {
    pub fn show(&mut self, kind: ToastKind, text: impl Into<Safe>, hint: Option<Safe>) -> Effect {
        let id = self.next;
        self.next += 1;
        if self.list.len() >= MOST {
            self.list.remove(0);
        }
        self.list.push(Toast { id, kind, text: text.into(), hint });
        let seconds = if matches!(kind, ToastKind::Bad | ToastKind::Warning) { 10 } else { 4 };
        Effect::After(Duration::from_secs(seconds), Box::new(Msg::ToastExpired(id)))
    }

    pub fn problem(&mut self, problem: &Problem) -> Effect {
        self.show(ToastKind::Bad, format!("Can't {}: {}", problem.doing, problem.cause), problem.hint.clone())
    }

    pub fn expire(&mut self, id: u64) {
        self.list.retain(|toast| toast.id != id);
    }
}
