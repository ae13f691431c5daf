//! The configuration file: TOML, every setting documented in `config.example.toml`. A mistake never keeps the program from
//! starting: it is named by file, line and column, and the default holds in its place.
//!
//! May use every room. A setting is one field of [`Config`], one line in the example and one arm in `Reader`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::app::keymap::Keymap;
use crate::app::settings::ColourDepth;
use crate::curate::plan::Protection;
use crate::flow::Action;
use crate::model::Problem;
use crate::pane::images::{Sort, SortColumn};

use super::paths::{Paths, read_bounded};

mod advisories;
mod registries;
mod scan;

pub use advisories::Advisories;
pub use registries::{Downloads, Registry};
pub use scan::{SCANNERS, ScanConfig};

/// Longest configuration file that is read.
const LONGEST: u64 = 1 << 20;

/// Every setting with its default and what it does, as a file to start from.
pub const EXAMPLE: &str = include_str!("config.example.toml");

/// The settings of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from, whether or not it exists.
    pub file: PathBuf,
    pub found: bool,
    pub theme: Option<String>,
    /// `None`: find out from the terminal.
    pub colours: Option<ColourDepth>,
    /// `None`: find out from the locale.
    pub ascii: Option<bool>,
    pub mouse: bool,
    pub clipboard: bool,
    pub read_only: bool,
    /// The preset's name.
    pub preset: String,
    /// The preset with the user's keys over it.
    pub keymap: Keymap,
    /// The actions whose keys the user chose.
    pub rebound: Vec<Action>,
    pub sort: Option<Sort>,
    /// As written, with `~`.
    pub export_dir: String,
    /// By context name or endpoint.
    pub hosts: BTreeMap<String, Host>,
    /// By host and port.
    pub registries: BTreeMap<String, Registry>,
    pub downloads: Downloads,
    pub advisories: Advisories,
    /// Patterns of references that plans leave alone.
    pub protect: Vec<String>,
    pub scan: ScanConfig,
    pub mistakes: Vec<Mistake>,
}

/// What holds for one engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    pub read_only: bool,
    /// TCP without TLS is allowed.
    pub insecure: bool,
    pub label: Option<String>,
}

/// A setting that could not be taken as written. Line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)
    }
}

impl Mistake {
    /// With the file's name alone, where there is little room.
    #[must_use]
    pub fn brief(&self) -> String {
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        format!("{}:{}:{}: {}", name.display(), self.line, self.column, self.message)
    }
}

impl Config {
    /// The defaults, as if `file` were absent.
    #[must_use]
    pub fn default_at(file: PathBuf) -> Self {
        Self {
            file,
            found: false,
            theme: None,
            colours: None,
            ascii: None,
            mouse: true,
            clipboard: false,
            read_only: false,
            preset: "lighterman".to_owned(),
            keymap: Keymap::default(),
            rebound: Vec::new(),
            sort: None,
            export_dir: ".".to_owned(),
            hosts: BTreeMap::new(),
            registries: BTreeMap::new(),
            downloads: Downloads::default(),
            advisories: Advisories::default(),
            protect: Vec::new(),
            scan: ScanConfig::default(),
            mistakes: Vec::new(),
        }
    }

    /// Reads the user's file, or the one named on the command line.
    ///
    /// # Errors
    /// Only for a file that was named and can't be read; everything else becomes a [`Mistake`].
    pub fn load(paths: &Paths, named: Option<&Path>) -> Result<Self, Problem> {
        let file = named.map_or_else(|| paths.config_file(), Path::to_owned);
        match read_bounded(&file, LONGEST) {
            Ok(bytes) => Ok(Self::parse(file, &String::from_utf8_lossy(&bytes))),
            Err(error) if named.is_some() => Err(Problem::disk("read the configuration", &file, &error)),
            Err(error) => {
                let mut config = Self::default_at(file);
                if error.kind() != std::io::ErrorKind::NotFound {
                    let message = format!("can't be read: {error}; the defaults hold");
                    config.mistakes.push(Mistake { file: config.file.clone(), line: 1, column: 1, message });
                }
                Ok(config)
            }
        }
    }

    /// Takes every good setting of `text`, and a [`Mistake`] for every other.
    #[must_use]
    pub fn parse(file: PathBuf, text: &str) -> Self {
        let mut config = Self { found: true, ..Self::default_at(file) };
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { text, file: config.file.clone(), mistakes: Vec::new() };
        for error in errors {
            reader.mistake(error.span().unwrap_or(0..0), error.message().to_owned());
        }
        reader.read(&mut config, table.get_ref());
        config.mistakes = reader.mistakes;
        config.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        config
    }

    /// What holds for an engine, by its name and by its endpoint together: neither takes back that the other is read-only.
    #[must_use]
    pub fn host(&self, name: &str, endpoint: &str) -> Host {
        let (named, at) = (self.hosts.get(name), self.hosts.get(endpoint));
        let any = |of: fn(&Host) -> bool| named.is_some_and(of) || at.is_some_and(of);
        let label = named.and_then(|host| host.label.clone()).or_else(|| at.and_then(|host| host.label.clone()));
        Host { read_only: any(|host| host.read_only), insecure: any(|host| host.insecure), label }
    }

