//! `db`: databases of advisories are taken in, kept and told of; what is broken in them is named and the rest stands.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use common::program::{Program, assert_tame};
use serde_json::{Value, json};

fn advisory(id: &str, ecosystem: &str, name: &str) -> Value {
    json!({
        "id": id, "modified": "2026-02-01T00:00:00Z", "summary": "A weakness of which nobody should be proud",
        "affected": [{"package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}],
    })
}

fn zipped(documents: &[(&str, String)]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in documents {
        out.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(text.as_bytes()).unwrap();
    }
    out.finish().unwrap().into_inner()
}

fn write(program: &Program, name: &str, bytes: &[u8]) {
    let file = program.home().join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, bytes).unwrap();
}

/// Name and number of advisories of each database.
fn databases(state: &Value) -> Vec<(String, u64)> {
    let all = state["databases"].as_array().unwrap();
    all.iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one["advisories"].as_u64().unwrap())).collect()
}

#[test]
fn a_zip_is_taken_in_and_told_of() {
    let program = Program::without_engine();
    assert_eq!(databases(&program.json(&["db", "status"])), []);
    assert!(program.run(&["db", "status"]).ended(0).stdout.contains("lighterman db update"));
    let good = [advisory("DEBIAN-CVE-2026-1", "Debian:12", "acme"), advisory("GO-2026-1", "Go", "example.com/acme")];
    write(&program, "all.zip", &zipped(&[("a.json", good[0].to_string()), ("b.json", good[1].to_string()), ("c.txt", String::new())]));
    let taken = program.json(&["db", "import", "all.zip"]);
    assert_eq!(databases(&taken), [("Debian".to_owned(), 1), ("Go".to_owned(), 1)]);
    assert_eq!((&taken["broken"], &taken["databases"][0]["before"]), (&json!(0), &Value::Null));
    let state = program.json(&["db", "status"]);
    assert_eq!(databases(&state), [("Debian".to_owned(), 1), ("Go".to_owned(), 1)]);
    let debian = &state["databases"][0];
    assert_eq!((&debian["ecosystem"], &debian["releases"], &debian["packages"]), (&json!("Debian"), &json!({"Debian:12": 1}), &json!(1)));
    assert_eq!((&debian["date"], &debian["problem"]), (&json!("2026-02-01T00:00:00Z"), &Value::Null));
    assert!(debian["size"].as_u64().unwrap() > 0 && debian["origin"].as_str().unwrap().ends_with("all.zip"));
    let text = program.run(&["db", "status"]).ended(0).stdout;
    let row = text.lines().find(|line| line.starts_with("Debian")).unwrap();
    assert!(row.contains("2026-02-01"), "{text}");
}

#[test]
fn a_folder_with_all_kinds_is_taken_in() {
    let program = Program::without_engine();
    let list = json!({"distroversion": "v3.99", "reponame": "main", "packages": [{"pkg": {"name": "acme", "secfixes": {"1.0-r1": ["CVE-2026-1"]}}}]});
    write(&program, "in/v3.99/main.json", list.to_string().as_bytes());
    write(&program, "in/npm/all.zip", &zipped(&[("a.json", advisory("GHSA-1", "npm", "acme").to_string())]));
    write(&program, "in/loose/GO-1.json", advisory("GO-1", "Go", "acme").to_string().as_bytes());
    let taken = program.json(&["db", "import", "in"]);
    assert_eq!(databases(&taken), [("Alpine v3.99 main".to_owned(), 1), ("Go".to_owned(), 1), ("npm".to_owned(), 1)]);
    assert_eq!(program.json(&["db", "status"])["databases"][0]["fixes_only"], json!(true));
}

#[test]
fn what_is_broken_is_named_and_the_rest_is_taken() {
    let program = Program::without_engine();
    let good = advisory("GO-1", "Go", "acme").to_string();
    let bad = format!("bad\u{1b}[31m{}.json", "x".repeat(10));
    write(&program, "all.zip", &zipped(&[("../../good.json", good), (&bad, "{".to_owned())]));
    let ran = program.run(&["db", "import", "all.zip"]).ended(3);
    assert!(ran.stderr.contains("bad\\x1b[31m"), "{}", ran.stderr);
    assert_tame(&ran.stderr);
    assert_tame(&ran.stdout);
    assert_eq!(databases(&program.json(&["db", "status"])), [("Go".to_owned(), 1)]);
    assert!(!program.home().parent().unwrap().join("good.json").exists());
}

