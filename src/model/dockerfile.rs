//! The Dockerfile an image came from, as far as its history tells: instructions are recognised in both the classic builder's
//! (`/bin/sh -c #(nop) …`) and BuildKit's (`RUN /bin/sh -c … # buildkit`) spelling. Contents of `COPY`/`ADD` sources and the base image's name
//! are not in an image; what is guessed is marked as a comment.

use super::image::Image;
use super::safe::Safe;

/// What a line is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Says what is not known.
    Comment,
    /// Makes a layer.
    Step,
    /// Changes only the configuration.
    Setting,
    /// Goes on from the line before.
    Continued,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: LineKind,
    /// The instruction's keyword; empty for comments and continued lines.
    pub keyword: &'static str,
    pub rest: Safe,
    /// The history entry it came from.
    pub step: Option<usize>,
}

const KEYWORDS: [&str; 18] = [
    "RUN",
    "COPY",
    "ADD",
    "ENV",
    "CMD",
    "ENTRYPOINT",
    "LABEL",
    "EXPOSE",
    "WORKDIR",
    "USER",
    "VOLUME",
    "ARG",
    "HEALTHCHECK",
    "STOPSIGNAL",
    "SHELL",
    "MAINTAINER",
    "ONBUILD",
    "FROM",
];

/// The reconstruction, line by line.
#[must_use]
pub fn reconstruct(image: &Image) -> Vec<Line> {
    let comment = |text: &str| Line { kind: LineKind::Comment, keyword: "", rest: Safe::new(text), step: None };
    let mut lines = vec![comment("# Reconstructed from the image's history; the base image and copied files are not recorded in it.")];
    let history = image.history.as_deref().unwrap_or_default();
    if history.is_empty() {
        lines.push(comment("# This image has no history."));
    }
    for (step, entry) in history.iter().enumerate() {
        let by = entry.created_by.as_ref().map_or("", |by| by.raw());
        let (keyword, rest) = instruction(by);
        let kind = if entry.empty_layer { LineKind::Setting } else { LineKind::Step };
        let mut parts = split_run(keyword, rest).into_iter();
        let Some(first) = parts.next().filter(|_| !keyword.is_empty()) else {
            let text = if by.is_empty() { "# a step without a record of how it was made".to_owned() } else { format!("# {by}") };
            lines.push(Line { kind: LineKind::Comment, keyword: "", rest: Safe::new(&text), step: Some(step) });
            continue;
        };
        lines.push(Line { kind, keyword, rest: Safe::new(&first), step: Some(step) });
        lines.extend(parts.map(|part| Line { kind: LineKind::Continued, keyword: "", rest: Safe::new(&part), step: Some(step) }));
    }
    lines
}

/// The one-line form of a history entry's command: what a person would have written, without the builder's wrapping.
#[must_use]
pub fn instruction(created_by: &str) -> (&'static str, &str) {
    let text = created_by.trim();
    let text = text.strip_suffix("# buildkit").map_or(text, str::trim_end);
    if let Some(nop) = text.strip_prefix("/bin/sh -c #(nop)") {
        return keyword_of(nop.trim_start()).unwrap_or(("", nop.trim_start()));
    }
    if let Some(run) = text.strip_prefix("/bin/sh -c ") {
        return ("RUN", run.trim());
    }
    // Build arguments stand before the command: |2 A=1 B=2 /bin/sh -c make
    if text.starts_with('|')
        && let Some((_, run)) = text.split_once("/bin/sh -c ")
    {
        return ("RUN", run.trim());
    }
    match keyword_of(text) {
        Some(("RUN", rest)) => ("RUN", rest.strip_prefix("/bin/sh -c ").unwrap_or(rest)),
        Some(found) => found,
        None => ("", text),
    }
}

fn keyword_of(text: &str) -> Option<(&'static str, &str)> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    KEYWORDS.iter().find(|keyword| **keyword == word).map(|keyword| (*keyword, rest.trim_start()))
}

/// A long RUN is broken at its `&&`, as people write it.
fn split_run(keyword: &str, rest: &str) -> Vec<String> {
    if keyword != "RUN" || rest.len() < 60 || !rest.contains("&&") {
        return vec![rest.to_owned()];
    }
    let count = rest.split("&&").count();
    rest.split("&&")
        .enumerate()
        .map(|(i, part)| {
            let lead = if i == 0 { "" } else { "    && " };
            let tail = if i + 1 < count { " \\" } else { "" };
            format!("{lead}{}{tail}", part.trim())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_builders_are_understood() {
        for (by, keyword, rest) in [
            ("/bin/sh -c #(nop)  CMD [\"/app\"]", "CMD", "[\"/app\"]"),
            ("/bin/sh -c apt-get update", "RUN", "apt-get update"),
            ("RUN /bin/sh -c make # buildkit", "RUN", "make"),
            ("RUN |1 V=2 /bin/sh -c make # buildkit", "RUN", "|1 V=2 /bin/sh -c make"),
            ("|1 V=2 /bin/sh -c make", "RUN", "make"),
            ("COPY . /src # buildkit", "COPY", ". /src"),
            ("ENV A=b", "ENV", "A=b"),
            ("bazel build ...", "", "bazel build ..."),
            ("", "", ""),
        ] {
            assert_eq!(instruction(by), (keyword, rest), "{by}");
        }
    }

    #[test]
    fn a_long_run_is_broken_at_its_ands() {
        let parts = split_run("RUN", "apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*");
        assert_eq!(parts.len(), 3);
        assert!(parts[0].ends_with('\\') && parts[2].starts_with("    && rm"));
    }
}
