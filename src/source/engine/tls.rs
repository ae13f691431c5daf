//! TLS to an engine: with a context's own CA only that CA is trusted, without one the platform's roots; a client certificate
//! where there is one. Certificates are always checked.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::endpoint::Tls;
use super::transport::ConnectError;

/// Longest file of certificates.
const LONGEST: u64 = 1 << 20;

/// Shakes hands; `host` must be what the engine's certificate says.
pub(super) async fn secure(stream: TcpStream, host: &str, material: &Tls) -> Result<TlsStream<TcpStream>, ConnectError> {
    let material = material.clone();
    let config = tokio::task::spawn_blocking(move || config(&material)).await;
    let config = config.map_err(|_join| ConnectError::Tls("the certificates could not be read".to_owned()))?.map_err(ConnectError::Tls)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::Tls(error.to_string()))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| ConnectError::Tls(error.to_string()))
}

fn config(material: &Tls) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &material.ca {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    match (&material.cert, &material.key) {
        (Some(cert), Some(key)) => {
            let bytes = read(key)?;
            let parsed = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_pem| format!("{} holds no private key", key.display()))?;
            builder.with_client_auth_cert(certificates(cert)?, parsed).map_err(|error| format!("{}: {error}", cert.display()))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err("of cert.pem and key.pem only one is there".to_owned()),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("{} holds no certificate", file.display())),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut bytes = Vec::new();
    std::fs::File::open(file).map_err(failed)?.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST { Err(format!("{} is longer than 1 MiB", file.display())) } else { Ok(bytes) }
}
