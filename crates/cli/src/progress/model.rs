//! What is going on, as lines: a fold over notices, and nothing else. No clock and no terminal.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use catalog::ids::Address;
use engine::{Notice, OperationKind, Pace, What};
use jiff::Timestamp;

use crate::terminal::{Style, Tone, about, cut, duration, one_line};

/// Operations that are listed at once, however high the terminal is.
const MOST_ROWS: usize = 14;
/// Finished ones that are named.
const MOST_FINISHED: usize = 4;

/// A plan that is being applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The environment's name in AWS.
    pub name: String,
    /// Whether it is deleted.
    pub destroy: bool,
    /// How fast time goes at the target.
    pub pace: Pace,
    /// Steps that will be told of.
    pub steps: usize,
    /// The longest chain, at AWS.
    pub critical_path: Duration,
    /// When it began.
    pub began: Timestamp,
}

/// The state of a run, as its display needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    run: Run,
    running: BTreeMap<(Address, OperationKind), Running>,
    done: usize,
    failed: usize,
    skipped: usize,
    finished: VecDeque<Address>,
    stopping: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Running {
    since: Timestamp,
    typical: Duration,
    remaining: Duration,
    note: Option<Note>,
}

#[derive(Debug, Clone, PartialEq)]
enum Note {
    Waits(String),
    Retries(String),
}

/// What an operation does, as it goes on.
pub(super) fn doing(operation: OperationKind) -> &'static str {
    match operation {
        OperationKind::Create => "creating",
        OperationKind::Update => "updating",
        OperationKind::Delete => "deleting",
        OperationKind::Read => "reading",
    }
}

impl Running {
    /// How long it has gone on at AWS; none where nothing is waited for.
    fn elapsed(&self, pace: Pace, now: Timestamp) -> Option<Duration> {
        pace.modelled(since(self.since, now))
    }

    /// How long the chain still takes that begins with it, at AWS. An operation that takes longer than it should is taken
    /// to end at once.
    fn left(&self, pace: Pace, now: Timestamp) -> Duration {
        let elapsed = self.elapsed(pace, now).unwrap_or_default();
        self.remaining - elapsed.min(self.typical).min(self.remaining)
    }
}

/// The time from one moment to another; none when the clock was put back.
pub(super) fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

impl Model {
    /// A run of which nothing was heard yet.
    pub fn new(run: Run) -> Self {
        Self {
            run,
            running: BTreeMap::new(),
            done: 0,
            failed: 0,
            skipped: 0,
            finished: VecDeque::new(),
            stopping: false,
        }
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Steps that have ended, one way or the other.
    pub fn ended(&self) -> usize {
        self.done + self.failed + self.skipped
    }

    /// All steps. Never fewer than those that were told of.
    pub fn steps(&self) -> usize {
        self.run.steps.max(self.ended() + self.running.len())
    }

    /// Operations under way.
    pub fn under_way(&self) -> usize {
        self.running.len()
    }

    /// From here on nothing new is begun.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Takes in what happened.
    pub fn apply(&mut self, notice: &Notice) {
        let key = (notice.address.clone(), notice.operation);
        match &notice.what {
            What::Started { typical, remaining } => {
                let running = Running {
                    since: notice.at,
                    typical: *typical,
                    remaining: *remaining,
                    note: None,
                };
                self.running.insert(key, running);
            }
            What::Waiting { note } => self.note(&key, Note::Waits(one_line(note))),
            What::Retrying { reason, .. } => self.note(&key, Note::Retries(one_line(reason))),
            What::Finished { .. } => {
                self.running.remove(&key);
                self.done += 1;
                self.finished.push_front(notice.address.clone());
                self.finished.truncate(MOST_FINISHED);
            }
            What::Failed { .. } => {
                self.running.remove(&key);
                self.failed += 1;
            }
            What::Skipped { .. } => self.skipped += 1,
        }
    }

    fn note(&mut self, key: &(Address, OperationKind), note: Note) {
        if let Some(running) = self.running.get_mut(key) {
            running.note = Some(note);
        }
    }

    /// How long it still takes on the wall: the longest chain that is left; of a run that is to be stopped, what is under
    /// way. None when nothing runs or nothing is waited for.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let pace = self.run.pace;
        pace.modelled(Duration::ZERO)?;
        let longest = self
            .running
            .values()
            .map(|running| match self.stopping {
                true => {
                    let elapsed = running.elapsed(pace, now).unwrap_or_default();
                    running.typical.saturating_sub(elapsed)
                }
                false => running.left(pace, now),
            })
            .max()?;
        Some(pace.wall(longest))
    }