    /// Allows these hosts, registries and engines alike, to be spoken to without TLS.
    pub fn allow_insecure(&mut self, hosts: &[String]) {
        for host in hosts {
            self.registries.entry(host.clone()).or_default().insecure = true;
            self.hosts.entry(host.clone()).or_default().insecure = true;
        }
    }

    /// Registries that may be spoken to without TLS.
    #[must_use]
    pub fn insecure_registries(&self) -> Vec<String> {
        self.registries.iter().filter(|(_, registry)| registry.insecure).map(|(host, _)| host.clone()).collect()
    }

    /// Every setting as it holds now, in the order of the example: name and value.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let auto = "auto".to_owned();
        let mut rows = vec![
            ("theme".to_owned(), self.theme.clone().unwrap_or_else(|| "(as chosen in the app)".to_owned())),
            ("colours".to_owned(), self.colours.map_or_else(|| auto.clone(), |depth| colour_name(depth).to_owned())),
            ("ascii".to_owned(), self.ascii.map_or(auto, |ascii| ascii.to_string())),
            ("mouse".to_owned(), self.mouse.to_string()),
            ("clipboard".to_owned(), self.clipboard.to_string()),
            ("read_only".to_owned(), self.read_only.to_string()),
            ("keymap".to_owned(), self.preset.clone()),
            ("export_dir".to_owned(), self.export_dir.clone()),
        ];
        for action in &self.rebound {
            rows.push((format!("keys.{}", action.row().name), self.keymap.keys_text(*action)));
        }
        let sort = self.sort.unwrap_or_default();
        rows.push(("sort.column".to_owned(), column_name(sort.column).to_owned()));
        rows.push(("sort.reversed".to_owned(), sort.reversed.to_string()));
        for (name, host) in &self.hosts {
            rows.push((format!("hosts.{name:?}.read_only"), host.read_only.to_string()));
            rows.push((format!("hosts.{name:?}.insecure"), host.insecure.to_string()));
            rows.extend(host.label.iter().map(|label| (format!("hosts.{name:?}.label"), label.clone())));
        }
        rows.extend(self.registries.iter().flat_map(|(name, registry)| registry.rows(name)));
        rows.extend(self.downloads.rows());
        rows.extend(self.advisories.rows());
        if !self.protect.is_empty() {
            rows.push(("protect".to_owned(), self.protect.join(", ")));
        }
        rows.extend(self.scan.rows());
        rows
    }
}

const COLOURS: [(&str, Option<ColourDepth>); 5] = [
    ("auto", None),
    ("none", Some(ColourDepth::None)),
    ("16", Some(ColourDepth::Sixteen)),
    ("256", Some(ColourDepth::Indexed)),
    ("true", Some(ColourDepth::True)),
];

fn colour_name(depth: ColourDepth) -> &'static str {
    COLOURS.iter().find(|(_, d)| *d == Some(depth)).map_or("auto", |(name, _)| name)
}

const COLUMNS: [(&str, SortColumn); 5] = [
    ("name", SortColumn::Name),
    ("size", SortColumn::Size),
    ("created", SortColumn::Created),
    ("use", SortColumn::Use),
    ("id", SortColumn::Id),
];

/// The setting's word for a column.
#[must_use]
pub fn column_name(column: SortColumn) -> &'static str {
    COLUMNS.iter().find(|(_, c)| *c == column).map_or("name", |(name, _)| name)
}

/// The column of a setting's word.
#[must_use]
pub fn column_named(name: &str) -> Option<SortColumn> {
    COLUMNS.iter().find(|(n, _)| *n == name).map(|(_, column)| *column)
}

type Value<'t, 'i> = &'t Spanned<DeValue<'i>>;

