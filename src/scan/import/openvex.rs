//! OpenVEX documents: they find nothing, and say which findings don't count. Facts: its specification 0.2.0, and 0.0.1 where a weakness and products
//! were bare names.

use serde::Deserialize;

use super::json::{Few, Later, Text, each};
use super::{Imported, Unreadable, words};
use crate::model::{Foreign, VexStatement};

/// Most statements of one document.
const MOST: usize = 100_000;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    #[serde(rename = "@context")]
    context: Text,
    author: Text,
    timestamp: Text,
    #[serde(borrow)]
    statements: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Statement {
    vulnerability: Few<Named>,
    timestamp: Text,
    products: Few<Named>,
    subcomponents: Few<Named>,
    status: Text,
    justification: Text,
    #[serde(rename = "impact_statement")]
    impact: Text,
    status_notes: Text,
}

/// A weakness, a product or a part of one: a bare name, or an object with it.
#[derive(Default)]
struct Named {
    name: String,
    aliases: Vec<String>,
    parts: Vec<String>,
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Bare(Text),
            Whole {
                #[serde(default, rename = "@id")]
                id: Text,
                #[serde(default)]
                name: Text,
                #[serde(default)]
                identifiers: Option<Identifiers>,
                #[serde(default)]
                aliases: Few<Text>,
                #[serde(default)]
                subcomponents: Few<Named>,
            },
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Bare(name) => Self { name: name.0, ..Self::default() },
            Form::Whole { id, name, identifiers, aliases, subcomponents } => {
                let purl = identifiers.map(|identifiers| identifiers.purl.0).unwrap_or_default();
                let names = [&*name, &purl, &*id];
                Self {
                    name: words::first(names).to_owned(),
                    aliases: aliases.0.into_iter().map(|alias| alias.0).collect(),
                    parts: subcomponents.0.into_iter().map(|part| part.name).collect(),
                }
            }
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identifiers {
    purl: Text,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let document: Document<'_> = serde_json::from_str(text)?;
    if !document.context.contains("openvex") {
        return Err(Unreadable::Other("its context is not that of OpenVEX"));
    }
    let mut all = Vec::new();
    each(document.statements, |statement: Statement| {
        let free = MOST.saturating_sub(all.len());
        all.extend(read_one(&document, &statement).into_iter().take(free));
    });
    Ok(Imported::Statements(all))
}

/// What it says of products as a whole, and of parts of each; nothing where it names no weakness.
fn read_one(document: &Document<'_>, statement: &Statement) -> Vec<VexStatement> {
    let Some(weakness) = statement.vulnerability.first().filter(|weakness| !weakness.name.trim().is_empty()) else { return Vec::new() };
    let all = |names: &mut dyn Iterator<Item = &str>| names.filter_map(words::told).collect::<Vec<Foreign>>();
    let one = |products: &[&Named]| {
        let parts = products.iter().flat_map(|product| &product.parts).map(String::as_str);
        let parts = parts.chain(statement.subcomponents.iter().map(|part| part.name.as_str()));
        VexStatement {
            id: words::name(&weakness.name),
            aliases: all(&mut weakness.aliases.iter().map(String::as_str)),
            products: products.iter().map(|product| words::name(&product.name)).collect(),
            // One without a name that is read here is still one: it is not all of the product.
            parts: parts.map(words::name).collect(),
            status: words::name(&statement.status),
            reason: words::text(words::first([&*statement.impact, &*statement.justification, &*statement.status_notes])),
            author: words::name(&document.author),
            made: words::time(words::first([&*statement.timestamp, &*document.timestamp])),
        }
    };
    let (whole, narrowed): (Vec<&Named>, Vec<&Named>) = statement.products.iter().partition(|product| product.parts.is_empty());
    let whole = (!whole.is_empty() || narrowed.is_empty()).then(|| one(&whole));
    whole.into_iter().chain(narrowed.into_iter().map(|product| one(&[product]))).collect()
}
