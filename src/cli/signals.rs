//! Runs a command until it ends or a signal ends it: the first signal asks it to stop and to clean up, a second one doesn't wait.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Verdict;
use super::print::Printer;
use crate::model::{Problem, ProblemKind};

/// How long a command may take to clean up.
const GRACE: Duration = Duration::from_secs(5);
/// How long threads that it leaves may take to notice.
const LEFTOVERS: Duration = Duration::from_millis(500);

/// Gives what `command` came to and, when a signal ended it, the exit code for that signal.
pub(super) fn until_ended<F: Future<Output = Verdict>>(
    printer: &Printer,
    command: impl FnOnce(CancellationToken) -> F,
) -> (Verdict, Option<u8>) {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return (Err(Problem::new(ProblemKind::Other, "start", error.to_string())), None),
    };
    let cancel = CancellationToken::new();
    let ended = runtime.block_on(async {
        let command = command(cancel.clone());
        tokio::pin!(command);
        let signal = tokio::select! {
            // First, so that it is listened to before anything begins.
            biased;
            signal = next_signal() => signal,
            verdict = &mut command => return (verdict, None),
        };
        cancel.cancel();
        printer.say(format_args!("lighterman: {}: stopping", signal.1));
        let verdict = tokio::select! {
            verdict = tokio::time::timeout(GRACE, &mut command) => verdict.unwrap_or_else(|_| Err(Problem::cancelled("finish"))),
            _ = next_signal() => Err(Problem::cancelled("finish")),
        };
        // It may have been done before it noticed.
        let stopped = verdict.is_err();
        (verdict, stopped.then_some(signal.0))
    });
    runtime.shutdown_timeout(LEFTOVERS);
    ended
}

#[cfg(unix)]
async fn next_signal() -> (u8, &'static str) {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = async |kind: SignalKind| {
        match signal(kind) {
            Ok(mut stream) => stream.recv().await,
            // It can't be heard: then it keeps its usual effect.
            Err(_) => std::future::pending().await,
        };
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => (130, "interrupted"),
        () = wait(SignalKind::terminate()) => (143, "terminated"),
        () = wait(SignalKind::hangup()) => (129, "hung up"),
    }
}

#[cfg(not(unix))]
async fn next_signal() -> (u8, &'static str) {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    (130, "interrupted")
}