    /// What runs, the longest chain first.
    fn by_urgency(&self, now: Timestamp) -> Vec<(&Address, OperationKind, &Running)> {
        let mut running: Vec<_> = self
            .running
            .iter()
            .map(|((address, operation), running)| (address, *operation, running))
            .collect();
        running.sort_by_key(|(_, _, running)| std::cmp::Reverse(running.left(self.run.pace, now)));
        running
    }

    /// What is going on, in at most `height` lines of at most `width` columns.
    pub fn lines(&self, now: Timestamp, width: usize, height: usize, style: Style) -> Vec<String> {
        let width = width.max(10);
        let mut lines = vec![self.header(now, width, style)];
        let footer = self.footer(style);
        let running = self.by_urgency(now);
        let room = height
            .saturating_sub(1 + footer.len())
            .min(MOST_ROWS)
            .min(running.len());
        // One line of the room says how many there is no room for.
        let shown = if room < running.len() {
            room.saturating_sub(1)
        } else {
            room
        };
        let address_width = running
            .iter()
            .take(shown)
            .map(|(address, _, _)| address.as_str().len())
            .max()
            .unwrap_or_default()
            .min(width / 2);
        for (index, row) in running.iter().take(shown).enumerate() {
            // What all others wait for: it alone says how long it takes.
            let critical = index == 0 && self.run.pace.modelled(Duration::ZERO).is_some();
            lines.push(self.row(*row, critical, address_width, now, style));
        }
        if shown < room {
            let more = running.len() - shown;
            lines.push(style.paint(Tone::Dim, &format!("    … and {more} more under way")));
        }
        lines.extend(footer);
        lines.truncate(height.max(1));
        lines
            .iter()
            .map(|line| cut(line, width).into_owned())
            .collect()
    }

    fn header(&self, now: Timestamp, width: usize, style: Style) -> String {
        let verb = match (self.stopping, self.run.destroy) {
            (true, _) => "Stopping",
            (false, true) => "Destroying",
            (false, false) => "Deploying",
        };
        let (ended, steps) = (self.ended(), self.steps());
        let title = format!("{verb} {}", self.run.name);
        let count = format!("{ended}/{steps}");
        let mut facts = vec![format!("{} elapsed", self.elapsed(now))];
        // What takes longer than it does as a rule is of no use for a forecast.
        if let Some(left) = self.left(now).filter(|left| !left.is_zero()) {
            facts.push(format!("about {} left", about(left)));
        }
        let facts = facts.join(" · ");
        let taken = title.chars().count() + count.chars().count() + facts.chars().count() + 6;
        let bar = match width.saturating_sub(taken) {
            0..8 => String::new(),
            room => format!("{}  ", bar(ended, steps, room.min(32), style)),
        };
        format!(
            "{}  {bar}{count}  {}",
            style.paint(Tone::Strong, &title),
            style.paint(Tone::Dim, &facts)
        )
    }

    /// The time that has gone by: on the wall, and at AWS if that is another.
    pub fn elapsed(&self, now: Timestamp) -> String {
        let wall = since(self.run.began, now);
        let whole = Duration::from_secs(wall.as_secs());
        match self.run.pace.modelled(wall) {
            Some(modelled) if self.run.pace != Pace::REAL => {
                format!("{} ({} at AWS)", duration(whole), about(modelled))
            }
            _ => duration(whole),
        }
    }

