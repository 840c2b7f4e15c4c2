//! Container images: which names can be one, how big they are taken to be, and which a node has.

use jiff::Timestamp;
use std::collections::BTreeMap;

use crate::Pace;
use crate::draw::{digest, fraction};

/// How fast a node pulls and unpacks, in bytes a modelled second. An assumption: 40 MB.
const RATE: f64 = 40e6;
/// How long a pull takes before the first byte, in modelled seconds. An assumption.
const LATENCY: f64 = 0.5;

/// The parts of an image's name (`distribution/reference`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageName<'a> {
    domain: Option<&'a str>,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// Lower case and digits, with `.`, `_`, `__` or hyphens between.
fn is_component(text: &str) -> bool {
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| edge(Some(byte)) || matches!(byte, b'.' | b'_' | b'-'))
        && !text.contains("..")
        && !text.contains("___")
        && !["._", "_.", ".-", "-.", "_-", "-_"]
            .iter()
            .any(|pair| text.contains(pair))
}

fn is_domain(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "1"));
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(part) && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

impl<'a> ImageName<'a> {
    /// None when no image can have this name.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let (algorithm, hex) = digest.split_once(':')?;
            let ok = !algorithm.is_empty()
                && hex.len() >= 32
                && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            ok.then_some(())?;
        }
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((before, tag)) if !tag.contains('/') => (before, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let ok = tag.len() <= 128
                && tag.bytes().next().is_some_and(word)
                && tag
                    .bytes()
                    .all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
            ok.then_some(())?;
        }
        let (domain, path) = match rest.split_once('/') {
            Some((first, path))
                if first.contains(['.', ':'])
                    || first == "localhost"
                    || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
            {
                (Some(first), path)
            }
            _ => (None, rest),
        };
        let ok =
            domain.is_none_or(is_domain) && path.len() <= 255 && path.split('/').all(is_component);
        ok.then_some(Self {
            domain,
            path,
            tag,
            digest,
        })
    }

    /// With what the name leaves out: `docker.io/library/nginx`.
    fn repository(&self) -> String {
        match self.domain {
            Some(domain) => format!("{domain}/{}", self.path),
            None if self.path.contains('/') => format!("docker.io/{}", self.path),
            None => format!("docker.io/library/{}", self.path),
        }
    }

    /// As the container runtime reports it.
    pub(super) fn reported(&self) -> String {
        match (self.tag, self.digest) {
            (Some(tag), _) => format!("{}:{tag}", self.repository()),
            (None, Some(digest)) => format!("{}@{digest}", self.repository()),
            (None, None) => format!("{}:latest", self.repository()),
        }
    }

    /// The repository with the image's digest, drawn from its name unless that has it.
    pub(super) fn id(&self) -> String {
        match self.digest {
            Some(digest) => format!("{}@{digest}", self.repository()),
            None => {
                let drawn = digest(&[&self.reported()]);
                format!("{}@sha256:{drawn}", self.repository())
            }
        }
    }

    /// How many bytes are pulled: 2 to 5 MB for the images that are known to be small, otherwise 15 to 400 MB, drawn from the
    /// repository. An assumption.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two millions and 400"
    )]
    pub(super) fn bytes(&self) -> u64 {
        let last = self.path.rsplit('/').next().unwrap_or(self.path);
        let drawn = fraction(&["image size", &self.repository()]);
        let megabytes = match last {
            "pause" | "busybox" | "alpine" | "hello-world" | "curl" => 2.0 + 3.0 * drawn,
            _ => 15.0 * (400.0_f64 / 15.0).powf(drawn),
        };
        (megabytes * 1e6) as u64
    }

    /// How long it takes to pull, in modelled seconds.
    #[allow(clippy::cast_precision_loss, reason = "below 400 millions")]
    pub(super) fn pull_seconds(&self) -> f64 {
        LATENCY + self.bytes() as f64 / RATE
    }
}

/// Which images nodes have, and since when.
#[derive(Debug, Default)]
pub(super) struct Images {
    by_node: BTreeMap<String, BTreeMap<String, Timestamp>>,
}

/// When an image is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pulled {
    pub at: Timestamp,
    /// Whether it is pulled for whoever asked, or was there.
    pub fresh: bool,
}

impl Images {
    /// A node has an image.
    pub(super) fn known(&mut self, node: &str, image: &str, at: Timestamp) {
        self.by_node
            .entry(node.to_owned())
            .or_default()
            .entry(image.to_owned())
            .or_insert(at);
    }

    /// When a node that asks at `from` has an image: at once, when another's pull of it is done, or after its own.
    pub(super) fn pull(
        &mut self,
        node: &str,
        image: &str,
        name: &ImageName<'_>,
        from: Timestamp,
        pace: Pace,
    ) -> Pulled {
        let own = pace.after(from, name.pull_seconds());
        let there = *self
            .by_node
            .entry(node.to_owned())
            .or_default()
            .entry(image.to_owned())
            .or_insert(own);
        Pulled {
            at: there.max(from).min(own),
            fresh: there == own,
        }
    }

    /// Forgets nodes that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.by_node.retain(|node, _| is_there(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let full = |text| ImageName::parse(text).map(|name| name.reported());
        assert_eq!(
            full("nginx").as_deref(),
            Some("docker.io/library/nginx:latest")
        );
        assert_eq!(
            full("bitnami/redis:7").as_deref(),
            Some("docker.io/bitnami/redis:7")
        );
        assert_eq!(
            full("123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.2_a-b").as_deref(),
            Some("123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.2_a-b")
        );
        assert_eq!(
            full("localhost:5000/x").as_deref(),
            Some("localhost:5000/x:latest")
        );
        let pinned = format!("a/b@sha256:{}", "0".repeat(64));
        assert_eq!(
            ImageName::parse(&pinned).unwrap().id(),
            format!("docker.io/a/b@sha256:{}", "0".repeat(64))
        );
        for bad in [
            "",
            "Nginx",
            "nginx:",
            "nginx: 1",
            "a//b",
            "nginx@sha256:12",
            "-a",
            "a..b",
            "nginx:{{tag}}",
            "registry.example.com/",
            "http://x/y",
        ] {
            assert_eq!(full(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_second_pod_finds_the_image() {
        let mut images = Images::default();
        let name = ImageName::parse("nginx").unwrap();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let first = images.pull("n", "nginx", &name, start, Pace::Modelled);
        assert!(first.fresh && first.at > start);
        let later = Pace::Modelled.after(start, 0.1);
        let second = images.pull("n", "nginx", &name, later, Pace::Modelled);
        assert_eq!(
            (second.at, second.fresh),
            (first.at, false),
            "it waits for the first one's pull"
        );
        let last = Pace::Modelled.after(start, 600.0);
        assert_eq!(
            images.pull("n", "nginx", &name, last, Pace::Modelled).at,
            last
        );
        assert!(images.pull("m", "nginx", &name, last, Pace::Modelled).fresh);
        assert_eq!(
            images.pull("o", "nginx", &name, last, Pace::Immediate).at,
            last
        );
    }
}
