//! `[registries."HOST"]` and `[downloads]`: what holds for one registry and for all, as the client takes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{Config, Paths, Reader, Value};
use crate::source::registry::{HostSettings, Partials, RegistrySettings};

/// Most requests and transfers at a time that make sense.
const MOST_AT_ONCE: i64 = 64;

/// Longest and largest that what arrived of an interrupted download is kept.
const MOST_DAYS: u32 = 365;
const MOST_GIB: u32 = 100_000;

/// What is kept of interrupted downloads; nothing when either is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downloads {
    pub keep_days: u32,
    pub keep_gib: u32,
}

impl Default for Downloads {
    fn default() -> Self {
        Self { keep_days: 7, keep_gib: 10 }
    }
}

impl Downloads {
    /// Where and how long parts of blobs are kept.
    #[must_use]
    pub fn partials(self, paths: &Paths) -> Partials {
        let longest = Duration::from_secs(u64::from(self.keep_days) * 24 * 3600);
        Partials { folder: paths.partials(), most: u64::from(self.keep_gib) << 30, longest }
    }

    pub(super) fn rows(self) -> [(String, String); 2] {
        let row = |key: &str, value: u32| (format!("downloads.{key}"), value.to_string());
        [row("keep_days", self.keep_days), row("keep_gib", self.keep_gib)]
    }
}

/// What holds for one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registry {
    /// Spoken to in plain HTTP.
    pub insecure: bool,
    pub read_only: bool,
    /// A file of certificate authorities that are trusted for it besides the system's.
    pub ca: Option<PathBuf>,
    /// The certificate we show it, and its key.
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    /// An address, or `none` for none.
    pub proxy: Option<String>,
    /// Hosts that are asked first for what is named by its digest.
    pub mirrors: Vec<String>,
    /// Blobs on their way at a time.
    pub transfers: Option<usize>,
    /// Requests about manifests at a time.
    pub requests: Option<usize>,
}

impl Config {
    /// The client's settings; `insecure` are hosts that were named elsewhere. Without `paths` nothing is kept between runs.
    #[must_use]
    pub fn registry_settings(&self, insecure: &[String], paths: Option<&Paths>) -> RegistrySettings {
        let mut insecure = insecure.to_vec();
        insecure.extend(self.insecure_registries());
        let hosts: BTreeMap<String, HostSettings> =
            self.registries.iter().map(|(host, registry)| (host.clone(), registry.settings())).collect();
        let (cache, partials) = (paths.map(Paths::documents), paths.map(|paths| self.downloads.partials(paths)));
        RegistrySettings { insecure, hosts, cache, partials, ..RegistrySettings::default() }
    }
}

impl Registry {
    fn settings(&self) -> HostSettings {
        let plain = HostSettings::default();
        HostSettings {
            transfers: self.transfers.unwrap_or(plain.transfers),
            requests: self.requests.unwrap_or(plain.requests),
            ca: self.ca.clone(),
            client: self.client_cert.clone().zip(self.client_key.clone()),
            proxy: self.proxy.clone(),
            mirrors: self.mirrors.clone(),
        }
    }

    /// The settings as they hold, for showing.
    pub(super) fn rows(&self, name: &str) -> Vec<(String, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let plain = HostSettings::default();
        let row = |key: &str, value: String| (format!("registries.{name:?}.{key}"), value);
        let mut rows = vec![row("insecure", self.insecure.to_string()), row("read_only", self.read_only.to_string())];
        rows.extend(path(&self.ca).map(|value| row("ca", value)));
        rows.extend(path(&self.client_cert).map(|value| row("client_cert", value)));
        rows.extend(path(&self.client_key).map(|value| row("client_key", value)));
        // A proxy's address may hold a password.
        rows.extend(self.proxy.iter().map(|_| row("proxy", "(set)".to_owned())));
        if !self.mirrors.is_empty() {
            rows.push(row("mirrors", self.mirrors.join(", ")));
        }
        rows.push(row("transfers", self.transfers.unwrap_or(plain.transfers).to_string()));
        rows.push(row("requests", self.requests.unwrap_or(plain.requests).to_string()));
        rows
    }
}

impl Reader<'_> {
    pub(super) fn downloads(&mut self, value: Value<'_, '_>) -> Downloads {
        let mut downloads = Downloads::default();
        for (key, value) in self.table_of(value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "keep_days" => self.set_number(&mut downloads.keep_days, value, MOST_DAYS),
                "keep_gib" => self.set_number(&mut downloads.keep_gib, value, MOST_GIB),
                other => self.unknown(key.span(), other, "keep_days, keep_gib"),
            }
        }
        downloads
    }

    fn set_number(&mut self, field: &mut u32, value: Value<'_, '_>, most: u32) {
        let number = value.get_ref().as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        match number.filter(|number| *number <= most) {
            Some(number) => *field = number,
            None => self.mistake(value.span(), format!("expected a number from 0 to {most}")),
        }
    }

    pub(super) fn registry(&mut self, table: &DeTable<'_>) -> Registry {
        let mut registry = Registry::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "insecure" => self.set_bool(&mut registry.insecure, value),
                "read_only" => self.set_read_only(&mut registry.read_only, value),
                "ca" => registry.ca = self.path_of(value),
                "client_cert" => registry.client_cert = self.path_of(value),
                "client_key" => registry.client_key = self.path_of(value),
                "proxy" => registry.proxy = self.text_of(value),
                "mirrors" => registry.mirrors = self.texts_of(value),
                "transfers" => registry.transfers = self.at_once(value),
                "requests" => registry.requests = self.at_once(value),
                other => {
                    let known = "insecure, read_only, ca, client_cert, client_key, proxy, mirrors, transfers, requests";
                    self.unknown(key.span(), other, known);
                }
            }
        }
        if registry.client_cert.is_some() != registry.client_key.is_some()
            && let Some((key, _)) = table.iter().find(|(key, _)| key.get_ref().starts_with("client_"))
        {
            self.mistake(key.span(), "client_cert and client_key go together");
        }
        registry
    }

    /// A path; a relative one is beside the configuration file.
    pub(super) fn path_of(&mut self, value: Value<'_, '_>) -> Option<PathBuf> {
        let text = self.text_of(value)?;
        Some(self.file.parent().map_or_else(|| PathBuf::from(&text), |folder| folder.join(&text)))
    }

    pub(super) fn texts_of(&mut self, value: Value<'_, '_>) -> Vec<String> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(value, "a list of texts in quotes");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.text_of(item)).collect()
    }

    fn at_once(&mut self, value: Value<'_, '_>) -> Option<usize> {
        let number = value.get_ref().as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        let number = number.filter(|number| (1..=MOST_AT_ONCE).contains(number)).and_then(|number| usize::try_from(number).ok());
        if number.is_none() {
            self.mistake(value.span(), format!("expected a number from 1 to {MOST_AT_ONCE}"));
        }
        number
    }
}