    fn row(
        &self,
        (address, operation, running): (&Address, OperationKind, &Running),
        critical: bool,
        address_width: usize,
        now: Timestamp,
        style: Style,
    ) -> String {
        let mark = if critical { "▸" } else { " " };
        let time = self.time(running, now);
        let address = cut(address.as_str(), address_width);
        let note = match &running.note {
            Some(Note::Waits(note)) => style.paint(Tone::Changed, &format!("waits: {note}")),
            Some(Note::Retries(why)) => style.paint(Tone::Changed, &format!("tries again: {why}")),
            None if critical => style.paint(Tone::Dim, "longest chain"),
            None => String::new(),
        };
        let row = format!(
            "  {} {address:address_width$}  {}  {time:24}  {note}",
            style.paint(Tone::Link, mark),
            style.paint(tone(operation), &format!("{:8}", doing(operation))),
        );
        row.trim_end().to_owned()
    }

    /// `5 min of about 9 min`, at AWS.
    fn time(&self, running: &Running, now: Timestamp) -> String {
        let typical = about(running.typical);
        match running.elapsed(self.run.pace, now) {
            Some(elapsed) if running.typical >= Duration::from_secs(1) => {
                format!(
                    "{} of about {typical}",
                    duration(Duration::from_secs(elapsed.as_secs()))
                )
            }
            Some(elapsed) => duration(Duration::from_secs(elapsed.as_secs())),
            None => String::new(),
        }
    }

    fn footer(&self, style: Style) -> Vec<String> {
        let mut lines = Vec::new();
        if self.failed + self.skipped > 0 {
            let text = format!(
                "    {} failed, {} not begun because of that",
                self.failed, self.skipped
            );
            lines.push(style.paint(Tone::Removed, &text));
        }
        if !self.finished.is_empty() {
            let names: Vec<&str> = self.finished.iter().map(Address::as_str).collect();
            let text = format!("    just done: {}", names.join(", "));
            lines.push(style.paint(Tone::Dim, &text));
        }
        lines
    }

    /// What is under way, in one line, for where nothing can be drawn twice.
    pub fn summary(&self, now: Timestamp) -> String {
        let running = self.by_urgency(now);
        let named: Vec<String> = running
            .iter()
            .take(3)
            .map(|(address, operation, running)| {
                let time = self.time(running, now);
                let time = Some(time).filter(|time| !time.is_empty());
                let time = time.map(|time| format!(" ({time})")).unwrap_or_default();
                format!("{} {address}{time}", doing(*operation))
            })
            .collect();
        let more = match running.len().saturating_sub(3) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let left = self
            .left(now)
            .filter(|left| !left.is_zero())
            .map(|left| format!("; about {} left", about(left)))
            .unwrap_or_default();
        format!("{}{more}{left}", named.join(", "))
    }
}

fn tone(operation: OperationKind) -> Tone {
    match operation {
        OperationKind::Create => Tone::Added,
        OperationKind::Update => Tone::Changed,
        OperationKind::Delete => Tone::Removed,
        OperationKind::Read => Tone::Link,
    }
}

