//! What is going on, while it goes on: a live display on a terminal, a line an event elsewhere.
//!
//! A thread of its own takes the engine's notices and draws; whoever sends them never waits for it. The display leaves
//! nothing behind: the cursor is never hidden, and what should stay (failures, notes that a person must act on) is
//! printed above it. What can't be written is dropped: a lost display stops no deploy.

mod display;
mod events;
mod model;

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use engine::{Notice, Pace, Stop};
use graph::Plan;
use jiff::Timestamp;

use crate::terminal::{Stream, seconds};
use display::Display;
pub use model::{Model, Run};

/// How often the display is drawn anew.
const FRAME: Duration = Duration::from_millis(100);

/// Where and how it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Standard error. If it is no terminal, there is a line for each event.
    pub stream: Stream,
    /// How fast time goes at the target.
    pub pace: Pace,
    /// Whether things are deleted.
    pub destroy: bool,
}

/// Shows what is going on.
#[derive(Debug)]
pub struct Progress {
    options: Options,
    sender: Sender,
    thread: Option<JoinHandle<()>>,
}

/// Tells the display what happens. Never blocks.
#[derive(Debug, Clone)]
pub struct Sender(mpsc::Sender<Message>);

#[derive(Debug)]
enum Message {
    Notice(Box<Notice>),
    Start(Run),
    Stopping(Stop),
    Finish,
}

impl Sender {
    /// Something happened.
    pub fn send(&self, notice: Notice) {
        self.pass(Message::Notice(Box::new(notice)));
    }

    /// The run is to be stopped: says what that means.
    pub fn interrupted(&self, stop: Stop) {
        self.pass(Message::Stopping(stop));
    }

    fn pass(&self, message: Message) {
        // Once the display is gone nobody looks any more.
        let _ = self.0.send(message);
    }
}

impl Progress {
    /// Ready to show; nothing is shown yet but what must be known at once.
    pub fn new(options: Options) -> Self {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || show(&receiver, options));
        Self {
            options,
            sender: Sender(sender),
            // Without a thread there is no display; the work goes on.
            thread: thread.ok(),
        }
    }

    /// Where to send what happens.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// A plan begins to be applied: from here on it is shown.
    pub fn start(&self, plan: &Plan, critical_path_seconds: f64) {
        self.sender.pass(Message::Start(Run {
            name: plan.scope.name(),
            destroy: self.options.destroy,
            pace: self.options.pace,
            steps: steps(plan),
            critical_path: seconds(critical_path_seconds),
            began: Timestamp::now(),
        }));
    }

    /// Takes the display away. What was printed above it stays. Returns when the terminal is free.
    pub fn finish(&mut self) {
        self.sender.pass(Message::Finish);
        if let Some(thread) = self.thread.take() {
            // A display that has panicked has said so by itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The steps of a plan that are told of: a replacement is two.
fn steps(plan: &Plan) -> usize {
    let summary = &plan.summary;
    summary.create + summary.update + 2 * summary.replace + summary.delete + summary.read
}

fn show(receiver: &mpsc::Receiver<Message>, options: Options) {
    let mut display = Display::new(options.stream, options.pace);
    loop {
        match receiver.recv_timeout(FRAME) {
            Ok(Message::Notice(notice)) => display.notice(&notice),
            Ok(Message::Start(run)) => display.start(run),
            Ok(Message::Stopping(stop)) => display.stopping(stop),
            Ok(Message::Finish) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        display.frame(Timestamp::now());
    }
    display.clear();
}

#[cfg(test)]
mod fixtures {
    //! A run and what is told of it; moments are seconds since it began.

    use std::time::Duration;

    use engine::{Notice, OperationKind, Pace, What};
    use jiff::Timestamp;

    use super::Run;

    pub fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_241_467 + second).unwrap()
    }

    pub fn run(scale: f64) -> Run {
        Run {
            name: "shop-prod".to_owned(),
            destroy: false,
            pace: Pace::new(scale),
            steps: 104,
            critical_path: Duration::from_secs(1200),
            began: at(0),
        }
    }

    pub fn notice(address: &str, second: i64, what: What) -> Notice {
        Notice {
            at: at(second),
            address: address.parse().unwrap(),
            type_name: "AWS::EC2::VPC".parse().unwrap(),
            operation: OperationKind::Create,
            what,
        }
    }

    pub fn started(address: &str, second: i64, typical: u64, remaining: u64) -> Notice {
        let what = What::Started {
            typical: Duration::from_secs(typical),
            remaining: Duration::from_secs(remaining),
        };
        notice(address, second, what)
    }

    pub fn finished(address: &str, second: i64) -> Notice {
        let what = What::Finished {
            identifier: Some("id-1".to_owned()),
            took: Duration::from_millis(1240),
        };
        notice(address, second, what)
    }
}
