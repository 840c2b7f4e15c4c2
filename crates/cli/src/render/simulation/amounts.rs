//! Money, amounts and moments as people say them.

use autoscale::answer::{Amounts, Answer, Cost};
use jiff::Timestamp;

use crate::terminal;

/// The longest foreign name that is shown whole: a DNS name's length.
const LONGEST_NAME: usize = 253;
/// The longest foreign sentence that is shown whole.
const LONGEST_REASON: usize = 1_200;

/// A foreign name, fit to be shown on one line.
pub(super) fn name(text: &str) -> String {
    shortened(text, LONGEST_NAME)
}

/// A foreign sentence, fit to be shown on one line.
pub(super) fn sentence(text: &str) -> String {
    let text = shortened(text, LONGEST_REASON);
    // What stands between two backticks is not wrapped; one that is never closed would hold all the rest together.
    if text.matches('`').count() % 2 == 1 {
        return text.replace('`', "'");
    }
    text
}

/// Bidirectional controls reorder the text around them; a name has no use for them.
fn shortened(text: &str, most: usize) -> String {
    let visible = |c: char| match c {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    let start: String = text.chars().take(most + 1).map(visible).collect();
    let line = terminal::one_line(&start);
    if text.chars().nth(most).is_some() {
        let mut line: String = line.chars().take(most).collect();
        line.push('…');
        return line;
    }
    line
}

/// A node's name, short and fit to be shown.
pub(super) fn node(full: &str) -> String {
    name(host(full))
}

/// A node's name without the domain that EC2 gives to all: `ip-10-1-3-7`.
pub(super) fn host(full: &str) -> &str {
    match full.split_once('.') {
        Some((host, domain))
            if domain == "ec2.internal" || domain.ends_with(".compute.internal") =>
        {
            host
        }
        _ => full,
    }
}

/// US dollars an hour: `$0.0384`, `$12.30`.
pub(super) fn hourly(usd: f64) -> String {
    if usd.abs() < 0.999_95 {
        dollars(usd, 4)
    } else {
        dollars(usd, 2)
    }
}

/// US dollars a month: `$61.32`, `$12,345`.
pub(super) fn monthly(usd: f64) -> String {
    if usd.abs() < 999.995 {
        dollars(usd, 2)
    } else {
        dollars(usd, 0)
    }
}

fn dollars(usd: f64, digits: usize) -> String {
    if !usd.is_finite() {
        return "unknown".to_owned();
    }
    let text = format!("{:.digits$}", usd.abs());
    let sign = if usd < 0.0 && text.contains(|c| ('1'..='9').contains(&c)) {
        "−"
    } else {
        ""
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole
        .parse()
        .map_or_else(|_| whole.to_owned(), terminal::number);
    let point = if digits > 0 { "." } else { "" };
    format!("{sign}${whole}{point}{fraction}")
}

/// A difference with its sign.
pub(super) fn signed(usd: f64, write: fn(f64) -> String) -> String {
    let text = write(usd);
    if usd > 0.0 && text.contains(|c| ('1'..='9').contains(&c)) {
        format!("+{text}")
    } else {
        text
    }
}

/// By how much of `before` it changes: `−31.8 %`; none where that says nothing.
pub(super) fn change(before: f64, after: f64) -> Option<String> {
    let percent = (after - before) / before * 100.0;
    (before > 0.0 && percent.is_finite() && percent.abs() >= 0.05).then(|| {
        let sign = if percent < 0.0 { "−" } else { "+" };
        format!("{sign}{:.1} %", percent.abs())
    })
}

/// Whether the price of a single node is known.
pub(super) fn any_price(answer: &Answer) -> bool {
    let Answer { before, after, .. } = answer;
    let mut nodes = before.nodes.iter().chain(&after.nodes);
    nodes.any(|node| node.usd_per_hour.is_some())
}

/// What the costs rest on, in sentences; none when there is nothing to add.
pub(super) fn cost_remarks(cost: &Cost) -> Vec<String> {
    let mut remarks = Vec::new();
    match cost.nodes_without_price {
        0 => {}
        1 => remarks.push("1 node has no known price and counts as nothing.".to_owned()),
        number => remarks.push(format!(
            "{} have no known price and count as nothing.",
            terminal::count(number, "node")
        )),
    }
    if cost.spot_is_estimated {
        remarks.push("Spot prices are estimates: a ratio of the on-demand price.".to_owned());
    }
    remarks
}

/// The cost in a sentence: `It costs $614.66 a month instead of $900.82: $286.16 less (−31.8 %).`; none where there is no node.
pub(super) fn cost_in_a_sentence(answer: &Answer) -> Option<String> {
    let cost = &answer.cost;
    let (before, after) = (cost.before_usd_per_month, cost.after_usd_per_month);
    if answer.before.nodes.is_empty() && answer.after.nodes.is_empty() {
        return None;
    }
    if !any_price(answer) {
        return Some("What it costs is not known: no node has a known price.".to_owned());
    }
    let known = match cost.nodes_without_price {
        0 => "",
        _ => ", as far as prices are known",
    };
    if monthly(before) == monthly(after) {
        let after = monthly(after);
        return Some(format!(
            "It costs {after} a month, before and after{known}."
        ));
    }
    let more = if after > before { "more" } else { "less" };
    let percent = change(before, after).map_or_else(String::new, |text| format!(" ({text})"));
    Some(format!(
        "It costs {} a month instead of {}: {} {more}{percent}{known}.",
        monthly(after),
        monthly(before),
        monthly((after - before).abs()),
    ))
}

/// CPU: `500m` as Kubernetes writes it, from one CPU on `1.93`.
pub(super) fn cpu(milli: i64) -> String {
    if milli.unsigned_abs() < 1000 {
        return format!("{milli}m");
    }
    let cpus = milli as f64 / 1000.0;
    if cpus.abs() < 100.0 {
        let text = format!("{cpus:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    terminal::number((cpus.round() as i64).max(0).unsigned_abs())
}

/// Memory, in powers of 1,024.
pub(super) fn memory(bytes: i64) -> String {
    terminal::bytes(u64::try_from(bytes).unwrap_or_default())
}

/// The part of a whole, `0.0..`; none of nothing.
pub(super) fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part.max(0) as f64 / whole as f64)
}

/// A share as `62 %`.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || "–".to_owned(),
        |share| format!("{:.0} %", (share * 100.0).min(99_999.0)),
    )
}

