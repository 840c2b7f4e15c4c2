//! Which media type an answer has, and which one a body has.

use apimachinery::Status;
use apimachinery::status::Reason;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};

/// How the objects of an answer are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Form {
    /// As they are.
    Whole,
    /// `as=Table`, in a version of `meta.k8s.io`.
    Table(MetaVersion),
    /// `as=PartialObjectMetadata`, for lists `as=PartialObjectMetadataList`.
    Metadata(MetaVersion),
}

/// A version of `meta.k8s.io`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum MetaVersion {
    V1,
    V1Beta1,
}

impl MetaVersion {
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What an answer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Json,
    Yaml,
}

/// A media type of an `Accept` header.
struct Range<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Range<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut all = self.parameters.iter();
        all.find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    fn syntax(&self) -> Option<Syntax> {
        match self.name {
            "application/json" | "application/*" | "*/*" => Some(Syntax::Json),
            "application/yaml" => Some(Syntax::Yaml),
            _ => None,
        }
    }
}

/// The types that a client accepts, those it likes best first.
fn ranges(headers: &HeaderMap) -> Vec<Range<'_>> {
    let texts = headers.get_all(ACCEPT).iter();
    let mut ranges: Vec<(u16, Range<'_>)> = texts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().filter(|name| !name.is_empty())?;
            let parameters: Vec<(&str, &str)> =
                parts.filter_map(|part| part.split_once('=')).collect();
            let quality = parameters.iter().find(|(name, _)| *name == "q");
            let quality: f32 = quality.and_then(|(_, q)| q.parse().ok()).unwrap_or(1.0);
            // Thousandths are all that a quality may have.
            let quality = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
            (quality > 0).then_some((quality, Range { name, parameters }))
        })
        .collect();
    ranges.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    ranges.into_iter().map(|(_, range)| range).collect()
}

/// Chooses how objects are shown and written.
///
/// # Errors
/// 406 when nothing that the server has is accepted.
pub(crate) fn of_objects(headers: &HeaderMap) -> Result<(Form, Syntax), Status> {
    choose(headers, |range| {
        let version = match range.parameter("v") {
            Some("v1") => Some(MetaVersion::V1),
            Some("v1beta1") => Some(MetaVersion::V1Beta1),
            _ => None,
        };
        match (range.parameter("as"), range.parameter("g")) {
            (None | Some(""), _) => Some(Form::Whole),
            (Some("Table"), Some("meta.k8s.io")) => version.map(Form::Table),
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io")) => {
                version.map(Form::Metadata)
            }
            _ => None,
        }
    })
}

/// Chooses between discovery by group and version, and all of it in one document.
///
/// # Errors
/// As [`of_objects`].
pub(crate) fn of_discovery(headers: &HeaderMap) -> Result<Option<DiscoveryVersion>, Status> {
    let (version, _) = choose(headers, |range| {
        match (
            range.parameter("as"),
            range.parameter("g"),
            range.parameter("v"),
        ) {
            (None | Some(""), _, _) => Some(None),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                Some(Some(DiscoveryVersion::V2))
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
                Some(Some(DiscoveryVersion::V2Beta1))
            }
            _ => None,
        }
    })?;
    Ok(version)
}

/// A version of `apidiscovery.k8s.io`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiscoveryVersion {
    V2,
    V2Beta1,
}

/// Chooses a way of writing for what has one form only.
///
/// # Errors
/// As [`of_objects`].
pub(crate) fn plain(headers: &HeaderMap) -> Result<Syntax, Status> {
    choose(headers, |range| match range.parameter("as") {
        None | Some("") => Some(()),
        Some(_) => None,
    })
    .map(|((), syntax)| syntax)
}

fn choose<T>(
    headers: &HeaderMap,
    form: impl Fn(&Range<'_>) -> Option<T>,
) -> Result<(T, Syntax), Status> {
    let anything = Range {
        name: "*/*",
        parameters: Vec::new(),
    };
    let mut ranges = ranges(headers);
    if ranges.is_empty() {
        ranges.push(anything);
    }
    ranges
        .iter()
        .find_map(|range| Some((form(range)?, range.syntax()?)))
        .ok_or_else(|| {
            Status::new(
                Reason::NotAcceptable,
                "only the following media types are accepted: application/json, application/yaml",
            )
        })
}

/// Whether the client takes a gzipped answer.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("gzip") && parameters.trim() != "q=0"
        })
}

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyType {
    Json,
    Yaml,
    Protobuf,
    JsonPatch,
    MergePatch,
    StrategicMergePatch,
    /// A server-side apply, in YAML or (what is the same) in JSON.
    ApplyPatch,
}

impl BodyType {
    /// From the `Content-Type`; JSON where there is none.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Status> {
        let text = match headers.get(CONTENT_TYPE) {
            None => return Ok(Self::Json),
            Some(value) => value.to_str().unwrap_or_default(),
        };
        let name = text.split(';').next().unwrap_or_default().trim();
        Ok(match name {
            "" | "application/json" | "text/json" => Self::Json,
            "application/yaml" | "application/x-yaml" | "text/yaml" => Self::Yaml,
            "application/vnd.kubernetes.protobuf" => Self::Protobuf,
            "application/json-patch+json" => Self::JsonPatch,
            "application/merge-patch+json" => Self::MergePatch,
            "application/strategic-merge-patch+json" => Self::StrategicMergePatch,
            "application/apply-patch+yaml" => Self::ApplyPatch,
            other => return Err(Self::unsupported(other, Self::OBJECTS)),
        })
    }

    /// What objects may be sent as.
    pub(crate) const OBJECTS: &[&str] = &[
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
    ];

    /// That a body's type is not taken here.
    pub(crate) fn unsupported(got: &str, taken: &[&str]) -> Status {
        Status::new(
            Reason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format ({got}) - accepted media types include: {}",
                taken.join(", ")
            ),
        )
    }

    pub(crate) fn is_patch(self) -> bool {
        !matches!(self, Self::Json | Self::Yaml | Self::Protobuf)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
            Self::JsonPatch => "application/json-patch+json",
            Self::MergePatch => "application/merge-patch+json",
            Self::StrategicMergePatch => "application/strategic-merge-patch+json",
            Self::ApplyPatch => "application/apply-patch+yaml",
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accept(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))])
    }

    #[test]
    fn the_first_that_the_server_has_is_chosen() {
        let whole = (Form::Whole, Syntax::Json);
        for (text, chosen) in [
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                (Form::Table(MetaVersion::V1), Syntax::Json),
            ),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                whole,
            ),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                (Form::Metadata(MetaVersion::V1), Syntax::Json),
            ),
            ("application/json, */*", whole),
            (
                "application/json;as=Other;v=v1;g=meta.k8s.io,application/yaml",
                (Form::Whole, Syntax::Yaml),
            ),
            ("application/yaml;q=0.5, application/json", whole),
            ("application/json;stream=watch", whole),
        ] {
            assert_eq!(of_objects(&accept(text)).unwrap(), chosen, "{text}");
        }
        assert_eq!(of_objects(&HeaderMap::new()).unwrap(), whole);
        assert_eq!(
            of_objects(&accept("application/vnd.kubernetes.protobuf"))
                .unwrap_err()
                .code,
            406
        );
    }

    #[test]
    fn bodies_of_unknown_types_are_refused() {
        let of = |text| {
            BodyType::of(&HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(of("application/json; charset=utf-8"), Ok(BodyType::Json));
        assert_eq!(of("application/cbor").unwrap_err().code, 415);
    }
}
