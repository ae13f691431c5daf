//! Whom a certificate names, and who vouched for that: told, and never believed. Facts: RFC 5280, and Fulcio's own extensions.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::der::{BYTES, Der, OID};
use crate::model::Foreign;

const NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// 1.3.6.1.4.1.57264.1.1, whose value is the bare text, and 1.3.6.1.4.1.57264.1.8, where it is a value of DER.
const ISSUER_OF_OLD: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x01];
const ISSUER: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x08];
const EXTENSIONS: u8 = 0xa3;
const MAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
/// Longest name that is shown.
const LONGEST: usize = 1 << 10;

/// The first name of a certificate, and its issuer's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Named {
    pub(super) identity: Option<Foreign>,
    pub(super) issuer: Option<Foreign>,
}

/// Of the first certificate in PEM.
pub(super) fn of_pem(pem: &str) -> Named {
    CertificateDer::from_pem_slice(pem.as_bytes()).map(|der| of_der(&der)).unwrap_or_default()
}

pub(super) fn of_der(der: &[u8]) -> Named {
    read(der).unwrap_or_default()
}

fn read(der: &[u8]) -> Option<Named> {
    let mut body = Der(der).sequence()?.sequence()?;
    let mut named = Named::default();
    while let Some((tag, value)) = body.any() {
        if tag != EXTENSIONS {
            continue;
        }
        let mut all = Der(value).sequence()?;
        while let Some(mut extension) = all.sequence() {
            let id = extension.of(OID)?;
            let _is_critical = extension.of(0x01);
            let value = extension.of(BYTES)?;
            match id {
                NAMES => named.identity = name(value),
                ISSUER => named.issuer = Der(value).any().and_then(|(_, text)| text_of(text)),
                ISSUER_OF_OLD => named.issuer = named.issuer.take().or_else(|| text_of(value)),
                _ => {}
            }
        }
    }
    Some(named)
}

fn name(value: &[u8]) -> Option<Foreign> {
    let mut names = Der(value).sequence()?;
    while let Some((tag, value)) = names.any() {
        if matches!(tag, MAIL | DNS | URI) {
            return text_of(value);
        }
    }
    None
}

fn text_of(bytes: &[u8]) -> Option<Foreign> {
    bytes.get(..bytes.len().min(LONGEST)).filter(|bytes| !bytes.is_empty()).map(Foreign::lossy)
}
