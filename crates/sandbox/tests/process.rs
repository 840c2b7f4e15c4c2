//! The sandbox as a process: started, found, reused, stopped, killed, and its port taken by others. The server is this test
//! program itself, run for its test `server`.

#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use seaworthy_sandbox::process::{self, SERVE_ARGUMENT};
use seaworthy_sandbox::{Error, Faults, ServeOptions, StartOptions, TimeScale};

fn options() -> StartOptions {
    let arguments = ["--exact", "server", "--nocapture"]
        .map(Into::into)
        .to_vec();
    StartOptions {
        arguments,
        port: Some(0),
        timeout: Some(Duration::from_secs(30)),
        ..StartOptions::default()
    }
}

/// Not a test: the server that the tests start. Run as one, without the arguments that they give, it has nothing to do.
#[test]
fn server() {
    let mut arguments = std::env::args_os()
        .skip_while(|argument| argument != SERVE_ARGUMENT)
        .skip(1);
    if let Some(dir) = arguments.next() {
        let options = ServeOptions {
            detached: true,
            ..ServeOptions::load(Path::new(&dir)).unwrap()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        if let Err(error) = runtime.block_on(seaworthy_sandbox::serve(options)) {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
        std::process::exit(0);
    }
}

#[test]
fn a_started_server_is_reused_and_stopped_and_its_time_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let first = process::start(dir.path(), &options()).unwrap();
    assert!(first.started);
    let faster = StartOptions {
        time_scale: Some(TimeScale::Times(1000.0)),
        ..options()
    };
    let again = process::start(dir.path(), &faster).unwrap();
    assert!(!again.started);
    assert_eq!(again.status.pid, first.status.pid);
    assert_eq!(
        process::status(dir.path())
            .unwrap()
            .unwrap()
            .overview
            .time_scale,
        TimeScale::Times(1000.0)
    );
    let environment = process::env(dir.path()).unwrap();
    assert_eq!(environment["AWS_ENDPOINT_URL"], first.url());
    std::thread::sleep(Duration::from_millis(50));
    let before = process::status(dir.path())
        .unwrap()
        .unwrap()
        .overview
        .modelled_seconds;
    assert!(process::stop(dir.path()).unwrap());
    assert!(!process::stop(dir.path()).unwrap());
    assert!(matches!(
        process::env(dir.path()),
        Err(Error::NotRunning(_))
    ));
    let slow = StartOptions {
        time_scale: Some(TimeScale::Times(0.001)),
        ..options()
    };
    let after = process::start(dir.path(), &slow)
        .unwrap()
        .status
        .overview
        .modelled_seconds;
    assert!(after >= before, "time went back from {before} to {after}");
    assert_eq!(
        process::env(dir.path()).unwrap()["AWS_SECRET_ACCESS_KEY"],
        environment["AWS_SECRET_ACCESS_KEY"]
    );
    process::stop(dir.path()).unwrap();
}

#[test]
fn two_starts_at_once_make_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let starts: Vec<_> = (0..2)
        .map(|_| {
            let dir = dir.path().to_owned();
            std::thread::spawn(move || process::start(&dir, &options()).unwrap())
        })
        .collect();
    let started: Vec<_> = starts
        .into_iter()
        .map(|start| start.join().unwrap())
        .collect();
    assert_eq!(started[0].status.pid, started[1].status.pid);
    assert_eq!(
        started.iter().filter(|endpoint| endpoint.started).count(),
        1
    );
    process::stop(dir.path()).unwrap();
}

#[test]
fn a_killed_server_leaves_nothing_that_hinders_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let first = process::start(dir.path(), &options()).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(first.status.pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // It answers no more at once; its lock goes an instant later.
    while !matches!(process::status(dir.path()), Ok(None)) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        dir.path().join("server.json").exists(),
        "a killed process tidies nothing up"
    );
    assert!(process::status(dir.path()).unwrap().is_none());
    let second = process::start(dir.path(), &options()).unwrap();
    assert!(second.started);
    assert_ne!(second.status.pid, first.status.pid);
    process::stop(dir.path()).unwrap();
}

#[test]
fn a_taken_port_another_region_and_bad_faults_are_errors_that_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = process::start(
        dir.path(),
        &StartOptions {
            port: Some(port),
            ..options()
        },
    )
    .unwrap_err();
    assert!(
        matches!(error, Error::PortInUse { port: named } if named == port),
        "{error}"
    );
    process::start(dir.path(), &options()).unwrap();
    let elsewhere = StartOptions {
        region: Some("eu-central-1".to_owned()),
        ..options()
    };
    let error = process::start(dir.path(), &elsewhere).unwrap_err();
    assert!(
        error.to_string().contains("us-east-1, not eu-central-1"),
        "{error}"
    );
    let nonsense: Faults = serde_json::from_str(r#"{"rules":[{"error":"X","rate":7}]}"#).unwrap();
    assert!(matches!(
        process::set_faults(dir.path(), &nonsense),
        Err(Error::Refused(_))
    ));
    let throttled: Faults =
        serde_json::from_str(r#"{"rules":[{"error":"ThrottlingException","rate":0.5}]}"#).unwrap();
    process::set_faults(dir.path(), &throttled).unwrap();
    assert_eq!(process::faults(dir.path()).unwrap(), throttled);
    process::stop(dir.path()).unwrap();
    // A world that is stopped keeps its region, too, until it is reset.
    let error = process::start(dir.path(), &elsewhere).unwrap_err();
    assert!(
        matches!(error, Error::OtherWorld { what: "region", .. }),
        "{error}"
    );
    process::start(dir.path(), &options()).unwrap();
    process::stop(dir.path()).unwrap();
    process::reset(dir.path()).unwrap();
    assert_eq!(
        process::start(dir.path(), &elsewhere)
            .unwrap()
            .status
            .overview
            .region,
        "eu-central-1"
    );
    process::stop(dir.path()).unwrap();
}