#[test]
fn what_is_no_database_is_refused_and_what_was_there_stays() {
    let program = Program::without_engine();
    let whole = zipped(&[("a.json", advisory("GO-1", "Go", "acme").to_string())]);
    write(&program, "all.zip", &whole);
    write(&program, "cut.zip", &whole[..whole.len() - 30]);
    write(&program, "empty.zip", &zipped(&[]));
    write(&program, "one.json", advisory("GO-2", "Go", "acme").to_string().as_bytes());
    let ran = program.run(&["--read-only", "db", "import", "all.zip"]).ended(1);
    assert!(ran.stderr.contains("--read-only"), "{}", ran.stderr);
    program.run(&["db", "import", "all.zip"]).ended(0);
    assert!(program.run(&["db", "import", "cut.zip"]).ended(1).stderr.contains("broken zip"));
    program.run(&["db", "import", "empty.zip"]).ended(1);
    assert!(program.run(&["db", "import", "one.json"]).ended(2).stderr.contains("give the folder"));
    program.run(&["db", "import", "missing"]).ended(1);
    program.run(&["db", "import"]).ended(2);
    assert_eq!(databases(&program.json(&["db", "status"])), [("Go".to_owned(), 1)]);
}

#[test]
fn the_cache_of_osv_scanner_is_used_where_its_variable_says() {
    let program = Program::without_engine();
    write(&program, "cache/osv-scanner/PyPI/all.zip", &zipped(&[("a.json", advisory("PYSEC-1", "PyPI", "acme").to_string())]));
    let mut command = program.command(&["db", "status", "--json"]);
    command.env("OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY", program.home().join("cache"));
    let ran = common::program::Ran::from(command.output().unwrap()).ended(0);
    assert_eq!(databases(&ran.document()), [("PyPI".to_owned(), 1)]);
}

/// Answers each request with what `answer` says to its head, and keeps the heads.
struct Server {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let head = head.join("\n").to_lowercase();
                kept.lock().unwrap().push(head.clone());
                // Whoever asked may be gone.
                let _ = stream.write_all(&answer(&head));
            }
        });
        Self { address, heads }
    }

    fn config(&self, program: &Program) {
        write(program, ".config/lighterman/config.toml", format!("[advisories]\nurl = \"{}/osv\"\n", self.address).as_bytes());
    }
}

fn answered(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    [format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n").as_bytes(), body].concat()
}

#[test]
fn a_database_is_fetched_when_it_is_told_to_and_not_again() {
    let mixed = [advisory("DEBIAN-CVE-2026-1", "Debian:12", "acme").to_string(), advisory("GO-1", "Go", "acme").to_string()];
    let zip = zipped(&[("a.json", mixed[0].clone()), ("b.json", mixed[1].clone())]);
    let server = Server::new(move |head| match () {
        () if head.contains("if-none-match: \"v1\"") => answered("304 Not Modified", "", b""),
        () if head.starts_with("get /osv/debian/all.zip ") => answered("200 OK", "ETag: \"v1\"\r\n", &zip),
        () => answered("404 Not Found", "", b"\x1b[31mnothing"),
    });
    let program = Program::without_engine();
    server.config(&program);
    let taken = program.json(&["db", "update", "--ecosystem", "debian"]);
    assert_eq!(databases(&taken), [("Debian".to_owned(), 1)], "and nothing of another ecosystem");
    let ran = program.run(&["db", "update"]).ended(0);
    assert!(ran.stderr.contains("Debian: nothing newer"), "{}", ran.stderr);
    let ran = program.run(&["db", "update", "--ecosystem", "Red Hat", "--ecosystem", "Debian"]).ended(3);
    assert!(ran.stderr.contains("404"), "{}", ran.stderr);
    assert_tame(&ran.stderr);
    assert!(server.heads.lock().unwrap().iter().any(|head| head.starts_with("get /osv/red%20hat/all.zip ")));
    program.run(&["db", "update", "--ecosystem", "cobol"]).ended(2);
    program.run(&["--read-only", "db", "update"]).ended(1);
    let state = program.json(&["db", "status"]);
    assert_eq!(
        (databases(&state), state["databases"][0]["origin"].as_str().unwrap().ends_with("/osv/Debian/all.zip")),
        (vec![("Debian".to_owned(), 1)], true)
    );
}

#[test]
fn a_download_that_breaks_leaves_what_was_there() {
    let zip = zipped(&[("a.json", advisory("GO-1", "Go", "acme").to_string())]);
    let whole = zip.clone();
    let served = Mutex::new(vec![
        answered("302 Found", "Location: ftp://elsewhere/x\r\n", b""),
        answered("200 OK", "", b"<html>not a zip</html>"),
        answered("200 OK", "", &whole[..whole.len() - 10]),
        answered("200 OK", "", &whole)[..200].to_vec(),
        answered("200 OK", "", &whole),
    ]);
    let server = Server::new(move |_| served.lock().unwrap().pop().unwrap_or_default());
    let program = Program::without_engine();
    server.config(&program);
    let update = || program.run(&["db", "update", "--ecosystem", "Go"]);
    update().ended(0);
    let dir = program.home().join(".local/share/lighterman/advisories");
    for _ in 0..4 {
        update().ended(1);
        assert_eq!(databases(&program.json(&["db", "status"])), [("Go".to_owned(), 1)]);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "nothing half is left");
    }
}
