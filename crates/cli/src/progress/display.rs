//! The display itself: bars on a terminal, lines elsewhere.

use std::io::Write;
use std::time::Duration;

use console::{Term, measure_text_width};
use engine::{Notice, Pace, Stop};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
            live.print_above();
            live.bar.finish_and_clear();
        }
    }
}

fn write_line(line: &str) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Lines at the bottom of the terminal that are drawn again and again. indicatif moves the cursor, clears and prints
/// above; one bar whose message is all the lines.
struct Live {
    term: Term,
    bar: ProgressBar,
    style: Style,
    /// What is still to be printed above the lines.
    above: Vec<String>,
    /// The lines that are there, and how wide the terminal was then.
    drawn: Vec<String>,
    width: usize,
    last: Option<Timestamp>,
}

impl Live {
    fn new(style: Style) -> Self {
        let term = Term::buffered_stderr();
        // Frames come from us, and no faster than they should.
        let target = ProgressDrawTarget::term(term.clone(), 255);
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(template) = ProgressStyle::with_template("{msg}") {
            bar.set_style(template);
        }
        Self {
            width: usize::from(term.size().1),
            term,
            bar,
            style,
            above: Vec::new(),
            drawn: Vec::new(),
            last: None,
        }
    }

    fn draw(&mut self, model: Option<&Model>, now: Timestamp) {
        let due = self.last.is_none_or(|last| since(last, now) >= FRAME);
        if !due {
            return;
        }
        self.last = Some(now);
        let (height, width) = self.term.size();
        let (height, width) = (usize::from(height), usize::from(width));
        self.resized(width);
        self.print_above();
        let Some(model) = model else {
            return;
        };
        // The last column stays free: some terminals break the line when it is written to.
        let lines = model.lines(
            now,
            width.saturating_sub(1),
            height.saturating_sub(1),
            self.style,
        );
        if lines != self.drawn {
            self.bar.set_message(lines.join("\n"));
            self.drawn = lines;
        }
    }

    fn print_above(&mut self) {
        for text in self.above.drain(..) {
            self.bar.println(text);
        }
    }

    /// A terminal that has become narrower has broken our lines in two: indicatif would clear too few.
    fn resized(&mut self, width: usize) {
        if width == self.width {
            return;
        }
        self.width = width;
        let rows = |line: &String| measure_text_width(line).div_ceil(width.max(1)).max(1);
        let rows: usize = self.drawn.iter().map(rows).sum();
        let surplus = rows.saturating_sub(self.drawn.len());
        self.drawn.clear();
        if surplus > 0 {
            let term = &self.term;
            self.bar.suspend(|| {
                // A terminal that can't be written to can't be tidied up.
                let _ = term.clear_last_lines(surplus).and_then(|()| term.flush());
            });
        }
    }
}
