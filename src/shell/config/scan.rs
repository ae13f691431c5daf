//! What the configuration says about looking for what is wrong with images.

use std::path::{Path, PathBuf};

use super::{Reader, Value};

/// The programs that are asked, by the names that the configuration has for them.
pub const SCANNERS: [&str; 3] = ["builtin", "trivy", "grype"];

/// How images are scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanConfig {
    /// What is asked, where it is there: of [`SCANNERS`].
    pub scanners: Vec<String>,
    /// Where it is noted what doesn't count; `None` for `ignore.yaml` beside the configuration.
    pub ignore_file: Option<PathBuf>,
}

impl Default for ScanConfig {
    fn default() -> Self {
        Self { scanners: SCANNERS.map(str::to_owned).to_vec(), ignore_file: None }
    }
}

impl ScanConfig {
    /// Where it is noted what doesn't count, for a configuration in that directory.
    #[must_use]
    pub fn ignores(&self, dir: &Path) -> PathBuf {
        self.ignore_file.clone().unwrap_or_else(|| dir.join("ignore.yaml"))
    }

    pub(super) fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![("scan.scanners".to_owned(), self.scanners.join(", "))];
        rows.extend(self.ignore_file.iter().map(|file| ("scan.ignore_file".to_owned(), file.display().to_string())));
        rows
    }
}

impl Reader<'_> {
    pub(super) fn scan(&mut self, value: Value<'_, '_>) -> ScanConfig {
        let mut scan = ScanConfig::default();
        for (key, value) in self.table_of(value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "scanners" => {
                    let named = self.texts_of(value);
                    if let Some(other) = named.iter().find(|name| !SCANNERS.contains(&name.as_str())) {
                        self.mistake(value.span(), format!("there is no scanner {other:?}; there are {}", SCANNERS.join(", ")));
                    }
                    scan.scanners = named.into_iter().filter(|name| SCANNERS.contains(&name.as_str())).collect();
                }
                "ignore_file" => scan.ignore_file = self.path_of(value),
                other => self.unknown(key.span(), other, "scanners, ignore_file"),
            }
        }
        scan
    }
}
