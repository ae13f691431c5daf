//! How bytes get to an engine: one HTTP/1.1 connection per request over a Unix socket, TCP, TLS, a Windows pipe, or `ssh`.
//!
//! It is what bollard runs on here (its `CustomTransport`), instead of bollard's own connectors: those have no connect timeout, say
//! "error trying to connect" for an absent socket, a forbidden one and a file alike, mix the platform's roots with a context's CA, and
//! insist on a client certificate. Dropping a response closes its connection, so a cancelled pull stops at the engine too.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::Uri;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::endpoint::{Endpoint, Host};
use super::{ssh, tls};

/// How long an engine may take to accept a connection (and to shake hands).
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// `ssh` has more to do: resolve, connect, negotiate, log in.
const CONNECT_SSH: Duration = Duration::from_secs(30);

/// The body type of bollard's requests.
pub(super) type Body = Either<Full<Bytes>, StreamBody<Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>>>>;
pub(super) type Http = Client<Connector, Body>;

/// Why there is no connection. The kinds are what a person can do something about.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("there is no socket {0}")]
    Absent(String),
    #[error("permission denied on {0}")]
    Denied(String),
    #[error("{0} is not a socket")]
    NotASocket(String),
    #[error("nobody listens on {0}")]
    Refused(String),
    #[error("no connection to {0} within {1} seconds")]
    Timeout(String, u64),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("ssh: {0}")]
    Ssh(String),
    #[error("{0}: {1}")]
    Other(String, io::Error),
}

/// An HTTP client that keeps no idle connection.
pub(super) fn http(endpoint: Endpoint) -> Http {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(Connector(endpoint))
}

/// Opens connections to one endpoint, whatever the URI says.
#[derive(Debug, Clone)]
pub(super) struct Connector(Endpoint);

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection of any kind.
pub(super) struct Line(Box<dyn Duplex>);

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Line>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Line>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let endpoint = self.0.clone();
        Box::pin(async move {
            let patience = if matches!(endpoint.host, Host::Ssh(_)) { CONNECT_SSH } else { CONNECT };
            let timeout = || ConnectError::Timeout(endpoint.address(), patience.as_secs());
            let line = tokio::time::timeout(patience, open(&endpoint)).await.map_err(|_elapsed| timeout())??;
            Ok(TokioIo::new(line))
        })
    }
}

async fn open(endpoint: &Endpoint) -> Result<Line, ConnectError> {
    match &endpoint.host {
        #[cfg(unix)]
        Host::Unix(path) => match tokio::net::UnixStream::connect(path).await {
            Ok(stream) => Ok(Line(Box::new(stream))),
            Err(error) => Err(socket_error(path, error)),
        },
        #[cfg(not(unix))]
        Host::Unix(path) => Err(ConnectError::Absent(path.display().to_string())),
        #[cfg(windows)]
        Host::Npipe(path) => match tokio::net::windows::named_pipe::ClientOptions::new().open(path) {
            Ok(pipe) => Ok(Line(Box::new(pipe))),
            Err(error) => Err(socket_error(path, error)),
        },
        #[cfg(not(windows))]
        Host::Npipe(path) => Err(ConnectError::Absent(path.display().to_string())),
        Host::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| tcp_error(&endpoint.address(), error))?;
            // Small requests must not wait for each other's acknowledgement; where that can't be set they are only slower.
            let _ = stream.set_nodelay(true);
            match &endpoint.tls {
                None => Ok(Line(Box::new(stream))),
                Some(material) => Ok(Line(Box::new(tls::secure(stream, host, material).await?))),
            }
        }
        Host::Ssh(host) => Ok(Line(Box::new(ssh::dial(host)?))),
    }
}

fn socket_error(path: &std::path::Path, error: io::Error) -> ConnectError {
    let shown = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound => ConnectError::Absent(shown),
        io::ErrorKind::PermissionDenied => ConnectError::Denied(shown),
        // A plain file refuses like a socket that nobody listens on.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory if !is_socket(path) => ConnectError::NotASocket(shown),
        io::ErrorKind::ConnectionRefused => ConnectError::Refused(shown),
        _ => ConnectError::Other(shown, error),
    }
}

fn is_socket(path: &std::path::Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
    }
    #[cfg(not(unix))]
    path.exists()
}

fn tcp_error(address: &str, error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused(address.to_owned()),
        _ => ConnectError::Other(address.to_owned(), error),
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
