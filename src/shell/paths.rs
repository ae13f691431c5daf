//! Where the program keeps its files: configuration, cached lists, the store and the log, each in the place the system has for it
//! (XDG base directories on Linux).
//!
//! May use model. Facts: the `directories` crate; <https://specifications.freedesktop.org/basedir-spec/latest/>.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use crate::model::{Problem, ProblemKind};

/// The directories of one user. None of them is created by finding them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `config.toml` and `themes/`.
    pub config: PathBuf,
    /// Last known lists; may be deleted at any time.
    pub cache: PathBuf,
    /// The embedded store is in `store/`.
    pub data: PathBuf,
    /// The log, and what the program remembers between runs.
    pub state: PathBuf,
    pub home: Option<PathBuf>,
}

impl Paths {
    /// The user's directories.
    ///
    /// # Errors
    /// Neither `HOME` nor the user database says where the user's files are.
    pub fn find() -> Result<Self, Problem> {
        let dirs = ProjectDirs::from("", "", "lighterman").ok_or_else(|| {
            Problem::new(ProblemKind::Usage, "find the directory for configuration", "there is no home directory")
                .hint("set HOME to a directory of yours")
        })?;
        Ok(Self {
            config: dirs.config_dir().to_owned(),
            cache: dirs.cache_dir().to_owned(),
            data: dirs.data_dir().to_owned(),
            state: dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned(),
            home: BaseDirs::new().map(|base| base.home_dir().to_owned()),
        })
    }

    /// Directories of their own below `root`, for a world that touches nothing of the user's.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        let sub = |name: &str| root.join(name);
        Self { config: sub("config"), cache: sub("cache"), data: sub("data"), state: sub("state"), home: Some(root.to_owned()) }
    }

    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    #[must_use]
    pub fn themes(&self) -> PathBuf {
        self.config.join("themes")
    }

    /// The embedded store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// Last known lists, one file a source.
    #[must_use]
    pub fn lists(&self) -> PathBuf {
        self.cache.join("lists")
    }

    /// Manifests and configurations of registries, by digest.
    #[must_use]
    pub fn documents(&self) -> PathBuf {
        self.cache.join("documents")
    }

    /// Indexes of layers, by digest.
    #[must_use]
    pub fn layers(&self) -> PathBuf {
        self.cache.join("layers")
    }

    /// Databases of advisories.
    #[must_use]
    pub fn advisories(&self) -> PathBuf {
        self.data.join("advisories")
    }

    /// Where zips of advisories may lie in the layout of osv-scanner's cache: our own, and where its variable says.
    #[must_use]
    pub fn advisory_caches(&self) -> Vec<PathBuf> {
        let told = std::env::var_os("OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        std::iter::once(self.cache.clone()).chain(told).collect()
    }

    /// What layers hold that a scan looks for, by diff ID.
    #[must_use]
    pub fn facts(&self) -> PathBuf {
        self.cache.join("facts")
    }

    /// What arrived of interrupted downloads, by digest.
    #[must_use]
    pub fn partials(&self) -> PathBuf {
        self.cache.join("partial")
    }

    /// What was chosen in the app.
    #[must_use]
    pub fn remembered(&self) -> PathBuf {
        self.state.join("remembered.toml")
    }

    /// When images were used, one file a source.
    #[must_use]
    pub fn uses(&self) -> PathBuf {
        self.state.join("uses")
    }

    /// What scans of images came to.
    #[must_use]
    pub fn gists(&self) -> PathBuf {
        self.state.join("findings")
    }

    /// Texts while an editor has them.
    #[must_use]
    pub fn drafts(&self) -> PathBuf {
        self.state.join("edit")
    }

    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("log")
    }
}

/// Creates a directory and its parents, for the user alone.
///
/// # Errors
/// What the file system said.
pub fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Replaces `file` as a whole: a temporary file beside it (0600), flushed to the disk, then renamed.
///
/// # Errors
/// What the file system said; `file` is as it was.
pub fn write_whole(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    make_private_dir(file.parent().unwrap_or_else(|| Path::new(".")))?;
    replace(file, bytes, 0o600)
}

/// As [`write_whole`], for what other users are to read (0644); the directory has to be there.
///
/// # Errors
/// What the file system said; `file` is as it was.
pub fn write_readable(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    replace(file, bytes, 0o644)
}

fn replace(file: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut temp = tempfile::Builder::new().prefix(".lighterman-").tempfile_in(dir)?;
    temp.write_all(bytes)?;
    temp.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    temp.as_file().sync_data()?;
    temp.persist(file)?;
    Ok(())
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// What the file system said; `InvalidData` for anything that is no regular file or is larger.
pub fn read_bounded(file: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    use std::io::{Error, ErrorKind};
    // A FIFO under this name must not block: look before opening.
    if !fs::metadata(file)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidData, "not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::new(ErrorKind::InvalidData, format!("larger than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_read_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b/remembered.toml");
        write_whole(&file, b"one").unwrap();
        write_whole(&file, b"two").unwrap();
        assert_eq!(read_bounded(&file, 3).unwrap(), b"two");
        assert!(read_bounded(&file, 2).unwrap_err().to_string().contains("larger"));
        assert!(read_bounded(dir.path(), 2).unwrap_err().to_string().contains("not a regular file"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o700);
        }
        assert_eq!(fs::read_dir(dir.path().join("a/b")).unwrap().count(), 1, "no temporary file is left");
    }
}
