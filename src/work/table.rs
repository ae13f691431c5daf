//! The sources there are: ids from discovery, each made into a [`Source`] when it is first used.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Locator, Name, Problem, ProblemKind, SourceId, SourceInfo, Transport};
use crate::source::{Answer, Source, blocking};

/// Makes a source, when it is first used. Reads files, but connects nothing.
pub type Make = Arc<dyn Fn() -> Answer<'static, Arc<dyn Source>> + Send + Sync>;

/// One source that was found.
#[derive(Clone)]
pub struct Found {
    pub info: SourceInfo,
    pub make: Make,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.fmt(f)
    }
}

/// Looks for sources. Reads files of the user and touches sockets, so it runs on a blocking thread; must not wait for an answer.
pub type Find = Arc<dyn Fn() -> Vec<Found> + Send + Sync>;

/// Makes a source of what a user named: a layout, an archive, a registry. Connects nothing.
pub type Open = Arc<dyn Fn(&Locator) -> Result<Found, Problem> + Send + Sync>;

/// The table, shared by all jobs.
#[derive(Clone)]
pub struct Table {
    find: Find,
    open: Open,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    found: Vec<Found>,
    made: HashMap<SourceId, Arc<dyn Source>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock(|inner| f.debug_list().entries(&inner.found).finish())
    }
}

impl Table {
    #[must_use]
    pub fn new(find: Find, open: Open) -> Self {
        Self { find, open, inner: Arc::default() }
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finds the sources anew and says what there is, the one to show first at the head. Sources in use stay as they are.
    #[must_use]
    pub fn discover_now(&self) -> Vec<SourceInfo> {
        let found = (self.find)();
        self.lock(|inner| {
            // What a user added stays.
            let kept: Vec<_> = inner.found.drain(..).filter(|old| !found.iter().any(|new| new.info.id == old.info.id)).collect();
            inner.found = found;
            inner.found.extend(kept);
            inner.found.iter().map(|found| found.info.clone()).collect()
        })
    }

    /// The same on a blocking thread.
    ///
    /// # Errors
    /// The thread was lost, which only a defect can cause.
    pub async fn discover(&self) -> Result<Vec<SourceInfo>, Problem> {
        let table = self.clone();
        blocking("look for engines", move || Ok(table.discover_now())).await
    }

    /// Makes what a user named a source of the table.
    ///
    /// # Errors
    /// A locator that names nothing to browse.
    pub fn open(&self, locator: &Locator) -> Result<SourceInfo, Problem> {
        let found = (self.open)(locator)?;
        let info = found.info.clone();
        self.add(found);
        Ok(info)
    }

    fn add(&self, found: Found) {
        self.lock(|inner| {
            inner.found.retain(|old| old.info.id != found.info.id);
            inner.found.push(found);
        });
    }

    /// The source of that id, made now if this is its first use.
    ///
    /// # Errors
    /// An id that was never found, or what kept the source from being made.
    pub async fn get(&self, id: &SourceId) -> Result<Arc<dyn Source>, Problem> {
        let make = self.lock(|inner| match inner.made.get(id) {
            Some(source) => Ok(Arc::clone(source)),
            None => Err(inner.found.iter().find(|found| found.info.id == *id).map(|found| Arc::clone(&found.make))),
        });
        match make {
            Ok(source) => Ok(source),
            Err(Some(make)) => {
                let source = make().await?;
                Ok(self.lock(|inner| Arc::clone(inner.made.entry(id.clone()).or_insert(source))))
            }
            Err(None) => match id.registry_host() {
                Some(host) => self.open_registry(id, host).await,
                None => Err(Problem::new(ProblemKind::NotFound, format!("use {id}"), "there is no such source any more")
                    .hint("look at the sources there are (key w)")),
            },
        }
    }

    /// A registry needs no finding: a copy may go to any. It is listed from then on, with what the configuration forbids there.
    async fn open_registry(&self, id: &SourceId, host: &str) -> Result<Arc<dyn Source>, Problem> {
        let found = (self.open)(&Locator { transport: Transport::Registry, path: None, name: Some(Name::new(host)) })?;
        let make = Arc::clone(&found.make);
        self.add(found);
        let source = make().await?;
        Ok(self.lock(|inner| Arc::clone(inner.made.entry(id.clone()).or_insert(source))))
    }

    /// Holds to the read-only mode whatever asks.
    ///
    /// # Errors
    /// The configuration forbids changes there.
    pub fn check_writable(&self, id: &SourceId) -> Result<(), Problem> {
        let read_only = self.lock(|inner| inner.found.iter().any(|found| found.info.id == *id && found.info.read_only));
        if read_only {
            return Err(Problem::new(ProblemKind::Denied, format!("change {id}"), "it is read-only here, by flag or configuration"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_opened_is_still_there_after_looking_anew() {
        let open = |locator: &Locator| crate::work::files::found(locator, "opened");
        let table = Table::new(Arc::new(Vec::new), Arc::new(open));
        assert_eq!(table.discover_now(), []);
        let info = table.open(&Locator::parse("oci:somewhere").unwrap()).unwrap();
        assert_eq!(table.discover_now(), std::slice::from_ref(&info));
        assert_eq!(table.discover_now(), [info]);
    }

    #[tokio::test]
    async fn a_registry_that_was_only_copied_to_is_read_only_where_the_configuration_says_so() {
        let open = |locator: &Locator| {
            let mut found = crate::work::files::found(&Locator::parse("oci:somewhere").unwrap(), "opened")?;
            found.info.id = SourceId::registry(locator.name.as_ref().unwrap().raw());
            Ok(found)
        };
        let table = Table::new(Arc::new(Vec::new), Arc::new(open));
        let id = SourceId::registry("prod.example.com");
        assert!(table.check_writable(&id).is_ok());
        assert!(table.get(&id).await.is_err(), "there is no such layout");
        assert!(table.check_writable(&id).is_err());
    }
}
