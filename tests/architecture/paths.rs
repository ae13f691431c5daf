//! Reads a Rust file as tokens and lists the paths it names, as full paths from the crate's root where they are ours.
//!
//! Tokens rather than text, so that comments, doc comments and strings don't count, while `use` groups, nested modules, macro bodies
//! and `super::super::` do.

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};

/// One path as the file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// `["crate", "flow", "Msg"]` for ours, `["std", "fs"]` for others; a glob is `*`.
    pub(crate) segments: Vec<String>,
    /// Whether it stands in a `use`, and under another name.
    pub(crate) imported: bool,
    pub(crate) renamed: bool,
    pub(crate) line: usize,
}

/// Everything the rules want to know of a file.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) paths: Vec<Named>,
    /// Lines with an `allow` attribute.
    pub(crate) allows: Vec<usize>,
    /// Lines with a call of `.elapsed()`, which reads the clock without naming it.
    pub(crate) elapsed: Vec<usize>,
}

/// Reads `source`, the text of the module at `module` (`["pane", "images", "draw"]`).
pub(crate) fn read(source: &str, module: &[String]) -> Result<Reading, LexError> {
    let mut reading = Reading::default();
    let trees: Vec<TokenTree> = source.parse::<TokenStream>()?.into_iter().collect();
    walk(&trees, module, &mut reading);
    for named in &mut reading.paths {
        named.line = line_of(source, named.segments.last().map_or("", String::as_str));
    }
    reading.allows = reading.allows.iter().map(|_| line_of(source, "allow(")).collect();
    reading.elapsed = reading.elapsed.iter().map(|_| line_of(source, ".elapsed()")).collect();
    Ok(reading)
}

/// The first line of code with `word` in it: where to look. Exact positions would need spans, and the feature that keeps them makes every
/// procedural macro of the tree build twice.
fn line_of(source: &str, word: &str) -> usize {
    source.lines().position(|line| !line.trim_start().starts_with("//") && line.contains(word)).map_or(0, |at| at + 1)
}

fn walk(trees: &[TokenTree], module: &[String], reading: &mut Reading) {
    let mut at = 0;
    let mut importing = false;
    while let Some(tree) = trees.get(at) {
        let mut next = at + 1;
        match tree {
            TokenTree::Ident(ident) if ident == "use" => importing = true,
            TokenTree::Ident(ident) if ident == "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(body)) = (trees.get(at + 1), brace(trees.get(at + 2))) {
                    let inner: Vec<String> = module.iter().cloned().chain([name.to_string()]).collect();
                    walk(&body, &inner, reading);
                    next = at + 3;
                }
            }
            TokenTree::Ident(_) => {
                let mut found = Vec::new();
                next = path(trees, at, &[], &mut found);
                for mut named in found {
                    named.imported = importing;
                    named.segments = rooted(named.segments, module);
                    reading.paths.push(named);
                }
                importing = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => importing = false,
            TokenTree::Punct(punct) if punct.as_char() == '.' => elapsed(trees, at, reading),
            TokenTree::Punct(punct) if punct.as_char() == '#' => allow(trees, at, reading),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                walk(&inner, module, reading);
            }
            _ => {}
        }
        at = next;
    }
}

/// The contents of a brace group.
fn brace(tree: Option<&TokenTree>) -> Option<Vec<TokenTree>> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => Some(group.stream().into_iter().collect()),
        _ => None,
    }
}

fn is_punct(tree: Option<&TokenTree>, wanted: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// Reads the path that begins at `at` below `prefix`, groups and all, and says where it ends.
fn path(trees: &[TokenTree], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let mut segments = prefix.to_vec();
    loop {
        match trees.get(at) {
            Some(TokenTree::Ident(ident)) => {
                segments.push(ident.to_string().trim_start_matches("r#").to_owned());
            }
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
                segments.push("*".to_owned());
            }
            other => {
                if let Some(inside) = brace(other) {
                    group(&inside, &segments, found);
                    return at + 1;
                }
                break;
            }
        }
        at += 1;
        // `a::<T>::b` ends here: what follows the generic arguments is read as a path of its own.
        if !(is_punct(trees.get(at), ':') && is_punct(trees.get(at + 1), ':')) || is_punct(trees.get(at + 2), '<') {
            break;
        }
        at += 2;
    }
    let renamed = matches!(trees.get(at), Some(TokenTree::Ident(ident)) if ident == "as");
    found.push(Named { segments, imported: false, renamed, line: 0 });
    at
}

/// The members of a `use` group.
fn group(inside: &[TokenTree], prefix: &[String], found: &mut Vec<Named>) {
    for member in inside.split(|tree| is_punct(Some(tree), ',')) {
        if !member.is_empty() {
            path(member, 0, prefix, found);
        }
    }
}

/// Resolves `self` and `super` against the module; `crate` and foreign heads stay.
fn rooted(segments: Vec<String>, module: &[String]) -> Vec<String> {
    let mut base = match segments.first().map(String::as_str) {
        Some("self" | "super") => module.to_vec(),
        Some("lighterman") => return std::iter::once("crate".to_owned()).chain(segments.into_iter().skip(1)).collect(),
        _ => return segments,
    };
    let mut rest = Vec::new();
    for segment in segments {
        match segment.as_str() {
            "self" if rest.is_empty() => {}
            "super" if rest.is_empty() => drop(base.pop()),
            _ => rest.push(segment),
        }
    }
    std::iter::once("crate".to_owned()).chain(base).chain(rest).collect()
}

fn elapsed(trees: &[TokenTree], at: usize, reading: &mut Reading) {
    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(arguments))) = (trees.get(at + 1), trees.get(at + 2))
        && name == "elapsed"
        && arguments.stream().is_empty()
    {
        reading.elapsed.push(0);
    }
}

/// `#[allow(…)]`, `#![allow(…)]`, and the same inside `cfg_attr`.
fn allow(trees: &[TokenTree], at: usize, reading: &mut Reading) {
    let body = if is_punct(trees.get(at + 1), '!') { trees.get(at + 2) } else { trees.get(at + 1) };
    let Some(TokenTree::Group(body)) = body else { return };
    if body.delimiter() == Delimiter::Bracket && names_allow(body.stream()) {
        reading.allows.push(0);
    }
}

fn names_allow(attribute: TokenStream) -> bool {
    let trees: Vec<TokenTree> = attribute.into_iter().collect();
    match (trees.first(), trees.get(1)) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(_))) if name == "allow" => true,
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(inner))) if name == "cfg_attr" => {
            let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
            inner.split(|tree| is_punct(Some(tree), ',')).any(|part| names_allow(part.iter().cloned().collect()))
        }
        _ => false,
    }
}