/// Walks the parsed file and gathers mistakes.
struct Reader<'a> {
    text: &'a str,
    file: PathBuf,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, span: Range<usize>, message: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.mistakes.push(Mistake { file: self.file.clone(), line, column, message: message.into() });
    }

    fn read(&mut self, config: &mut Config, table: &DeTable<'_>) {
        let mut keys = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "theme" => config.theme = self.text_of(value),
                "colours" => config.colours = self.one_of(value, &COLOURS).flatten(),
                "ascii" => config.ascii = self.auto_bool(value),
                "mouse" => self.set_bool(&mut config.mouse, value),
                "clipboard" => self.set_bool(&mut config.clipboard, value),
                "read_only" => self.set_read_only(&mut config.read_only, value),
                "keymap" => self.preset(config, value),
                "export_dir" => {
                    if let Some(dir) = self.text_of(value) {
                        config.export_dir = dir;
                    }
                }
                // After the preset, whatever the order in the file.
                "keys" => keys = self.table_of(value),
                "sort" => config.sort = self.sort(value),
                "hosts" => config.hosts = self.each(value, Self::host),
                "registries" => config.registries = self.each(value, Self::registry),
                "downloads" => config.downloads = self.downloads(value),
                "advisories" => config.advisories = self.advisories(value),
                "protect" => config.protect = self.protect(value),
                "scan" => config.scan = self.scan(value),
                other => self.unknown(
                    key.span(),
                    other,
                    "theme, colours, ascii, mouse, clipboard, read_only, keymap, export_dir, keys, sort, hosts, registries, downloads, advisories, protect, scan",
                ),
            }
        }
        if let Some(keys) = keys {
            self.keys(config, keys);
        }
    }

    /// Patterns; one that is none protects nothing, and so is said.
    fn protect(&mut self, value: Value<'_, '_>) -> Vec<String> {
        let mut patterns = self.texts_of(value);
        patterns.retain(|pattern| match Protection::new(std::slice::from_ref(pattern)) {
            Ok(_) => true,
            Err(problem) => {
                self.mistake(value.span(), format!("{pattern:?} is no pattern: {}", problem.cause));
                false
            }
        });
        patterns
    }

    fn unknown(&mut self, span: Range<usize>, key: &str, known: &str) {
        self.mistake(span, format!("there is no setting {key:?} here; there are {known}"));
    }

    fn wrong(&mut self, value: Value<'_, '_>, wanted: &str) {
        let found = value.get_ref().type_str();
        self.mistake(value.span(), format!("expected {wanted}, found {found}"));
    }

    fn text_of(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong(value, "a text in quotes");
        }
        text
    }

    fn set_bool(&mut self, field: &mut bool, value: Value<'_, '_>) {
        match value.get_ref().as_bool() {
            Some(new) => *field = new,
            None => self.wrong(value, "true or false"),
        }
    }

    /// A protection that was mistyped protects.
    fn set_read_only(&mut self, field: &mut bool, value: Value<'_, '_>) {
        *field = true;
        self.set_bool(field, value);
    }

    fn auto_bool(&mut self, value: Value<'_, '_>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(set) => Some(*set),
            DeValue::String(text) if text == "auto" => None,
            _ => {
                self.wrong(value, "\"auto\", true or false");
                None
            }
        }
    }

    fn one_of<T: Copy>(&mut self, value: Value<'_, '_>, words: &[(&str, T)]) -> Option<T> {
        let names = || words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(value, &format!("one of {}", names()));
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            self.mistake(value.span(), format!("expected one of {}, found {text:?}", names()));
        }
        found
    }

    fn table_of<'t, 'i>(&mut self, value: Value<'t, 'i>) -> Option<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong(value, "a table");
        }
        table
    }

    fn preset(&mut self, config: &mut Config, value: Value<'_, '_>) {
        let Some(name) = self.text_of(value) else { return };
        match Keymap::preset(&name) {
            Ok(keymap) => {
                config.keymap = keymap;
                config.preset = name;
            }
            Err(message) => self.mistake(value.span(), message),
        }
    }

    fn keys(&mut self, config: &mut Config, table: &DeTable<'_>) {
        for (action, value) in table {
            let keys = match value.get_ref() {
                DeValue::String(key) => Some(vec![key.clone().into_owned()]),
                DeValue::Array(keys) => keys.iter().map(|key| key.get_ref().as_str().map(str::to_owned)).collect(),
                _ => None,
            };
            let Some(keys) = keys else {
                self.wrong(value, "a list of keys, such as [\"x\", \"Ctrl-d\"]");
                continue;
            };
            let named = Action::named(action.get_ref());
            match (config.keymap.bind(action.get_ref(), &keys), named) {
                (Ok(()), named) => config.rebound.extend(named),
                (Err(message), Some(_)) => self.mistake(value.span(), message),
                (Err(message), None) => self.mistake(action.span(), message),
            }
        }
    }

    fn sort(&mut self, value: Value<'_, '_>) -> Option<Sort> {
        let mut sort = Sort::default();
        let table = self.table_of(value)?;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "column" => sort.column = self.one_of(value, &COLUMNS).unwrap_or_default(),
                "reversed" => self.set_bool(&mut sort.reversed, value),
                other => self.unknown(key.span(), other, "column, reversed"),
            }
        }
        (!table.is_empty()).then_some(sort)
    }

    /// Reads a table of tables.
    fn each<T>(&mut self, value: Value<'_, '_>, one: fn(&mut Self, &DeTable<'_>) -> T) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        if let Some(table) = self.table_of(value) {
            for (name, value) in table {
                if let Some(table) = self.table_of(value) {
                    all.insert(name.get_ref().clone().into_owned(), one(self, table));
                }
            }
        }
        all
    }

    fn host(&mut self, table: &DeTable<'_>) -> Host {
        let mut host = Host::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "read_only" => self.set_read_only(&mut host.read_only, value),
                "insecure" => self.set_bool(&mut host.insecure, value),
                "label" => host.label = self.text_of(value),
                other => self.unknown(key.span(), other, "read_only, insecure, label"),
            }
        }
        host
    }
}

#[cfg(test)]
mod tests;
