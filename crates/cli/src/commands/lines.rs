//! Stand-in for the live display.
use std::io::Write as _;
pub(crate) struct Options { pub(crate) stream: seaworthy_cli::terminal::Stream, pub(crate) pace: engine::Pace, pub(crate) destroy: bool }
pub(crate) struct Progress;
#[derive(Clone)]
pub(crate) struct Sender;
impl Progress {
    pub(crate) fn new(_: Options) -> Self { Self }
    pub(crate) fn sender(&self) -> Sender { Sender }
    pub(crate) fn start(&self, _: &graph::Plan, _: f64) {}
    pub(crate) fn finish(&self) {}
}
impl Sender {
    pub(crate) fn send(&self, n: engine::Notice) { let _ = writeln!(std::io::stderr(), "{} {} {:?} {:?}", n.at, n.address, n.operation, n.what); }
    pub(crate) fn interrupted(&self, stop: engine::Stop) { let _ = writeln!(std::io::stderr(), "{stop:?}"); }
}
