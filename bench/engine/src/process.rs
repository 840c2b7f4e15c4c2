//! What the system says of another process: Linux's `/proc`.

use std::io;

/// The system's clock ticks, of which there are so many a second on Linux (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

pub(crate) struct Process {
    pid: u32,
}

/// In MB.
pub(crate) struct Memory {
    pub now: f64,
    pub peak: f64,
}

impl Process {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// What of its memory is resident, and the most that ever was.
    pub(crate) fn memory(&self) -> io::Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
            let number = kilobytes.and_then(|text| text.parse::<f64>().ok());
            let number = number.ok_or_else(|| io::Error::other(format!("no {name}")))?;
            Ok::<f64, io::Error>(number * 1024.0 / 1e6)
        };
        Ok(Memory {
            now: of("VmRSS:")?,
            peak: of("VmHWM:")?,
        })
    }

    /// The time that it has had on all cores.
    pub(crate) fn cpu_seconds(&self) -> io::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // Behind the name, which may hold anything: the state is the third field, the times are the 14th and the 15th.
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let ticks = behind.split_whitespace().skip(11).take(2);
        let sum: f64 = ticks.filter_map(|text| text.parse::<f64>().ok()).sum();
        Ok(sum / TICKS)
    }
}
