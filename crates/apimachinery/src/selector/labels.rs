//! Selectors by labels.

use std::fmt;

use serde_json::Value as Json;

use crate::status::Status;

/// Which labels an object must have. All requirements must hold; one without requirements means every object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    /// Means no object at all, as a `LabelSelector` document that is absent does.
    nothing: bool,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    /// In order and without repetition. Exactly one for [`Operator::Above`] and [`Operator::Below`].
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    /// Holds as well when the label is absent.
    NotIn,
    Exists,
    Absent,
    /// The label is a whole number above the value.
    Above,
    Below,
}

impl LabelSelector {
    /// Means every object.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Means no object.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            requirements: Vec::new(),
            nothing: true,
        }
    }

    /// Reads the language of queries: `app=web,tier in (a, b),!old`.
    ///
    /// # Errors
    /// 400 when it is not in the language, or a key or a value cannot be that of a label.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let requirements = Parser::new(text)
            .requirements()
            .map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))?;
        Ok(Self {
            requirements,
            nothing: false,
        })
    }

    /// Reads a `LabelSelector` document (`matchLabels`, `matchExpressions`); `null` means nothing, `{}` everything.
    ///
    /// # Errors
    /// 400 when an expression has an unknown operator or values that do not go with it.
    pub fn from_json(document: &Json) -> Result<Self, Status> {
        if document.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements = Vec::new();
        if let Some(labels) = document["matchLabels"].as_object() {
            for (key, value) in labels {
                let values = vec![value.as_str().unwrap_or_default().to_owned()];
                requirements.push(Requirement::new(key, Operator::In, values)?);
            }
        }
        for expression in document["matchExpressions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::Absent,
                other => {
                    return Err(Status::bad_request(format!(
                        "{other:?} is not a valid label selector operator"
                    )));
                }
            };
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(Json::as_str).map(str::to_owned).collect();
            let key = expression["key"].as_str().unwrap_or_default();
            requirements.push(Requirement::new(key, operator, values)?);
        }
        requirements.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Self {
            requirements,
            nothing: false,
        })
    }

    /// Reads a plain map of labels, as a Service or a ReplicationController selects with.
    #[must_use]
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirement = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::In,
            values: vec![value.to_owned()],
        };
        Self {
            requirements: labels.into_iter().map(requirement).collect(),
            nothing: false,
        }
    }

    /// Whether it means every object.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether an object with these labels is meant; `get` finds a label's value.
    #[must_use]
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing
            && self
                .requirements
                .iter()
                .all(|requirement| requirement.holds(get(&requirement.key)))
    }

    /// Whether an object (a whole document) is meant.
    #[must_use]
    pub fn matches_object(&self, object: &Json) -> bool {
        let labels = &object["metadata"]["labels"];
        self.matches(|key| labels.get(key).and_then(Json::as_str))
    }
}

/// In the language of queries.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl Requirement {
    /// # Errors
    /// 400 when the values do not go with the operator, or the key or a value cannot be that of a label.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, Status> {
        check(key, operator, &values).map_err(Status::bad_request)?;
        values.sort();
        values.dedup();
        Ok(Self {
            key: key.to_owned(),
            operator,
            values,
        })
    }

    fn holds(&self, label: Option<&str>) -> bool {
        let among = |label: &str| self.values.iter().any(|value| value == label);
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = || self.values.first().and_then(|bound| number(bound));
        let compared = || Some((label.and_then(number)?, bound()?));
        match self.operator {
            Operator::In => label.is_some_and(among),
            Operator::NotIn => !label.is_some_and(among),
            Operator::Exists => label.is_some(),
            Operator::Absent => label.is_none(),
            Operator::Above => compared().is_some_and(|(label, bound)| label > bound),
            Operator::Below => compared().is_some_and(|(label, bound)| label < bound),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match (self.operator, self.values.as_slice()) {
            (Operator::In, [value]) => write!(f, "{key}={value}"),
            (Operator::NotIn, [value]) => write!(f, "{key}!={value}"),
            (Operator::In, values) => write!(f, "{key} in ({})", values.join(",")),
            (Operator::NotIn, values) => write!(f, "{key} notin ({})", values.join(",")),
            (Operator::Exists, _) => f.write_str(key),
            (Operator::Absent, _) => write!(f, "!{key}"),
            (Operator::Above, values) => write!(f, "{key}>{}", values.join("")),
            (Operator::Below, values) => write!(f, "{key}<{}", values.join("")),
        }
    }
}

