//! The `WWW-Authenticate` header, parsed: what a registry wants before it answers.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// One demand of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// All challenges that are understood; others (Negotiate, Digest) are left out. Bounded: headers beyond 8 KiB are ignored.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    texts.filter(|text| text.len() <= 8192).flat_map(parse).collect()
}

/// Splits a header that may hold several challenges: a scheme is a word that is not followed by `=`.
fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end).unwrap_or(("", ""));
        if word.is_empty() {
            rest = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default().trim_start();
            continue;
        }
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, after) = value_of(value.trim_start());
            if let Some((_, parameters)) = found.last_mut() {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            found.push((word.to_ascii_lowercase(), Vec::new()));
            rest = after;
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    found.into_iter().filter_map(|(scheme, parameters)| challenge(&scheme, parameters)).collect()
}

fn challenge(scheme: &str, parameters: Vec<(String, String)>) -> Option<Challenge> {
    let mut taken = std::collections::HashMap::new();
    for (name, value) in parameters {
        taken.entry(name).or_insert(value);
    }
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => {
            Some(Challenge::Bearer { realm: taken.remove("realm")?, service: taken.remove("service"), scope: taken.remove("scope") })
        }
        _ => None,
    }
}

/// A quoted or bare value, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end).unwrap_or((text, ""));
        return (value.to_owned(), after);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) }
    }

    #[test]
    fn challenges_come_alone_together_and_quoted() {
        assert_eq!(parse("Basic realm=\"a, b\""), [Challenge::Basic]);
        assert_eq!(
            parse(r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#),
            [bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull,push"))]
        );
        assert_eq!(parse(r#"Negotiate, bearer Realm = "x\"y" , Basic realm=z"#), [bearer("x\"y", None, None), Challenge::Basic]);
        assert_eq!(parse("Bearer service=a"), []);
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=a"));
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=b"));
        assert_eq!(challenges(&headers), [Challenge::Basic, bearer("b", None, None)]);
    }

    proptest! {
        #[test]
        fn any_header_ends(text in "\\PC{0,200}|[\",=\\\\ a-c]{0,60}") {
            let _ = parse(&text);
        }
    }
}
