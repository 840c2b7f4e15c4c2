use std::collections::BTreeMap;

use super::*;
use crate::render::fixtures::text as rendered;
use crate::render::simulation::fixtures::{answer, empty, finished, hostile, large};

fn shown(answer: &Answer) -> String {
    let view = SimulationView {
        subject: "cluster.yaml",
        answer,
    };
    rendered(|out| html(out, &view))
}

/// A tag as it stands on the page: its name, and its attributes.
#[derive(Debug, Clone, PartialEq)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

/// Reads a page strictly: every element is closed in order, every attribute has quotes and is there once.
fn tags(page: &str) -> Vec<Tag> {
    const VOID: [&str; 3] = ["meta", "br", "hr"];
    let mut tags: Vec<Tag> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(begin) = rest.find('<') {
        rest = &rest[begin + 1..];
        let end = rest.find('>').unwrap();
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (name, mut left) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes: Vec<(String, String)> = Vec::new();
        while !left.trim().is_empty() {
            let (key, after) = left.trim_start().split_once("=\"").unwrap();
            let (value, after) = after.split_once('"').unwrap();
            assert!(attributes.iter().all(|(other, _)| other != key), "{tag}");
            attributes.push((key.to_owned(), value.to_owned()));
            left = after;
        }
        if !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        tags.push(Tag {
            name: name.to_owned(),
            attributes,
        });
        if name == "style" {
            rest = &rest[rest.find("</style>").unwrap()..];
        }
    }
    assert!(open.is_empty(), "{open:?}");
    tags
}

fn attributes<'a>(tags: &'a [Tag], key: &'a str) -> impl Iterator<Item = &'a str> {
    let all = tags.iter().flat_map(|tag| &tag.attributes);
    all.filter(move |(name, _)| name == key)
        .map(|(_, value)| value.as_str())
}

fn number_of(tags: &[Tag], name: &str) -> usize {
    tags.iter().filter(|tag| tag.name == name).count()
}

#[test]
fn the_page_needs_nothing_else_and_leads_nowhere_else() {
    for answer in [answer(), large(1000), empty()] {
        let page = shown(&answer);
        let tags = tags(&page);
        for forbidden in ["script", "link", "img", "iframe", "object", "base", "form"] {
            assert_eq!(number_of(&tags, forbidden), 0, "{forbidden}");
        }
        assert_eq!(attributes(&tags, "src").count(), 0);
        assert!(!page.contains("://") && !STYLE.contains("@import"));
        let ids: Vec<&str> = attributes(&tags, "id").collect();
        for link in attributes(&tags, "href").chain(attributes(&tags, "aria-labelledby")) {
            assert!(ids.contains(&link.trim_start_matches('#')), "{link}");
        }
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "an id is there once");
        assert!(page.contains(&format!("content=\"{POLICY}\"")));
    }
}

#[test]
fn every_part_has_its_heading_and_every_table_its_caption() {
    let page = shown(&answer());
    let tags = tags(&page);
    assert_eq!(number_of(&tags, "h1"), 1);
    for title in [
        "Nodes and their pods",
        "Decisions",
        "Left alone",
        "Cost",
        "Pods without a place",
        "Findings",
    ] {
        assert!(page.contains(&format!(">{title}</h2>")), "{title}");
    }
    assert!(number_of(&tags, "table") >= 4);
    assert_eq!(number_of(&tags, "table"), number_of(&tags, "caption"));
    let drawings = tags.iter().filter(|tag| tag.name == "svg");
    for drawing in drawings {
        let has = |key: &str| drawing.attributes.iter().any(|(name, _)| name == key);
        assert!(has("aria-label") || has("aria-hidden"), "{drawing:?}");
    }
    // Five nodes before, four after; the one of no pool stays as it is and is drawn once.
    assert_eq!(page.matches("class=\"strips\"").count(), 5 + 4 - 1);
    assert!(
        page.contains("<title>default/postgres-0, of Deployment/postgres: 2 CPU, 8.0 GiB</title>")
    );
    assert!(
        page.contains("<title>free: 1.52 CPU, 5.2 GiB</title>"),
        "of postgres' node"
    );
}

#[test]
fn a_box_is_as_wide_as_its_cpu_and_a_cell_as_what_its_pod_requests() {
    let page = shown(&answer());
    let after = page.split("compute-1</b>").nth(1).unwrap();
    let strips = &after[after.find("<svg").unwrap()..after.find("</svg>").unwrap()];
    let drawn = tags(&format!("<!DOCTYPE html>{strips}</svg>"));
    let width = |tag: &Tag| -> f64 {
        let mut width = tag.attributes.iter().filter(|(name, _)| name == "width");
        width.next().unwrap().1.parse().unwrap()
    };
    // 3.5 of 7.91 CPU in a box of the largest width, less the gap beside it.
    let encode = drawn
        .iter()
        .position(|tag| {
            attributes(std::slice::from_ref(tag), "class")
                .any(|class| class.starts_with('o') && class != "od")
        })
        .unwrap();
    let cell = drawn[encode..]
        .iter()
        .find(|tag| tag.name == "rect")
        .unwrap();
    assert!(
        (width(cell) - (3500.0 / 7910.0 * 548.0 - 1.0)).abs() < 0.1,
        "{cell:?}"
    );
}

