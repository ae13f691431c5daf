//! One engine's address: parsed, checked, and never taken for something else.
//!
//! `unix:///path`, `tcp://host:port`, `http://…`, `https://…`, `ssh://[user@]host[:port][/socket]`, and `npipe://…` on Windows. An
//! engine's socket is as good as root on its machine, so plain TCP to another machine is refused unless it is asked for by name.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::model::{Problem, ProblemKind, Safe, SourceId};

/// The longest path a Unix socket's address holds, in bytes.
const LONGEST_SOCKET: usize = 107;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Unix(PathBuf),
    Npipe(PathBuf),
    /// `tls` says whether the scheme asked for it; material is in [`Endpoint::tls`].
    Tcp {
        host: String,
        port: u16,
    },
    Ssh(SshHost),
}

/// A machine reached by the user's own `ssh`, where `docker system dial-stdio` joins the engine's socket to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
    /// The engine's socket there, when it isn't the default one.
    pub socket: Option<String>,
    /// `podman` rather than `docker` answers there.
    pub podman: bool,
}

/// Files with TLS material; what is absent is not used. Without `ca` the platform's roots decide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl Tls {
    /// The usual names in a directory, as far as `exists` says that they are there.
    pub(super) fn in_dir(dir: &Path, exists: &dyn Fn(&Path) -> bool) -> Self {
        let file = |name: &str| Some(dir.join(name)).filter(|file| exists(file));
        Self { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") }
    }
}

/// An engine that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `engine:` and the address.
    pub id: SourceId,
    /// A context's name, or a short word such as "docker".
    pub name: Safe,
    pub host: Host,
    pub tls: Option<Tls>,
    /// Why it is on the list: "DOCKER_HOST", "current context", "default socket".
    pub why: Safe,
}

impl Endpoint {
    /// Parses an address. `tls` is material to be used with `tcp://` and `https://`; `insecure` allows plain TCP to other machines.
    ///
    /// # Errors
    /// What is no address, or one that isn't safe to use.
    pub fn parse(address: &str, name: &str, why: &str, tls: Option<Tls>, insecure: bool) -> Result<Self, Problem> {
        let bad = |cause: &str| {
            Problem::new(ProblemKind::Usage, format!("use the engine {}", Safe::new(address)), cause)
                .hint("write unix:///path/to/docker.sock, tcp://host:port or ssh://user@host")
        };
        if address.len() > 4096 || address.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad("the address holds blanks or control characters"));
        }
        let (scheme, rest) = address.split_once("://").ok_or_else(|| bad("the address has no scheme"))?;
        let (host, tls) = match scheme {
            "unix" => (socket(rest).map_err(bad)?, None),
            "npipe" if cfg!(windows) => (Host::Npipe(PathBuf::from(rest.replace('/', "\\"))), None),
            "tcp" => tcp(rest, if tls.is_some() { 2376 } else { 2375 }, tls).map_err(bad)?,
            "http" => tcp(rest, 80, None).map_err(bad)?,
            "https" => tcp(rest, 443, Some(tls.unwrap_or_default())).map_err(bad)?,
            "ssh" => (ssh(rest).map_err(bad)?, None),
            _ => return Err(bad("addresses of this kind are not supported here")),
        };
        let endpoint = Self { id: SourceId(format!("engine:{host}")), name: name.into(), host, tls, why: why.into() };
        match &endpoint.host {
            Host::Tcp { host, .. } if endpoint.tls.is_none() && !insecure && !is_loopback(host) => Err(Problem::new(
                ProblemKind::Denied,
                format!("use the engine {}", Safe::new(address)),
                "plain TCP to another machine lets anyone on the way act as root there",
            )
            .hint("use TLS (DOCKER_TLS_VERIFY and DOCKER_CERT_PATH) or ssh://, or allow it by name as insecure")),
            _ => Ok(endpoint),
        }
    }

    /// The address without `engine:`.
    #[must_use]
    pub fn address(&self) -> String {
        self.host.to_string()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Npipe(path) => write!(f, "npipe://{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh(ssh) => {
                let user = ssh.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let port = ssh.port.map(|port| format!(":{port}")).unwrap_or_default();
                write!(f, "ssh://{user}{}{port}{}", ssh.host, ssh.socket.as_deref().unwrap_or_default())
            }
        }
    }
}

