//! Names, labels and their like (`k8s.io/apimachinery/pkg/util/validation`). Each function gives what is wrong, if anything is.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// `my-name`: at most 63 letters, digits and dashes.
pub(crate) fn dns_1123_label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some(long(63));
    }
    if is_label(name) {
        return None;
    }
    Some(form(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
        LABEL,
        &["my-name", "123-abc"],
    ))
}

/// `abc-123`: as a label, but it begins with a letter.
pub(crate) fn dns_1035_label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some(long(63));
    }
    if is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    Some(form(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        "[a-z]([-a-z0-9]*[a-z0-9])?",
        &["my-name", "abc-123"],
    ))
}

/// `example.com`: labels with dots between them, at most 253 bytes.
pub(crate) fn dns_subdomain(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some(long(253));
    }
    if name.split('.').all(is_label) {
        return None;
    }
    Some(form(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        &format!("{LABEL}(\\.{LABEL})*"),
        &["example.com"],
    ))
}

fn is_label(name: &str) -> bool {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.iter().all(|c| alphanumeric(*c) || *c == b'-')
        && bytes.first().is_some_and(|c| alphanumeric(*c))
        && bytes.last().is_some_and(|c| alphanumeric(*c))
}

/// The key of a label or annotation: `example.com/my-name`.
pub(crate) fn qualified(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut parts = name.split('/');
    let (prefix, own) = match (parts.next(), parts.next(), parts.next()) {
        (Some(own), None, _) => (None, own),
        (Some(prefix), Some(own), None) => (Some(prefix), own),
        _ => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                form(
                    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                    QUALIFIED,
                    &["MyName", "my.name", "123-abc"],
                )
            )];
        }
    };
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => wrong.extend(dns_subdomain(prefix).map(|why| format!("prefix part {why}"))),
        None => {}
    }
    if own.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if own.len() > 63 {
        wrong.push(format!("name part {}", long(63)));
    }
    if !is_word(own) {
        wrong.push(format!(
            "name part {}",
            form(
                "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                QUALIFIED,
                &["MyName", "my.name", "123-abc"],
            )
        ));
    }
    wrong
}

/// The value of a label, which may be empty.
pub(crate) fn label_value(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some(long(63));
    }
    if value.is_empty() || is_word(value) {
        return None;
    }
    Some(form(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        &format!("({QUALIFIED})?"),
        &["MyValue", "my_value", "12345"],
    ))
}

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    bytes.iter().all(inner)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// The name of a path segment (roles, bindings, definitions' own objects may be called almost anything).
pub(crate) fn path_segment(name: &str) -> Option<String> {
    if name == "." || name == ".." {
        return Some(format!("may not be '{name}'"));
    }
    ['/', '%']
        .iter()
        .find(|c| name.contains(**c))
        .map(|c| format!("may not contain '{c}'"))
}

/// The name of a port: `http`, at most 15 letters, digits and dashes, with a letter among them.
pub(crate) fn port_name(name: &str) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    if name.len() > 15 {
        wrong.push("must be no more than 15 characters");
    }
    if !name
        .bytes()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.bytes().any(|c| c.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        wrong.push("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        wrong.push("must not begin or end with a hyphen");
    }
    wrong
}

/// The name of an environment variable: any printable ASCII but `=`.
pub(crate) fn environment_name(name: &str) -> Option<&'static str> {
    let ok = !name.is_empty() && name.bytes().all(|c| matches!(c, b' '..=b'~') && c != b'=');
    (!ok).then_some("a valid environment variable name must consist only of printable ASCII characters other than '='")
}

/// A key of a ConfigMap or Secret.
pub(crate) fn config_key(key: &str) -> Option<String> {
    if key.len() > 253 {
        return Some(long(253));
    }
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if key.is_empty() || !key.bytes().all(inner) {
        return Some(form(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match key {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        key if key.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

fn long(most: usize) -> String {
    format!("must be no more than {most} characters")
}

fn form(what: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|one| format!("'{one}'")).collect();
    format!(
        "{what} (e.g. {}, regex used for validation is '{regex}')",
        examples.join(",  or ")
    )
}