/// Sums without overflow: the amounts come from a file.
pub(super) fn add(sum: &mut Amounts, more: &Amounts) {
    sum.cpu_milli = sum.cpu_milli.saturating_add(more.cpu_milli);
    sum.memory_bytes = sum.memory_bytes.saturating_add(more.memory_bytes);
    sum.pods = sum.pods.saturating_add(more.pods);
}

/// Moments of a simulation, said by its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    begin: Option<Timestamp>,
}

impl Clock {
    /// The clock of an answer.
    pub(super) fn of(answer: &Answer) -> Self {
        Self {
            begin: answer.at.parse().ok(),
        }
    }

    /// `2026-11-21 06:11:07 UTC`; what is no time stays as it is.
    pub(super) fn moment(text: &str) -> String {
        let parsed: Option<Timestamp> = text.parse().ok();
        parsed.map_or_else(|| name(text), crate::render::state::moment)
    }

    /// The time of the day, or with the date where it is another day than the beginning.
    pub(super) fn short(self, text: &str) -> String {
        let Ok(at) = text.parse::<Timestamp>() else {
            return name(text);
        };
        let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        let same = self.begin.is_some_and(|begin| day(begin) == day(at));
        let form = if same { "%H:%M:%S" } else { "%m-%d %H:%M:%S" };
        at.strftime(form).to_string()
    }

    /// How long it lasts, as one would say it: `30 min`; none where that is not known, or no time.
    pub(super) fn lasts(self, until: &str) -> Option<String> {
        let passed = self.passed(until)?;
        Some(terminal::about(std::time::Duration::from_secs(passed)))
    }

    fn passed(self, text: &str) -> Option<u64> {
        let at: Timestamp = text.parse().ok()?;
        let passed = at.as_second().checked_sub(self.begin?.as_second())?;
        u64::try_from(passed).ok().filter(|passed| *passed > 0)
    }

    /// How long after the beginning: `+15 s`; none at the beginning itself, or when that is not known.
    pub(super) fn since(self, text: &str) -> Option<String> {
        let passed = self.passed(text)?;
        let text = terminal::duration(std::time::Duration::from_secs(passed));
        Some(format!("+{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_said_with_the_digits_that_matter() {
        assert_eq!(hourly(0.0384), "$0.0384");
        assert_eq!(hourly(12.3), "$12.30");
        assert_eq!(hourly(1.2345), "$1.23");
        assert_eq!(monthly(61.318), "$61.32");
        assert_eq!(monthly(12_345.4), "$12,345");
        assert_eq!(monthly(-0.001), "$0.00");
        assert_eq!(signed(-286.16, monthly), "−$286.16");
        assert_eq!(signed(286.16, monthly), "+$286.16");
        assert_eq!(signed(0.0, monthly), "$0.00");
        assert_eq!(monthly(f64::NAN), "unknown");
        assert_eq!(monthly(f64::MAX).chars().next(), Some('$'));
        assert_eq!(change(900.0, 613.8).as_deref(), Some("−31.8 %"));
        assert_eq!(change(0.0, 613.8), None);
    }

    #[test]
    fn amounts_are_said_as_kubernetes_does() {
        assert_eq!(cpu(500), "500m");
        assert_eq!(cpu(1930), "1.93");
        assert_eq!(cpu(4000), "4");
        assert_eq!(cpu(1_234_567), "1,235");
        assert_eq!(memory(-1), "0 B");
        assert_eq!(memory(6903 << 20), "6.7 GiB");
        assert_eq!(percent(share(62, 100)), "62 %");
        assert_eq!(percent(share(62, 0)), "–");
        let mut sum = Amounts::default();
        let huge = Amounts {
            cpu_milli: i64::MAX,
            memory_bytes: i64::MAX,
            pods: i64::MAX,
        };
        add(&mut sum, &huge);
        add(&mut sum, &huge);
        assert_eq!(sum, huge);
    }

    #[test]
    fn foreign_text_is_short_and_on_one_line() {
        assert_eq!(name("a\u{1b}[2J\nb\u{202e}c"), "a\u{fffd}[2J b\u{fffd}c");
        assert_eq!(name(&"x".repeat(10_000)).chars().count(), LONGEST_NAME + 1);
        assert_eq!(
            host("ip-10-1-3-7.eu-central-1.compute.internal"),
            "ip-10-1-3-7"
        );
        assert_eq!(host("db.example.com"), "db.example.com");
    }

    #[test]
    fn moments_are_told_from_the_beginning() {
        let clock = Clock {
            begin: "2026-11-21T23:59:50Z".parse().ok(),
        };
        assert_eq!(clock.short("2026-11-21T23:59:59Z"), "23:59:59");
        assert_eq!(clock.short("2026-11-22T00:00:05Z"), "11-22 00:00:05");
        assert_eq!(clock.short("soon"), "soon");
        assert_eq!(
            clock.since("2026-11-22T00:01:05Z").as_deref(),
            Some("+1 m 15 s")
        );
        assert_eq!(clock.since("2026-11-21T23:59:50Z"), None);
        assert_eq!(Clock::moment("soon"), "soon");
    }
}
