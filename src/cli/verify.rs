//! `verify`: whether the holder of a key has signed an image of a registry.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::print::{Align, Table, or_dash};
use super::remote::{self, Remote};
use super::session::Session;
use super::{Done, Verdict};
use crate::model::signature::Verified;
use crate::model::{Foreign, Problem, ProblemKind};
use crate::scan::signature::{PublicKey, find, verify};
use crate::source::blocking;

/// Largest file that is read for a key.
const LARGEST: u64 = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The image, in a registry: that is where signatures are
    #[arg(value_name = "REF")]
    reference: String,

    /// The public key in PEM, as cosign writes it: ECDSA, Ed25519 or RSA
    #[arg(long, value_name = "PEM", value_hint = ValueHint::FilePath)]
    key: PathBuf,
}

pub(super) async fn run(session: &Session, args: &VerifyArgs) -> Verdict {
    let key = key(&args.key).await?;
    let Remote { repo, target, .. } = remote::parse(&args.reference)?;
    let client = session.client()?;
    let found = session
        .run("look for signatures", |ctx| {
            let (client, repo, target) = (&client, &repo, &target);
            Box::pin(async move {
                let digest = client.manifest(repo, target).await?.digest;
                find(client, &ctx, repo, &digest).await
            })
        })
        .await?;
    let verified = verify(&found, &key);
    for one in &verified.not_looked_for {
        session.printer.say(format_args!("not looked for: {}, {}", one.what, one.why));
    }
    if session.printer.json {
        session.printer.document(&verified)?;
    } else {
        session.printer.text(&text(&verified))?;
    }
    Ok(if verified.verified { Done::All } else { Done::Failed })
}

async fn key(file: &Path) -> Result<PublicKey, Problem> {
    const DOING: &str = "read the public key";
    let file = file.to_owned();
    blocking(DOING, move || {
        let disk = |error: &std::io::Error| Problem::disk(DOING, &file, error);
        // A pipe would keep this waiting.
        if !std::fs::metadata(&file).map_err(|error| disk(&error))?.is_file() {
            return Err(Problem::new(ProblemKind::Usage, DOING, "that is no file"));
        }
        let mut pem = Vec::new();
        File::open(&file).and_then(|opened| opened.take(LARGEST).read_to_end(&mut pem)).map_err(|error| disk(&error))?;
        PublicKey::from_pem(&pem)
    })
    .await
}

fn text(verified: &Verified) -> String {
    use Align::Left;
    let mut out = String::from(if verified.verified { "verified: the key has signed this image\n" } else { "NOT verified\n" });
    if verified.signatures.is_empty() {
        out.push_str("there is no signature\n");
        return out;
    }
    let mut table = Table::new(&[("STATE", Left), ("KIND", Left), ("WHY", Left), ("CLAIMED BY", Left)]);
    for one in &verified.signatures {
        let claimed = one.identity.as_ref().map(Foreign::safe);
        table.row(vec![one.state.word().into(), one.kind.word().into(), one.why.clone(), or_dash(claimed)]);
    }
    out.push_str(&table.render(false));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_signature_is_not_verified() {
        let none = Verified { verified: false, signatures: Vec::new(), not_looked_for: Vec::new() };
        assert!(text(&none).starts_with("NOT verified"));
        assert!(text(&none).contains("there is no signature"));
    }
}