fn check(key: &str, operator: Operator, values: &[String]) -> Result<(), String> {
    check_key(key)?;
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            return Err(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                    .into(),
            );
        }
        Operator::Exists | Operator::Absent if !values.is_empty() => {
            return Err(format!(
                "values: Invalid value: {values:?}: values set must be empty for exists and does not exist"
            ));
        }
        Operator::Above | Operator::Below => match values {
            [one] if one.parse::<i64>().is_ok() => {}
            _ => {
                return Err(format!(
                    "values: Invalid value: {values:?}: for 'Gt', 'Lt' operators, exactly one integer is required"
                ));
            }
        },
        _ => {}
    }
    values.iter().try_for_each(|value| {
        if value.is_empty() || is_name(value) {
            Ok(())
        } else {
            Err(format!(
                "values: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric \
                 characters, '-', '_' or '.', and must start and end with an alphanumeric character, and must be no more \
                 than 63 characters"
            ))
        }
    })
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_is_good = prefix.is_none_or(|prefix| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                is_name(part)
                    && part
                        .bytes()
                        .all(|byte| !byte.is_ascii_uppercase() && byte != b'_')
            })
    });
    if prefix_is_good && is_name(name) {
        Ok(())
    } else {
        Err(format!(
            "key: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character, with an optional DNS subdomain prefix and '/'"
        ))
    }
}

/// Whether this can be a label's value, or its key without the prefix.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    bytes.len() <= 63
        && bytes.iter().all(inner)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Not,
    Equal,
    NotEqual,
    Above,
    Below,
    Open,
    Close,
    Comma,
    End,
}

