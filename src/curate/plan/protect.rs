//! References that never enter a plan without an explicit override: what the configuration names by patterns.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::model::{Foreign, Name, Problem, ProblemKind};

/// Patterns of references that are protected, such as `*:stable` or `registry.example.com/prod/**`.
#[derive(Debug, Clone, Default)]
pub struct Protection {
    patterns: Vec<String>,
    set: GlobSet,
}

impl Protection {
    /// # Errors
    /// `Usage` for a pattern that is none.
    pub fn new(patterns: &[String]) -> Result<Self, Problem> {
        let bad = |cause: String| Problem::new(ProblemKind::Usage, "read the patterns of protected references", cause);
        let mut builder = GlobSetBuilder::new();
        for pattern in patterns {
            builder.add(Glob::new(pattern).map_err(|error| bad(error.to_string()))?);
        }
        Ok(Self { patterns: patterns.to_vec(), set: builder.build().map_err(|error| bad(error.to_string()))? })
    }

    /// Why `name` is protected, if it is: by its own spelling, its canonical one, or its short one.
    #[must_use]
    pub fn of(&self, name: &Name) -> Option<Foreign> {
        if self.patterns.is_empty() {
            return None;
        }
        let canonical = name.reference().map(|reference| reference.whole()).unwrap_or_default();
        let spellings = [name.raw(), name.familiar(), canonical.as_str()];
        let hit = spellings.iter().find_map(|spelling| self.set.matches(spelling).first().copied())?;
        let pattern = self.patterns.get(hit).map_or("", String::as_str);
        Some(Foreign::from(format!("protected by the pattern {pattern}")))
    }
}

/// Protects nothing.
#[must_use]
pub fn nothing() -> Protection {
    Protection::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling_of_a_protected_name_is_protected() {
        let protection = Protection::new(&["docker.io/library/base:*".to_owned(), "*:stable".to_owned()]).unwrap();
        for name in ["base:1", "docker.io/library/base:2", "localhost:5000/app:stable"] {
            assert!(protection.of(&Name::new(name)).is_some(), "{name}");
        }
        assert!(protection.of(&Name::new("app:stable-1")).is_none());
        assert!(nothing().of(&Name::new("app:stable")).is_none());
        assert!(Protection::new(&["[".to_owned()]).is_err());
    }
}
