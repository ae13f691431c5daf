//! `[advisories]`: where databases of advisories are got from.

use super::{Reader, Value};
use crate::scan::advisory;

/// Addresses that are asked when somebody says so, and at no other time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisories {
    /// Below it are a folder an ecosystem and an `all.zip` in each; or `<ECOSYSTEM>` is in it.
    pub url: String,
}

impl Default for Advisories {
    fn default() -> Self {
        Self { url: advisory::PUBLIC.to_owned() }
    }
}

impl Advisories {
    pub(super) fn rows(&self) -> [(String, String); 1] {
        [("advisories.url".to_owned(), self.url.clone())]
    }
}

impl Reader<'_> {
    pub(super) fn advisories(&mut self, value: Value<'_, '_>) -> Advisories {
        let mut advisories = Advisories::default();
        for (key, value) in self.table_of(value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "url" => advisories.url = self.address_of(value).unwrap_or(advisories.url),
                other => self.unknown(key.span(), other, "url"),
            }
        }
        advisories
    }

    fn address_of(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = self.text_of(value)?;
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        if !is_web {
            self.mistake(value.span(), "expected an address that starts with https:// or http://");
        }
        is_web.then_some(text)
    }
}