fn socket(path: &str) -> Result<Host, &'static str> {
    if !path.starts_with('/') {
        return Err("a socket is given by its absolute path");
    }
    if path.len() > LONGEST_SOCKET {
        return Err("the path of a socket has at most 107 bytes");
    }
    Ok(Host::Unix(PathBuf::from(path)))
}

fn tcp(rest: &str, default_port: u16, tls: Option<Tls>) -> Result<(Host, Option<Tls>), &'static str> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err("it must be a host and a port, without a path or a user");
    }
    let (host, port) = split_port(rest)?;
    Ok((Host::Tcp { host: host.to_owned(), port: port.unwrap_or(default_port) }, tls))
}

/// Host and port; an IPv6 address is in brackets.
fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the address is not closed by a bracket")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("what is in brackets is no IPv6 address");
            }
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("the port is broken")?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
    if host.is_empty() || host.starts_with('-') || host.len() > 253 || !name || (host.contains(':') && !text.starts_with('[')) {
        return Err("that is no host name");
    }
    match port.map(str::parse::<u16>) {
        None => Ok((host, None)),
        Some(Ok(port)) if port != 0 => Ok((host, Some(port))),
        Some(_) => Err("the port is broken"),
    }
}

/// Everything here becomes an argument of `ssh`, so it is held to letters, digits and a few marks, and never begins with a dash.
fn ssh(rest: &str) -> Result<Host, &'static str> {
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at_checked(slash).unwrap_or((rest, "")),
        None => (rest, ""),
    };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("a password does not belong in an address: use a key");
    }
    let word = |text: &str, marks: &[u8]| !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b));
    if user.is_some_and(|user| user.is_empty() || !word(user, b"._-+")) {
        return Err("that is no user name");
    }
    let path = if path == "/" { "" } else { path };
    if !word(path, b"/._-+@") {
        return Err("the socket's path holds more than letters, digits and /._-");
    }
    let (host, port) = split_port(host)?;
    let socket = Some(path.to_owned()).filter(|path| !path.is_empty());
    Ok(Host::Ssh(SshHost { user: user.map(str::to_owned), host: host.to_owned(), port, socket, podman: false }))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> Result<Endpoint, Problem> {
        Endpoint::parse(address, "test", "test", None, false)
    }

    #[test]
    fn addresses_read_back_as_they_were_written() {
        for address in [
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
            "ssh://host",
            "ssh://me@host:2222",
            "ssh://me@host/run/user/1000/podman/podman.sock",
        ] {
            assert_eq!(parse(address).unwrap().id.0, format!("engine:{address}"));
        }
        assert_eq!(parse("tcp://localhost").unwrap().address(), "tcp://localhost:2375");
        assert_eq!(Endpoint::parse("tcp://far", "", "", Some(Tls::default()), false).unwrap().address(), "tcp://far:2376");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("unix:///{}", "a".repeat(200));
        for address in [
            "",
            "docker.sock",
            "unix://docker.sock",
            "unix://@abstract",
            "unix:///a\nb",
            "unix:///a b",
            "tcp://",
            "tcp://:80",
            "tcp://h:0",
            "tcp://h:99999",
            "tcp://127.0.0.1:1/path",
            "tcp://user@127.0.0.1:1",
            "tcp://[::1",
            "tcp://::1:5",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://-x@host",
            "ssh://a:b@host",
            "ssh://host/run/$(id)",
            "ssh://host;id",
            "ftp://host",
            "fd://",
            &long,
        ] {
            assert!(parse(address).is_err(), "{address}");
        }
    }

    #[test]
    fn plain_tcp_leaves_this_machine_only_when_allowed_by_name() {
        let problem = parse("tcp://10.0.0.7:2375").unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Denied);
        assert!(problem.hint.is_some());
        assert!(parse("tcp://localhost.evil.example:2375").is_err());
        assert!(Endpoint::parse("tcp://10.0.0.7:2375", "", "", None, true).is_ok());
        assert!(Endpoint::parse("tcp://10.0.0.7:2376", "", "", Some(Tls::default()), false).is_ok());
    }
}
