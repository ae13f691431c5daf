//! Everything known of one image, as lines to scroll through.

use crate::flow::Loadable;
use crate::model::{Image, ImageKey, Safe};
use std::sync::Arc;

/// One line of the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InspectLine {
    Heading(&'static str),
    Field { name: Safe, value: Safe },
    Item(Safe),
    Blank,
}

#[derive(Debug, Default)]
pub struct Inspect {
    pub key: Option<ImageKey>,
    pub title: Safe,
    pub image: Loadable<Arc<Image>>,
    pub lines: Vec<InspectLine>,
    pub scroll: usize,
    pub height: usize,
    pub shift: u16,
}
