//! Certificates of an authority that nobody else trusts, made by the `openssl` program.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::allow_attributes, reason = "each test binary uses its own part")]

use std::path::Path;
use std::process::{Command, Stdio};

pub fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).current_dir(dir).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A certificate of its own authority for `name` (as `IP:…` or `DNS:…`): `ca.pem`, `server.pem`, `server.key`; and one to be shown by a
/// client: `client.pem`, `client.key`.
pub fn certificates(dir: &Path, name: &str) {
    certificates_for(dir, name, 2);
}

/// The same, the server's good for `days` from now; less than none for one that has run out.
pub fn certificates_for(dir: &Path, name: &str, days: i32) {
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    openssl(dir, &[&new[..], &["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=lighterman test authority"]].concat());
    for (whose, extensions) in [
        ("server", format!("subjectAltName={name}\nextendedKeyUsage=serverAuth\n")),
        ("client", "subjectAltName=DNS:anna\nextendedKeyUsage=clientAuth\n".to_owned()),
    ] {
        let file = |ending: &str| format!("{whose}.{ending}");
        let subject = format!("/CN={whose}");
        openssl(dir, &["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &file("key"), "-out", &file("csr"), "-subj", &subject]);
        std::fs::write(dir.join(file("ext")), extensions).unwrap();
        let days = if whose == "server" { days.to_string() } else { "2".to_owned() };
        let sign = ["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", &days];
        openssl(dir, &[&sign[..], &["-in", &file("csr"), "-extfile", &file("ext"), "-out", &file("pem")]].concat());
    }
}

/// A certificate that `server.key` has signed itself, as `server.pem`.
pub fn self_signed(dir: &Path, name: &str) {
    let (subject, name) = ("/CN=itself", format!("subjectAltName={name}"));
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "server.key", "-out", "server.pem"];
    openssl(dir, &[&new[..], &["-subj", subject, "-addext", &name, "-addext", "basicConstraints=CA:FALSE"]].concat());
}