impl Token<'_> {
    fn told(self) -> String {
        match self {
            Token::Word(word) => word.to_owned(),
            Token::Not => "!".into(),
            Token::Equal => "=".into(),
            Token::NotEqual => "!=".into(),
            Token::Above => ">".into(),
            Token::Below => "<".into(),
            Token::Open => "(".into(),
            Token::Close => ")".into(),
            Token::Comma => ",".into(),
            Token::End => String::new(),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn next(&mut self) -> Token<'a> {
        self.rest = self.rest.trim_start();
        let symbols = [
            ("==", Token::Equal),
            ("!=", Token::NotEqual),
            ("=", Token::Equal),
            ("!", Token::Not),
            (">", Token::Above),
            ("<", Token::Below),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ];
        for (symbol, token) in symbols {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.rest = rest;
                return token;
            }
        }
        let ends = |c: char| c.is_whitespace() || "=!><(),".contains(c);
        let (word, rest) = self
            .rest
            .split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        if word.is_empty() {
            Token::End
        } else {
            Token::Word(word)
        }
    }

    fn peek(&self) -> Token<'a> {
        Self { rest: self.rest }.next()
    }

    fn requirements(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements: Vec<Requirement> = Vec::new();
        if self.peek() == Token::End {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.requirement()?);
            match self.next() {
                Token::End => break,
                Token::Comma => match self.peek() {
                    Token::Word(_) | Token::Not => {}
                    other => {
                        return Err(format!(
                            "found '{}', expected: identifier after ','",
                            other.told()
                        ));
                    }
                },
                other => {
                    return Err(format!(
                        "found '{}', expected: ',' or 'end of string'",
                        other.told()
                    ));
                }
            }
        }
        requirements.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(requirements)
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut absent = false;
        let mut token = self.next();
        if token == Token::Not {
            absent = true;
            token = self.next();
        }
        let Token::Word(key) = token else {
            return Err(format!("found '{}', expected: identifier", token.told()));
        };
        check_key(key)?;
        let made = |operator, values| {
            Requirement::new(key, operator, values).map_err(|status| status.message)
        };
        if absent || matches!(self.peek(), Token::End | Token::Comma) {
            let operator = if absent {
                Operator::Absent
            } else {
                Operator::Exists
            };
            return made(operator, Vec::new());
        }
        match self.next() {
            Token::Equal => made(Operator::In, vec![self.value()]),
            Token::NotEqual => made(Operator::NotIn, vec![self.value()]),
            Token::Above => made(Operator::Above, vec![self.value()]),
            Token::Below => made(Operator::Below, vec![self.value()]),
            Token::Word("in") => {
                let values = self.values()?;
                made(Operator::In, values)
            }
            Token::Word("notin") => {
                let values = self.values()?;
                made(Operator::NotIn, values)
            }
            other => Err(format!(
                "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                other.told()
            )),
        }
    }

    /// The value after a sign; nothing is the empty value.
    fn value(&mut self) -> String {
        match self.peek() {
            Token::Word(word) => {
                self.next();
                word.to_owned()
            }
            _ => String::new(),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if self.next() != Token::Open {
            return Err("found no '(' after in or notin".into());
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value());
            match self.next() {
                Token::Comma => {}
                Token::Close => return Ok(values),
                other => return Err(format!("found '{}', expected: ',' or ')'", other.told())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn chosen(selector: &str, labels: &[(&str, &'static str)]) -> bool {
        let find = |key: &str| labels.iter().find(|(own, _)| *own == key).map(|(_, v)| *v);
        LabelSelector::parse(selector).unwrap().matches(find)
    }

    #[test]
    fn requirements_are_all_needed() {
        let web = [("app", "web"), ("tier", "front"), ("size", "7")];
        for holds in [
            "",
            "app=web",
            "app==web,tier=front",
            "app in (web, db),tier",
            "app,!old",
            "old!=yes",
            "app notin (db)",
            "size>6,size<8",
            " app = web , tier notin ( back ) ",
        ] {
            assert!(chosen(holds, &web), "{holds:?} means it");
        }
        for fails in [
            "app=db",
            "!app",
            "app!=web",
            "old",
            "app in (db)",
            "size>7",
            "tier>1",
            "none<3",
        ] {
            assert!(!chosen(fails, &web), "{fails:?} does not mean it");
        }
        assert!(chosen("app=", &[("app", "")]));
        assert!(chosen("app in (,a)", &[("app", "")]));
    }

    #[test]
    fn what_is_no_selector_is_a_bad_request() {
        for wrong in [
            "a b", "=x", "a in x", "a in (b", "a,,b", "a=b,", "-a=b", "a=b c", "a>x", "a=-",
            "a/b/c", "a!b", "(", "a=b)",
        ] {
            let refused = LabelSelector::parse(wrong).unwrap_err();
            assert_eq!(refused.code, 400, "{wrong:?}");
            assert!(refused.message.starts_with("unable to parse requirement: "));
        }
    }

    #[test]
    fn documents_are_read() {
        let document = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["b", "a"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        });
        let selector = LabelSelector::from_json(&document).unwrap();
        assert_eq!(selector.to_string(), "app=web,!old,tier in (a,b)");
        assert!(
            selector.matches_object(&json!({"metadata": {"labels": {"app": "web", "tier": "a"}}}))
        );
        assert!(!selector.matches_object(&json!({"metadata": {"labels": {"app": "web"}}})));
        assert!(
            !LabelSelector::from_json(&Json::Null)
                .unwrap()
                .matches_object(&json!({}))
        );
        assert!(
            LabelSelector::from_json(&json!({}))
                .unwrap()
                .matches_object(&json!({}))
        );
        let wrong =
            json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]});
        assert_eq!(LabelSelector::from_json(&wrong).unwrap_err().code, 400);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-c=!<>(), in.-]{0,20}|\\PC{0,20}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                let again = LabelSelector::parse(&selector.to_string());
                prop_assert_eq!(again, Ok(selector), "what it writes means the same");
            }
        }
    }
}
