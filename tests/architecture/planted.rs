//! Planted violations: a rule that can't fail keeps nothing.

use super::rules::check;

/// Asserts that `body` in the file at `path` is refused with words holding `why`, on line `line`.
#[track_caller]
fn refused(path: &str, body: &str, line: usize, why: &str) {
    let wrong = check(path, &format!("//! A module.\n{body}"));
    let expected = format!("{path}:{line}: ");
    assert!(wrong.iter().any(|words| words.starts_with(&expected) && words.contains(why)), "{body}\n{wrong:#?}");
}

#[track_caller]
fn fine(path: &str, body: &str) {
    let wrong = check(path, &format!("//! A module.\n{body}"));
    assert!(wrong.is_empty(), "{body}\n{wrong:#?}");
}

#[test]
fn rooms_of_ours() {
    refused("model/a.rs", "use crate::flow::Msg;", 2, "must not use flow");
    refused("model/a.rs", "use crate::{\n  model::Digest,\n  flow::{Msg, Job},\n};", 4, "must not use flow");
    refused("source/engine/a.rs", "fn f() { crate::work::start() }", 2, "must not use work");
    refused("source/engine/a.rs", "fn f() { println!(\"{}\", crate::flow::x()) }", 2, "must not use flow");
    refused("flow/a.rs", "type A = Vec<crate::source::Ctx>;", 2, "must not use source");
    refused("pane/images/mod.rs", "use crate::app::State;", 2, "must not use app");
    refused("pane/images/mod.rs", "use crate::ui::Theme;", 2, "must not use ui");
    refused("app/mod.rs", "fn f(x: crate::ui::Theme) {}", 2, "must not use ui");
    refused("curate/a.rs", "use crate::*;", 2, "the whole crate");
    refused("curate/a.rs", "use crate as c;", 2, "the whole crate");
    refused("work/a.rs", "use crate::pane;", 2, "must not use pane");
    fine("source/engine/a.rs", "pub(crate) fn f() {}\npub(in crate::source) fn g() {}\nuse crate::{model::*, layer, source::Meter};");
    fine("shell/a.rs", "use crate::*;");
    fine("app/update.rs", "use crate::pane::images;\nuse crate::{flow::Msg, model, curate};");
}

#[test]
fn roundabout_ways() {
    refused("model/a.rs", "use super::super::flow::Msg;", 2, "must not use flow");
    refused("model/mod.rs", "use super::flow;", 2, "must not use flow");
    refused("model/mod.rs", "use self::super::flow;", 2, "must not use flow");
    refused("source/engine/list.rs", "use super::super::super::{flow::Msg};", 2, "must not use flow");
    refused("source/engine/list.rs", "use super::{super::{super::flow}};", 2, "must not use flow");
    refused("model/a.rs", "mod tests {\n mod deep {\n  use super::super::super::super::flow::Msg;\n }\n}", 4, "must not use flow");
    refused("model/a.rs", "use crate::r#flow::Msg;", 2, "must not use flow");
    refused("model/a.rs", "macro_rules! m { () => { $crate::flow::x() } }", 2, "must not use flow");
    refused("model/a.rs", "fn f() { if a { match b { _ => [crate::flow::x()] } } }", 2, "must not use flow");
    refused("model/a.rs", "use lighterman::flow::Msg;", 2, "must not use flow");
    refused("rogue/a.rs", "", 1, "doesn't have");
    fine("model/a.rs", "mod tests {\n use super::*;\n use super::super::Digest;\n}");
    fine("source/engine/list.rs", "use super::super::Ctx;\nuse super::super::super::model::Digest;");
}

#[test]
fn names_of_others() {
    refused("model/a.rs", "use std::{io, fs};", 2, "must not name std::fs");
    refused("model/a.rs", "use std::*;", 2, "must not name std::fs");
    refused("model/a.rs", "use oci_distribution::{Reference, Client};", 2, "must not name oci_distribution::Client");
    refused("flow/a.rs", "fn f() { ::tokio::spawn(x) }", 2, "must not name tokio");
    refused("flow/a.rs", "#[tokio::test]\nasync fn f() {}", 2, "must not name tokio");
    refused("layer/a.rs", "use bollard as b;", 2, "must not name bollard");
    refused("source/a.rs", "use crossterm;", 2, "must not name crossterm");
    refused("work/a.rs", "use ratatui::Frame;", 2, "must not name ratatui");
    refused("ui/a.rs", "use reqwest::Client;", 2, "must not name reqwest");
    refused("pane/images/mod.rs", "use ratatui::Frame;", 2, "must not name ratatui");
    refused("pane/images/draw.rs", "use crossterm::event;", 2, "must not name crossterm");
    refused("app/draw/tabs.rs", "fn f() { std::fs::read(x) }", 2, "must not name std::fs");
    fine("model/a.rs", "use oci_distribution::Reference;\nfn f(tokio: u8) -> u8 { tokio }");
    fine("pane/images/draw.rs", "use ratatui::Frame;\nuse crate::ui::Theme;");
    fine("app/draw/tabs.rs", "use ratatui::Frame;\nuse crate::{ui, pane};");
    fine("source/a.rs", "use tokio::fs;\nuse std::fs as files;");
}

#[test]
fn clocks() {
    for path in ["flow/a.rs", "curate/a.rs", "pane/x/mod.rs", "pane/x/draw.rs", "app/mod.rs", "ui/a.rs"] {
        refused(path, "fn f() { std::time::Instant::now(); }", 2, "no clock");
        refused(path, "fn f() { SystemTime::now(); }", 2, "no clock");
        refused(path, "fn f() { jiff::Timestamp::now(); }", 2, "no clock");
        refused(path, "use std::time::{Duration, Instant as I};", 2, "no clock");
        refused(path, "fn f(t: T) { t.elapsed(); }", 2, "no clock");
        fine(path, "use std::time::{Duration, Instant};\nfn f(now: Instant) -> Timestamp { job.elapsed }");
    }
    fine("work/a.rs", "fn f() { std::time::Instant::now(); }");
}

#[test]
fn comments_and_strings_are_not_code() {
    fine("model/a.rs", "// use crate::flow::Msg;\n/* use crate::flow::Msg; /* nested */ tokio::spawn */\n");
    fine("model/a.rs", "/// See [`crate::flow::Msg`] and `std::fs::read`.\nconst A: &str = \"crate::flow::Msg #[allow(x)]\";\n");
    fine("flow/a.rs", "const A: &str = r#\"use crate::ui::x; \"Instant::now()\" \"#;\nconst B: char = '\"';\nfn f<'a>(x: &'a str) {}\n");
}

#[test]
fn files() {
    refused("model/a.rs", "#[allow(dead_code)]\nfn f() {}", 2, "#[expect(");
    refused("model/a.rs", "mod m {\n #![allow(dead_code)]\n}", 3, "#[expect(");
    refused("model/a.rs", "#[cfg_attr(test, allow(dead_code))]\nfn f() {}", 2, "#[expect(");
    refused("model/a.rs", &"\n".repeat(600), 601, "past 600 lines");
    refused("model/a.rs", "fn f( {", 1, "not Rust");
    fine("model/a.rs", &"\n".repeat(599));
    fine("model/a.rs", "#[expect(dead_code, reason = \"x\")]\nfn allow() { allow(1) }");
    assert!(check("model/a.rs", "use std::io;\n").iter().any(|words| words.contains("//! paragraph")));
}
