//! The display itself: bars on a terminal, lines elsewhere.

use std::io::Write;
use std::time::Duration;

use console::{Term, measure_text_width};
use engine::{Notice, Pace, Stop};
use jiff::Timestamp;

use super::FRAME;
use super::events;
use super::model::{Model, Run, since};
use crate::terminal::{Stream, Style, Tone};

/// How long nothing is said, where there are lines, before it is said that work goes on: CI services stop jobs that are
/// silent for ten minutes.
const SILENCE: Duration = Duration::from_secs(60);

/// Where it is shown.
pub(super) struct Display {
    pace: Pace,
    model: Option<Model>,
    surface: Surface,
}

enum Surface {
    Live(Live),
    Lines { said: Timestamp },
}

impl Display {
    pub(super) fn new(stream: Stream, pace: Pace) -> Self {
        let surface = if stream.is_terminal {
            Surface::Live(Live::new(stream.style))
        } else {
            Surface::Lines {
                said: Timestamp::now(),
            }
        };
        Self {
            pace,
            model: None,
            surface,
        }
    }

    pub(super) fn start(&mut self, run: Run) {
        self.model = Some(Model::new(run));
    }

    pub(super) fn notice(&mut self, notice: &Notice) {
        if let Some(model) = &mut self.model {
            model.apply(notice);
        }
        match &mut self.surface {
            Surface::Live(live) => live.above.extend(events::announcement(notice, live.style)),
            Surface::Lines { said } => {
                *said = notice.at;
                write_line(&events::line(notice, self.model.as_ref(), self.pace));
            }
        }
    }

    pub(super) fn stopping(&mut self, stop: Stop) {
        if let Some(model) = self.model.as_mut().filter(|_| stop > Stop::No) {
            model.stop();
        }
        let Some(text) = events::stopping(stop, self.model.as_ref()) else {
            return;
        };
        match &mut self.surface {
            Surface::Live(live) => live.above.push(live.style.paint(Tone::Changed, &text)),
            Surface::Lines { .. } => write_line(&text),
        }
    }

    /// Shows how things stand now.
    pub(super) fn frame(&mut self, now: Timestamp) {
        match (&mut self.surface, &self.model) {
            (Surface::Live(live), model) => live.draw(model.as_ref(), now),
            (Surface::Lines { said }, Some(model)) => {
                if model.under_way() > 0 && since(*said, now) >= SILENCE {
                    *said = now;
                    write_line(&events::still(model, now));
                }
            }
            (Surface::Lines { .. }, None) => {}
        }
    }

    /// Takes the display away.
    pub(super) fn clear(&mut self) {
        if let Surface::Live(live) = &mut self.surface {
            live.clear();
        }
    }
}

fn write_line(line: &str) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Lines at the bottom of the terminal that are drawn again and again, each ended by a line feed of its own: what is
/// printed above them can be copied, and a terminal that is made wider or narrower breaks them where we expect it.
struct Live {
    term: Term,
    style: Style,
    /// What is still to be printed above the lines.
    above: Vec<String>,
    /// The lines that are there.
    drawn: Vec<String>,
    width: usize,
    last: Option<Timestamp>,
}

impl Live {
    fn new(style: Style) -> Self {
        let term = Term::stderr();
        Self {
            width: usize::from(term.size().1),
            term,
            style,
            above: Vec::new(),
            drawn: Vec::new(),
            last: None,
        }
    }

    fn draw(&mut self, model: Option<&Model>, now: Timestamp) {
        if self.last.is_some_and(|last| since(last, now) < FRAME) {
            return;
        }
        self.last = Some(now);
        let (height, width) = self.term.size();
        let (height, width) = (usize::from(height), usize::from(width));
        let lines = match model {
            // The last column stays free: some terminals break the line when it is written to.
            Some(model) => model.lines(
                now,
                width.saturating_sub(1),
                height.saturating_sub(1),
                self.style,
            ),
            None => Vec::new(),
        };
        self.show(lines, width);
    }

    fn show(&mut self, lines: Vec<String>, width: usize) {
        if self.above.is_empty() && lines == self.drawn && width == self.width {
            return;
        }
        let text = frame(&self.drawn, &self.above, &lines, width);
        self.above.clear();
        self.drawn = lines;
        self.width = width;
        // Progress that nobody can read is no reason to stop.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn clear(&mut self) {
        let width = usize::from(self.term.size().1);
        self.show(Vec::new(), width);
    }
}

/// What turns a terminal of this width, with `drawn` at its bottom and the cursor in the row below, into one with `above`
/// and then `lines`, the cursor below them: what is typed, as the `^C` of an interrupt, shows there and moves nothing. A
/// terminal that has become narrower since has broken what was drawn in more rows (most do; where one cuts instead,
/// something above is drawn over, once).
fn frame(drawn: &[String], above: &[String], lines: &[String], width: usize) -> String {
    let rows = |line: &String| measure_text_width(line).div_ceil(width.max(1)).max(1);
    let up: usize = drawn.iter().map(rows).sum();
    // Row by row, each as a whole: a screen that is cleared from its top goes into tmux's history, and a line whose end is
    // erased is as long as before to it.
    let mut text = String::from("\r\x1b[2K");
    text.push_str(&"\x1b[1A\x1b[2K".repeat(up));
    for line in above.iter().flat_map(|text| text.lines()) {
        text.push_str(line);
        text.push('\n');
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_frame_takes_the_place_of_the_one_before() {
        let old = lines(&["one", "two"]);
        let new = lines(&["three"]);
        assert_eq!(
            frame(&old, &[], &new, 80),
            "\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2Kthree\n"
        );
        assert_eq!(frame(&new, &[], &[], 80), "\r\x1b[2K\x1b[1A\x1b[2K");
        assert_eq!(frame(&[], &[], &[], 80), "\r\x1b[2K");
    }

    #[test]
    fn what_is_printed_above_stays() {
        assert_eq!(
            frame(
                &lines(&["old"]),
                &lines(&["note\nof two"]),
                &lines(&["new"]),
                80
            ),
            "\r\x1b[2K\x1b[1A\x1b[2Knote\nof two\nnew\n"
        );
    }

    #[test]
    fn lines_that_a_narrower_terminal_has_broken_are_counted_as_it_shows_them() {
        let old = lines(&["\x1b[1m0123456789\x1b[0m", "", "012345678901"]);
        // Two rows, one, and three.
        assert_eq!(frame(&old, &[], &[], 5).matches("\x1b[1A").count(), 6);
    }
}