#[test]
fn no_name_becomes_markup() {
    let shape = |evil: &str| -> Vec<(String, Vec<String>)> {
        let page = shown(&hostile(evil));
        let keys = |tag: Tag| tag.attributes.into_iter().map(|(key, _)| key).collect();
        tags(&page)
            .into_iter()
            .map(|tag| (tag.name.clone(), keys(tag)))
            .collect()
    };
    let harmless = shape("harmless");
    for evil in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></style></svg><h1>",
        "--><!--",
        "&lt;script&gt;",
        "{{7*7}}\u{0}\u{202e}",
        "javascript:alert(1)",
    ] {
        assert_eq!(shape(evil), harmless, "{evil}");
    }
    let page = shown(&hostile("<i>&\"x"));
    assert!(page.contains("&lt;i&gt;&amp;&quot;x") && !page.contains("<i>"));
    let controls = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!shown(&hostile("a\u{0}\u{1b}\u{202e}b")).contains(controls));
}

#[test]
fn the_page_is_bounded_however_large_the_cluster_is() {
    for (nodes, most) in [(40, 400_000), (1_000, 600_000), (5_000, 1_000_000)] {
        let page = shown(&large(nodes));
        assert!(page.len() < most, "{nodes} nodes: {}", page.len());
        tags(&page);
    }
    let long = shown(&hostile(&"x".repeat(100_000)));
    assert!(long.len() < 300_000, "{}", long.len());
}

#[test]
fn each_of_a_thousand_nodes_is_a_dot_that_says_what_becomes_of_it() {
    let large = large(1000);
    let page = shown(&large);
    let tags = tags(&page);
    let dots = |wanted: &str| {
        tags.iter()
            .filter(|tag| tag.name == "rect")
            .filter(|tag| {
                attributes(std::slice::from_ref(tag), "class").any(|class| {
                    class.starts_with('f') && class != "free" && class.contains(wanted)
                })
            })
            .count()
    };
    assert_eq!(dots(""), large.before.nodes.len() + large.after.nodes.len());
    assert_eq!(dots(" goes"), 200);
    assert_eq!(dots(" new"), 50);
}

#[test]
fn an_empty_cluster_and_one_without_prices_say_so() {
    let page = shown(&empty());
    assert!(page.contains("Nothing will happen: there is no node, and no pod waits for a node."));
    assert!(page.contains("There is no node, neither before nor after."));
    let mut unpriced = answer();
    for picture in [&mut unpriced.before, &mut unpriced.after] {
        picture
            .nodes
            .iter_mut()
            .for_each(|node| node.usd_per_hour = None);
    }
    let page = shown(&finished(unpriced));
    assert!(page.contains("no node has a known price"));
    assert!(!page.contains("$0.00"));
}

#[test]
fn what_stays_the_same_is_drawn_once() {
    let mut quiet = answer();
    quiet.after = quiet.before.clone();
    quiet.decisions.clear();
    let page = shown(&finished(quiet));
    assert!(page.contains("Before and after"));
    assert_eq!(page.matches("class=\"strips\"").count(), 5);
    assert!(page.contains("No node is launched, replaced or deleted."));
}

/// The colours of one mode by their names.
fn colours(css: &str) -> BTreeMap<String, [f64; 3]> {
    let mut colours = BTreeMap::new();
    for declaration in css.split(['{', '}', ';']) {
        let Some((name, value)) = declaration.trim().split_once(": #") else {
            continue;
        };
        let Some(name) = name.strip_prefix("--") else {
            continue;
        };
        let digits: Vec<f64> = value
            .chars()
            .map(|c| f64::from(c.to_digit(16).unwrap()))
            .collect();
        let rgb = match digits.as_slice() {
            [r, g, b] => [r * 17.0, g * 17.0, b * 17.0],
            [a, b, c, d, e, f] => [a * 16.0 + b, c * 16.0 + d, e * 16.0 + f],
            other => panic!("{other:?}"),
        };
        colours.insert(name.to_owned(), rgb);
    }
    colours
}

/// The contrast of two colours, as WCAG 2.2 reckons it.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |rgb: [f64; 3]| {
        let [r, g, b] = rgb.map(|value| {
            let value = value / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn words_and_cells_stand_out_in_both_modes() {
    let (light, rest) = STYLE
        .split_once("@media (prefers-color-scheme: dark)")
        .unwrap();
    let dark = rest.split_once("\n* {").unwrap().0;
    for css in [light, dark] {
        let colours = colours(css);
        let pairs = |words: &'static [&'static str], backs: &'static [&'static str]| {
            words
                .iter()
                .flat_map(move |word| backs.iter().map(move |back| (*word, *back)))
        };
        let words = pairs(&["text", "dim", "link", "good", "bad"], &["page", "panel"]).chain([
            ("good", "good-back"),
            ("bad", "bad-back"),
            ("warn", "warn-back"),
            ("info", "info-back"),
            ("text", "plain-back"),
            ("text", "inset"),
        ]);
        for (word, back) in words {
            let contrast = contrast(colours[word], colours[back]);
            assert!(contrast >= 4.5, "{word} on {back}: {contrast:.2}");
        }
        let cells = pairs(
            &[
                "o0",
                "o1",
                "o2",
                "o3",
                "o4",
                "o5",
                "o6",
                "o7",
                "o8",
                "ox",
                "hatch-line",
            ],
            &["inset"],
        );
        for (cell, back) in cells {
            let contrast = contrast(colours[cell], colours[back]);
            assert!(contrast >= 3.0, "{cell} on {back}: {contrast:.2}");
        }
    }
}