fn bar(ended: usize, steps: usize, width: usize, style: Style) -> String {
    let filled = (ended * width)
        .checked_div(steps)
        .unwrap_or(width)
        .min(width);
    format!(
        "{}{}",
        style.paint(Tone::Added, &"━".repeat(filled)),
        style.paint(Tone::Dim, &"─".repeat(width - filled))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::fixtures::{at, finished, notice, run, started};
    use console::measure_text_width;

    fn begun() -> Model {
        let mut model = Model::new(run(60.0));
        for notice in [
            started("network/vpc", 0, 16, 1200),
            finished("network/vpc", 1),
            started("cluster/eks", 1, 540, 1000),
            started("redis/group", 1, 600, 610),
        ] {
            model.apply(&notice);
        }
        model
    }

    #[test]
    fn people_see_what_runs_and_how_long_it_takes() {
        let lines = begun().lines(at(6), 100, 20, Style::PLAIN);
        insta::assert_snapshot!(lines.join("\n"), @r"
        Deploying shop-prod  ──────────────────────────  1/104  6 s (6 min at AWS) elapsed · about 10 s left
          ▸ cluster/eks  creating  5 m 00 s of about 9 min   longest chain
            redis/group  creating  5 m 00 s of about 10 min
            just done: network/vpc
        ");
    }

    #[test]
    fn what_is_left_is_the_longest_chain_of_what_runs() {
        let model = begun();
        // The cluster's chain: 1,000 s less 300 s that it has run, at 60 seconds a second.
        assert_eq!(
            model.left(at(6)),
            Some(Duration::from_secs_f64(700.0 / 60.0))
        );
        // An operation that takes longer than it should leaves what comes after it.
        assert_eq!(
            model.left(at(600)),
            Some(Duration::from_secs_f64(460.0 / 60.0))
        );
        assert_eq!(Model::new(run(60.0)).left(at(6)), None);
        // Nothing comes after it any more: redis still takes 300 s, the cluster 240 s.
        let mut stopped = model.clone();
        stopped.stop();
        assert_eq!(stopped.left(at(6)), Some(Duration::from_secs(5)));
    }

    #[test]
    fn where_nothing_is_waited_for_no_time_is_told() {
        let mut model = Model::new(run(f64::INFINITY));
        model.apply(&started("cluster/eks", 0, 540, 1000));
        let lines = model.lines(at(1), 80, 20, Style::PLAIN);
        assert_eq!(model.left(at(1)), None);
        assert!(!lines.join("\n").contains("left"), "{lines:?}");
    }

    #[test]
    fn failures_and_what_was_not_begun_are_counted() {
        let mut model = begun();
        model.apply(&notice(
            "redis/group",
            2,
            What::Failed {
                error: "no".to_owned(),
            },
        ));
        let because = "redis/group".parse().unwrap();
        model.apply(&notice("redis/alarm", 2, What::Skipped { because }));
        assert_eq!((model.ended(), model.under_way()), (3, 1));
        let lines = model.lines(at(3), 80, 20, Style::PLAIN);
        assert!(
            lines.contains(&"    1 failed, 1 not begun because of that".to_owned()),
            "{lines:?}"
        );
    }

    #[test]
    fn a_note_is_shown_until_the_operation_ends() {
        let mut model = begun();
        let note = "create the CNAME record\n_a.example.com".to_owned();
        model.apply(&notice("cluster/eks", 2, What::Waiting { note }));
        let shown = |model: &Model| model.lines(at(3), 120, 20, Style::PLAIN).join("\n");
        assert!(shown(&model).contains("waits: create the CNAME record _a.example.com"));
        model.apply(&finished("cluster/eks", 3));
        assert!(!shown(&model).contains("CNAME"));
    }

    #[test]
    fn lines_fit_any_terminal() {
        let mut model = begun();
        for n in 0..40 {
            model.apply(&started(
                &format!("iam/a-role-with-quite-a-long-name-{n}"),
                2,
                20,
                40,
            ));
        }
        let style = Style {
            colour: true,
            width: None,
        };
        for (width, height) in [
            (200, 60),
            (100, 24),
            (80, 10),
            (40, 5),
            (20, 3),
            (10, 1),
            (1, 0),
        ] {
            let lines = model.lines(at(6), width, height, style);
            assert!(lines.len() <= height.max(1), "{width}×{height}: {lines:?}");
            assert!(
                lines
                    .iter()
                    .all(|line| measure_text_width(line) <= width.max(10)),
                "{width}×{height}: {lines:?}"
            );
        }
        let lines = model.lines(at(6), 100, 10, Style::PLAIN);
        assert_eq!(lines.len(), 10);
        assert!(lines[8].contains("and 35 more under way"), "{lines:?}");
    }

    #[test]
    fn the_steps_are_never_fewer_than_those_told_of() {
        let mut model = Model::new(Run {
            steps: 1,
            ..run(1.0)
        });
        model.apply(&started("a", 0, 1, 1));
        model.apply(&started("b", 0, 1, 1));
        assert_eq!(model.steps(), 2);
    }

    #[test]
    fn a_clock_that_is_put_back_does_no_harm() {
        let model = begun();
        assert_eq!(since(at(5), at(1)), Duration::ZERO);
        assert!(!model.lines(at(-100), 80, 10, Style::PLAIN).is_empty());
    }
}
