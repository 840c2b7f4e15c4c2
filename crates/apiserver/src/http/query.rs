//! The parameters of a query.

use std::time::Duration;

use apimachinery::Status;
use apimachinery::selector::{FieldSelector, LabelSelector};
use apimachinery::status::Cause;

use crate::store::Revision;

/// A query's parameters, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Of the part of a URL that follows the question mark.
    pub(crate) fn of(text: Option<&str>) -> Self {
        let parsed = form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Self(parsed.into_owned().collect())
    }

    /// The first value of a parameter; empty is as good as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let values = self.0.iter().filter(move |(own, _)| own == name);
        values.map(|(_, value)| value.as_str())
    }

    /// A switch: on with any value but `false` and `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.choice(name).unwrap_or(false)
    }

    /// A switch that may be absent.
    pub(crate) fn choice(&self, name: &str) -> Option<bool> {
        let value = self.all(name).next()?;
        Some(!(value.eq_ignore_ascii_case("false") || value == "0"))
    }

    /// # Errors
    /// 400 when the value is no whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| {
            Status::bad_request(format!(
                "strconv.ParseInt: parsing {value:?}: invalid syntax"
            ))
        })
    }

    /// Whether nothing is to be kept (`dryRun=All`).
    ///
    /// # Errors
    /// 422 with another value.
    pub(crate) fn dry_run(&self) -> Result<bool, Status> {
        let mut dry = false;
        for value in self.all("dryRun") {
            match value {
                "All" => dry = true,
                "" => {}
                other => {
                    return Err(invalid(
                        "CreateOptions",
                        "dryRun",
                        "FieldValueNotSupported",
                        format!("Unsupported value: [{other:?}]: supported values: \"All\""),
                    ));
                }
            }
        }
        Ok(dry)
    }
}

/// How a list's `resourceVersion` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    NotOlderThan,
    Exact,
}

/// What a list or a watch asks for.
#[derive(Debug, Clone)]
pub(crate) struct ListOptions {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    /// At most so many objects.
    pub limit: Option<usize>,
    /// Where the list before this one ended.
    pub next: Option<String>,
    /// `None` for the newest; 0 for any.
    pub revision: Option<Revision>,
    pub matching: Option<Match>,
    /// Of a watch: whether BOOKMARK events are wanted.
    pub bookmarks: bool,
    /// Of a watch: how long at most.
    pub timeout: Option<Duration>,
    /// Of a watch: whether it begins with what there is, whatever the revision says.
    pub initial: Option<bool>,
}

impl ListOptions {
    /// # Errors
    /// 400 or 422 in the real server's words.
    pub(crate) fn read(query: &Query, watch: bool) -> Result<Self, Status> {
        let revision = query.get("resourceVersion").map(|text| {
            Revision::parse(text).ok_or_else(|| {
                Status::bad_request(format!(
                    "invalid resource version {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
                ))
            })
        });
        let matching = match query.get("resourceVersionMatch") {
            None => None,
            Some("NotOlderThan") => Some(Match::NotOlderThan),
            Some("Exact") => Some(Match::Exact),
            Some(other) => {
                return Err(invalid(
                    "ListOptions",
                    "resourceVersionMatch",
                    "FieldValueNotSupported",
                    format!(
                        "Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
                    ),
                ));
            }
        };
        let positive = |name| {
            query
                .number(name)
                .map(|number| number.filter(|number| *number > 0))
        };
        let options = Self {
            labels: LabelSelector::parse(query.get("labelSelector").unwrap_or_default())?,
            fields: FieldSelector::parse(query.get("fieldSelector").unwrap_or_default())?,
            limit: positive("limit")?.and_then(|limit| usize::try_from(limit).ok()),
            next: query.get("continue").map(str::to_owned),
            revision: revision.transpose()?,
            matching,
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout: positive("timeoutSeconds")?
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs),
            initial: query.choice("sendInitialEvents"),
        };
        options.check(watch)?;
        Ok(options)
    }

    fn check(&self, watch: bool) -> Result<(), Status> {
        let forbidden = |field, why: &str| {
            let message = format!("Forbidden: {why}");
            Err(invalid(
                "ListOptions",
                field,
                "FieldValueForbidden",
                message,
            ))
        };
        if watch {
            return match (self.initial, self.matching) {
                (None, Some(_)) => forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ),
                (Some(_), None | Some(Match::Exact)) => forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ),
                _ => Ok(()),
            };
        }
        if self.initial.is_some() {
            return forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            );
        }
        match (self.matching, self.revision) {
            (None, _) => Ok(()),
            (Some(_), _) if self.next.is_some() => forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ),
            (Some(_), None) => forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
            (Some(Match::Exact), Some(Revision(0))) => forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"",
            ),
            _ => Ok(()),
        }
    }
}

fn invalid(kind: &str, field: &str, reason: &str, message: String) -> Status {
    let cause = Cause {
        reason: reason.to_owned(),
        message,
        field: field.to_owned(),
    };
    Status::invalid("meta.k8s.io", kind, "", vec![cause])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, watch: bool) -> Result<ListOptions, u16> {
        ListOptions::read(&Query::of(Some(text)), watch).map_err(|status| status.code)
    }

    #[test]
    fn options_are_read() {
        let options = read(
            "limit=500&labelSelector=a%3Db&resourceVersion=0&timeoutSeconds=7",
            false,
        )
        .unwrap();
        assert_eq!(options.limit, Some(500));
        assert_eq!(options.labels.to_string(), "a=b");
        assert_eq!(options.revision, Some(Revision(0)));
        assert_eq!(options.timeout, Some(Duration::from_secs(7)));
        let watch = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        assert_eq!(read(watch, true).unwrap().initial, Some(true));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (text, watch, code) in [
            ("resourceVersion=x", false, 400),
            ("limit=x", false, 400),
            ("labelSelector=a%20b", false, 400),
            ("resourceVersionMatch=Exact", false, 422),
            ("resourceVersionMatch=Exact&resourceVersion=0", false, 422),
            (
                "resourceVersionMatch=Sometimes&resourceVersion=1",
                false,
                422,
            ),
            (
                "resourceVersionMatch=Exact&resourceVersion=1&continue=x",
                false,
                422,
            ),
            ("sendInitialEvents=true", false, 422),
            ("sendInitialEvents=true", true, 422),
            (
                "resourceVersionMatch=NotOlderThan&resourceVersion=1",
                true,
                422,
            ),
        ] {
            assert_eq!(read(text, watch).unwrap_err(), code, "{text}");
        }
    }

    #[test]
    fn switches() {
        let query = Query::of(Some("a=true&b=0&c=False&d="));
        assert!(query.flag("a") && query.flag("d"));
        assert!(!query.flag("b") && !query.flag("c") && !query.flag("e"));
    }
}
