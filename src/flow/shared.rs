//! Something large that jobs and messages hand on without a copy.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Equal to another where it is the very same; printed without what is in it.
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    pub fn new(it: T) -> Self {
        Self(Arc::new(it))
    }
}

impl<T> From<Arc<T>> for Shared<T> {
    fn from(it: Arc<T>) -> Self {
        Self(it)
    }
}

impl<T: Clone> Shared<T> {
    /// The thing itself: without a copy where nobody else has it.
    #[must_use]
    pub fn take(self) -> T {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| (*shared).clone())
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}
